//! Checks cos and sin of the naive formula against a golden case: ./check GOLDEN [ID]
mod reader;
use reader::{array, case, value};
use std::{env, process::exit};

/// Prints the largest error, and returns whether it is allowed.
fn check(folder: &str, id: &str) -> Result<bool, String> {
    let case = case(folder, id)?;
    let text = |section, name| value(value(&case, section)?, name);
    let read = |section, name| array(folder, text(section, name)?);
    let (ids, inv_freq) = (read("arguments", "position_ids")?, read("arguments", "inv_freq")?);
    let (cos, sin) = (read("expected", "cos")?, read("expected", "sin")?);
    if cos.is_empty() || cos.len() != ids.len() * inv_freq.len() || sin.len() != cos.len() {
        return Err(format!("{id}: expected cos and sin of every pair"));
    }
    let number = |text: &str| text.parse::<f64>().map_err(|why| format!("{text}: {why}"));
    let factor = number(text("options", "attention_factor")?)?;
    let bound = number(text("tolerance", "bound")?)?;
    let unit = 2f64.powi(if text("tolerance", "unit")? == "float32" { -23 } else { -52 });
    let mut worst: f64 = 0.0;
    for i in 0..cos.len() {
        let angle = ids[i / inv_freq.len()] * inv_freq[i % inv_freq.len()]; // pairs last
        let error = (factor * angle.cos() - cos[i]).hypot(factor * angle.sin() - sin[i]);
        let eps = error / cos[i].hypot(sin[i]) / unit;
        worst = if eps.is_nan() { f64::INFINITY } else { worst.max(eps) };
    }
    println!("{} pairs, worst {worst:.6} eps, allowed {bound}", cos.len());
    Ok(worst <= bound)
}

fn main() {
    let given: Vec<String> = env::args().collect();
    let id = given.get(2).map_or("cos_sin/default/exact/float32", String::as_str);
    let folder = given.get(1).ok_or("expected the folder of the goldens".into());
    let allowed = folder.and_then(|folder| check(folder, id)).unwrap_or_else(|why: String| {
        eprintln!("{why}");
        exit(2)
    });
    exit(i32::from(!allowed));
}

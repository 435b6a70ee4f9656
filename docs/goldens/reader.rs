// Reads one golden case and checks cos and sin of the naive formula: ./reader GOLDEN [ID]
// JSON by its text: a case is a line, and an array is written as {"file": … "shape": […]}.
use std::{env, fs, process::exit};

/// What stands behind a key, up to the end of the case.
fn after<'a>(text: &'a str, key: &str) -> &'a str {
    let key = format!("\"{key}\": ");
    let start = text.find(&key).unwrap_or_else(|| panic!("{key} not found"));
    &text[start + key.len()..]
}

/// What stands behind a key up to a mark, without quotes.
fn value<'a>(text: &'a str, key: &str, end: &[char]) -> &'a str {
    after(text, key).trim_start_matches(['"', '[']).split(end).next().unwrap()
}

/// The numbers of an array of float64, float32 or int64, as f64.
fn read(folder: &str, array: &str) -> Vec<f64> {
    let offset: usize = value(array, "offset", &[',']).parse().unwrap();
    let shape = value(array, "shape", &[']']).split(", ");
    let count: usize = shape.map(|size| size.parse::<usize>().unwrap()).product();
    let bytes = fs::read(format!("{folder}/{}", value(array, "file", &['"']))).unwrap();
    let eight = |raw: &[u8]| -> [u8; 8] { raw.try_into().unwrap() };
    let (size, number): (usize, &dyn Fn(&[u8]) -> f64) = match value(array, "dtype", &['"']) {
        "float64" => (8, &|raw| f64::from_le_bytes(eight(raw))),
        "int64" => (8, &|raw| i64::from_le_bytes(eight(raw)) as f64),
        "float32" => (4, &|raw| f32::from_le_bytes(raw.try_into().unwrap()) as f64),
        other => panic!("{other}: expected float64, float32 or int64"),
    };
    bytes[offset..offset + count * size].chunks_exact(size).map(number).collect()
}

fn main() {
    let mut given = env::args().skip(1);
    let folder = given.next().expect("the folder of the goldens");
    let id = given.next().unwrap_or("cos_sin/default/exact/float32".into());
    let manifest = fs::read_to_string(format!("{folder}/manifest.json")).unwrap();
    let start = format!("{{\"id\": \"{id}\", \"op\": \"cos_sin\"");
    let case = manifest.lines().find(|line| line.starts_with(&start)).expect("a case of cos_sin");

    let [ids, inv_freq, cos, sin] =
        ["position_ids", "inv_freq", "cos", "sin"].map(|name| read(&folder, after(case, name)));
    let factor: f64 = value(case, "attention_factor", &[',', '}']).parse().unwrap();
    let mut worst: f64 = 0.0;
    for i in 0..cos.len() {
        // Row by row, pairs last.
        let angle = ids[i / inv_freq.len()] * inv_freq[i % inv_freq.len()];
        let error = (factor * angle.cos() - cos[i]).hypot(factor * angle.sin() - sin[i]);
        worst = worst.max(error / cos[i].hypot(sin[i]));
    }
    let unit = if value(case, "unit", &['"']) == "float32" { -23 } else { -52 };
    let (eps, bound) = (worst / 2f64.powi(unit), value(case, "bound", &[',']).parse::<f64>().unwrap());
    println!("{} pairs, worst {eps:.6} eps, allowed {bound}", cos.len());
    exit(if eps <= bound { 0 } else { 1 });
}

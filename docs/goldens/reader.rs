//! Reads goldens, as text and as numbers. JSON is read by its text: a case is a line.
use std::fs;

pub fn case(folder: &str, id: &str) -> Result<String, String> {
    let path = format!("{folder}/manifest.json");
    let manifest = fs::read_to_string(&path).map_err(|why| format!("{path}: {why}"))?;
    let start = format!("{{\"id\": \"{id}\", ");
    let line = manifest.lines().find(|line| line.starts_with(&start));
    line.map(String::from).ok_or(format!("{id}: no case in {path}"))
}

/// The text of a key's value, up to the comma or the bracket that ends it.
pub fn value<'a>(object: &'a str, key: &str) -> Result<&'a str, String> {
    let found = object.split_once(&format!("\"{key}\": "));
    let (_, text) = found.ok_or(format!("{key}: not in {object:.99}"))?;
    let mut depth = 0;
    let end = text.find(|mark| {
        depth += i32::from("{[".contains(mark)) - i32::from("}]".contains(mark));
        depth < 0 || depth == 0 && mark == ','
    });
    Ok(text[..end.ok_or(format!("{key}: cut off"))?].trim_matches('"'))
}

pub fn array(folder: &str, place: &str) -> Result<Vec<f64>, String> {
    let (size, number): (usize, fn(&[u8]) -> f64) = match value(place, "dtype")? {
        "float64" => (8, |raw| f64::from_le_bytes(raw.try_into().unwrap())),
        "float32" => (4, |raw| f32::from_le_bytes(raw.try_into().unwrap()) as f64),
        "int64" => (8, |raw| i64::from_le_bytes(raw.try_into().unwrap()) as f64),
        other => return Err(format!("{other}: expected float64, float32 or int64")),
    };
    let path = format!("{folder}/{}", value(place, "file")?);
    let bytes = fs::read(&path).map_err(|why| format!("{path}: {why}"))?;
    let shape = value(place, "shape")?.trim_matches(['[', ']']).split(", ");
    let mut axes = shape.filter(|axis| !axis.is_empty()); // a single number has none
    let length = axes.try_fold(size, |all, axis| all.checked_mul(axis.parse().ok()?));
    let start = value(place, "offset")?.parse::<usize>().ok();
    let held = start.zip(length).and_then(|(start, length)| bytes.get(start..)?.get(..length));
    let held = held.ok_or(format!("{path}: does not hold {place}"))?;
    Ok(held.chunks_exact(size).map(number).collect())
}

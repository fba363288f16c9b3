//! The data set: 50,000 documents with vectors, as a folder with `docs.jsonl.zst` (a JSON object per
//! line) and `vectors.f16.bin` (384 little-endian half floats per document).

use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// Dimensions of a vector.
pub const DIMENSIONS: usize = 384;

/// How a vector stands in a body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// As base64 of 32-bit floats.
    Base64,
    /// As an array of numbers.
    Numbers,
}

/// The documents as the wire wants them, each with its vector.
///
/// # Panics
///
/// If the folder does not hold the data set.
pub fn documents(folder: &Path, encoding: Encoding) -> Vec<Value> {
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let compressed = read("docs.jsonl.zst");
    let decoder = ruzstd::decoding::StreamingDecoder::new(&compressed[..]);
    let mut lines = String::new();
    let mut decoder = decoder.unwrap_or_else(|error| panic!("docs.jsonl.zst: {error}"));
    decoder.read_to_string(&mut lines).unwrap_or_else(|error| panic!("docs.jsonl.zst: {error}"));
    let halves = read("vectors.f16.bin");
    let vectors = halves.chunks_exact(2 * DIMENSIONS);
    let documents: Vec<Value> = lines
        .lines()
        .zip(vectors)
        .map(|(line, halves)| {
            let parsed: Map<String, Value> =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut document = parsed;
            document.insert("vector".to_owned(), vector(halves, encoding));
            Value::Object(document)
        })
        .collect();
    assert!(!documents.is_empty(), "there are no documents");
    documents
}

fn vector(halves: &[u8], encoding: Encoding) -> Value {
    let (halves, _) = halves.as_chunks::<2>();
    let numbers = halves.iter().map(|half| widened(u16::from_le_bytes(*half)));
    match encoding {
        Encoding::Base64 => {
            let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
            Value::String(STANDARD.encode(bytes))
        }
        // Clients hold doubles and print all their digits.
        Encoding::Numbers => numbers.map(|x| json!(f64::from(x))).collect(),
    }
}

/// A half float as a float.
pub fn widened(half: u16) -> f32 {
    let (sign, exponent, fraction) = (half >> 15, half >> 10 & 31, half & 1023);
    let magnitude = match exponent {
        0 => f32::from(fraction) / 16_777_216.0,
        _ => f32::from_bits(u32::from(exponent + 112) << 23 | u32::from(fraction) << 13),
    };
    if sign == 1 { -magnitude } else { magnitude }
}

/// Bodies that upsert `documents`, so many in each.
pub fn bodies(documents: &[Value], each: usize) -> Vec<Vec<u8>> {
    let schema = json!({
        "vector": {"type": format!("[{DIMENSIONS}]f32"), "ann": true},
        "summary": {"type": "string", "filterable": false},
        "major": "int",
        "rank": "int",
        "topics": "[]string",
    });
    let body = |documents: &[Value]| {
        let body = json!({
            "upsert_rows": documents,
            "distance_metric": "cosine_distance",
            "schema": schema,
        });
        body.to_string().into_bytes()
    };
    documents.chunks(each).map(body).collect()
}

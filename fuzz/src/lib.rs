//! What each fuzz target demands of a decoder: that no bytes make it panic, and that what it decodes
//! is the same value after encoding and decoding it again.
//!
//! A fuzzer cannot guess checksums. So each input is tried twice: as it is, and with a header written
//! over its first bytes that fits the rest.
//!
//! | module      | what it is hostile to                                                       |
//! |-------------|-----------------------------------------------------------------------------|
//! | this one    | heads, batches, keys, and the envelope of all                               |
//! | [`segment`] | pages, blocks and directories of segments                                   |
//! | [`wire`]    | bodies of writes and queries, and what the engine makes of them             |
//! | [`filters`] | nobody: it lets a fuzzer choose documents and filters, and a model answers |
//! | [`worlds`]  | nobody: it lets a fuzzer decide what happens in a world of the simulator     |

pub mod filters;
pub mod segment;
pub mod wire;
pub mod worlds;

use sana_engine::base::blob::Blob;
use sana_engine::base::name::Key;
use sana_engine::format::frame::{self, HEADER_BYTES, Kind};
use sana_engine::format::head::Head;
use sana_engine::format::layout;
use sana_engine::format::log::Batch;

/// `bytes` with a header over its front that makes it an intact frame.
fn mended(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend(b"SANA");
    frame.extend((kind as u16).to_le_bytes());
    frame.extend(1_u16.to_le_bytes());
    frame.extend((body.len() as u64).to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame);
    hasher.update(body);
    frame.extend(hasher.finalize().to_le_bytes());
    frame.extend(body);
    frame
}

fn key() -> Key {
    Key::new("fuzzed")
}

/// Both readings of an input: as it is, and mended.
fn readings(kind: Kind, bytes: &[u8]) -> [Blob; 2] {
    [Blob::from(bytes.to_vec()), Blob::from(mended(kind, bytes))]
}

/// Any bytes as a frame of every kind.
pub fn frame(bytes: &[u8]) {
    for kind in [Kind::Head, Kind::Batch, Kind::Directory] {
        let mended = mended(kind, bytes);
        assert!(frame::body(kind, &mended).is_ok(), "a frame that fits is taken");
        if let Ok(body) = frame::body(kind, bytes) {
            assert_eq!(body.len() + HEADER_BYTES, bytes.len());
        }
    }
}

/// Any bytes as a head.
pub fn head(bytes: &[u8]) {
    for blob in readings(Kind::Head, bytes) {
        if let Ok(head) = Head::decode(&key(), &blob) {
            let again = Head::decode(&key(), &Blob::from(head.encode()));
            assert_eq!(again.as_ref(), Ok(&head));
        }
    }
}

/// Any bytes as a batch.
pub fn batch(bytes: &[u8]) {
    for blob in readings(Kind::Batch, bytes) {
        if let Ok(batch) = Batch::decode(&key(), &blob) {
            let again = Batch::decode(&key(), &Blob::from(batch.encode()));
            assert_eq!(again.as_ref(), Ok(&batch));
        }
    }
}

/// Any text as the key of an object. Only one spelling may mean an object.
pub fn object_key(bytes: &[u8]) {
    let Ok(text) = core::str::from_utf8(bytes) else { return };
    let key = Key::new(text);
    if let Some((place, family, name)) = layout::parse_object(&key) {
        assert_eq!(place.object(family, name), key);
    }
    if let Some(namespace) = layout::namespace_of_head(&key) {
        assert_eq!(layout::head(&namespace), key);
    }
}

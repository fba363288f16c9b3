//! Bodies that tell whether they are whole: a number, over and over.

use sana_engine::base::blob::Blob;

/// A body that says `number`. Its size depends on the number: most are of some KB, some are large.
pub fn body(number: u64) -> Blob {
    let words = match number % 16 {
        0 => 40_000,
        1 => 1,
        _ => 1 + number.wrapping_mul(7_919) % 2_000,
    };
    Blob::from(number.to_le_bytes().repeat(words as usize))
}

/// The number that `body` says.
///
/// # Panics
///
/// If it is not whole.
pub fn read(body: &Blob) -> u64 {
    let bytes = body.as_slice();
    let first = bytes.first_chunk().expect("a body has at least one number");
    let number = u64::from_le_bytes(*first);
    assert_eq!(*body, self::body(number), "the body of {number} is whole");
    number
}

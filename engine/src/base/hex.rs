//! Numbers as hexadecimal digits, as they stand in keys.
//!
//! Keys are written and read all the time, so this does without the machinery of formatting.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `value` with so many digits, zeros before it. What does not fit is cut off.
pub fn write(text: &mut String, value: u128, digits: u32) {
    for place in (0..digits).rev() {
        text.push(DIGITS[(value >> (4 * place)) as usize & 15].into());
    }
}

/// The number that [`write()`] writes so, with so many digits, 32 at most. There is no other spelling.
pub fn parse(text: &str, digits: u32) -> Option<u128> {
    if text.len() != digits as usize {
        return None;
    }
    text.bytes().try_fold(0, |value: u128, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_as_the_standard_library_has_it(value: u128) {
            let mut text = String::from("x");
            write(&mut text, value, 32);
            assert_eq!(text, format!("x{value:032x}"));
            assert_eq!(parse(&text[1..], 32), Some(value));
            let half = format!("{:016x}", value as u64);
            assert_eq!(parse(&half, 16), Some((value as u64).into()));
        }

        #[test]
        fn whatever_is_read_is_spelled_so(text in "[0-9a-fA-F+ g]{16}") {
            if let Some(value) = parse(&text, 16) {
                assert_eq!(text, format!("{value:016x}"));
            }
        }
    }

    #[test]
    fn there_is_one_spelling() {
        for wrong in ["", "0", "000", "+1", "0A", "0g", "é"] {
            assert_eq!(parse(wrong, 2), None, "{wrong}");
        }
    }
}

//! Sizes and times as people write them.

use core::time::Duration;

/// Bytes: `1073741824`, `512MB`, `2GiB`.
///
/// # Errors
///
/// A sentence that says how to write it.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let units = [
        ("", 1),
        ("b", 1),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
    ];
    number(text, &units).ok_or_else(|| format!("'{text}' is not a size such as 512MB or 2GiB"))
}

/// A time: `30s`, `10m`, `12h`, `7d`.
///
/// # Errors
///
/// A sentence that says how to write it.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    let time = number(text, &units).map(Duration::from_millis);
    time.ok_or_else(|| format!("'{text}' is not a time such as 30s, 10m or 12h"))
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_read_as_they_are_written() {
        assert_eq!(bytes("512MB"), Ok(512_000_000));
        assert_eq!(bytes("2 GiB"), Ok(2 << 30));
        assert_eq!(bytes("17"), Ok(17));
        assert_eq!(time("10m"), Ok(Duration::from_mins(10)));
        assert_eq!(time("250ms"), Ok(Duration::from_millis(250)));
        for bad in ["", "x", "MB", "5XB", "99999999999GiB", "-1"] {
            assert!(bytes(bad).is_err(), "{bad}");
            assert!(time(bad).is_err(), "{bad}");
        }
        assert!(time("5").is_err(), "a time has a unit");
    }
}

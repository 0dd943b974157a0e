//! Sizes in bytes as people write them: `512MiB`, `2GiB`, `1500000000`.

use std::{fmt, str::FromStr};

use serde::Deserialize;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ByteSize(pub(crate) u64);

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("`{text}` is no size; write it like 512MiB or 2GiB");
        let text = text.trim();
        let (number, unit) = UNITS
            .iter()
            .find_map(|(unit, bytes)| {
                let at = text.len().checked_sub(unit.len())?;
                let (number, suffix) = text.split_at_checked(at)?;
                suffix.eq_ignore_ascii_case(unit).then_some((number, *bytes))
            })
            .unwrap_or((text, 1));
        let number: f64 = number.trim().parse().map_err(|_| error())?;
        let bytes = number * unit as f64;
        if !(bytes >= 1.0 && bytes <= (1_u64 << 60) as f64) {
            return Err(error());
        }
        Ok(Self(bytes as u64))
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS[..4].iter().rev().find(|(_, bytes)| self.0 >= *bytes);
        match unit {
            Some((unit, bytes)) => write!(f, "{:.1} {unit}", self.0 as f64 / *bytes as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_as_people_write_them() {
        for (text, bytes) in [
            ("1", 1),
            ("512MiB", 512 << 20),
            ("2 gib", 2 << 30),
            ("1.5GB", 1_500_000_000),
            ("100B", 100),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "0", "nan", "1e300GiB", "12 parsecs", "é"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_print_in_the_unit_that_fits() {
        assert_eq!(ByteSize(98_100_000).to_string(), "93.6 MiB");
        assert_eq!(ByteSize(12).to_string(), "12 B");
    }
}

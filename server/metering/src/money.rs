//! Amounts of money, in one currency.
//!
//! Invariant: an amount is an integer from where it is read to where it is told. What is exact is
//! in pico-units and is rounded to micro-units once, upwards.

use std::fmt;
use std::str::FromStr;

/// Pico-units in a micro-unit.
const PICOS_PER_MICRO: i128 = 1_000_000;
const MICROS_PER_UNIT: u64 = 1_000_000;
/// Decimals of a micro-unit.
const MAX_DECIMALS: usize = 6;
/// What an amount is printed with at least, as money is.
const MIN_DECIMALS: usize = 2;

/// Micro-units of the currency (10⁻⁶): budgets, balances and totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(i64);

/// Pico-units of the currency (10⁻¹²): what something costs, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Picos(i128);

/// Why a text is no amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// It is not digits, and more digits after a point.
    #[error("'{0}' is no amount: write it like 12.50")]
    NotANumber(String),
    /// It is finer than a micro-unit.
    #[error("'{0}' has more than 6 decimals: the smallest amount is 0.000001")]
    TooFine(String),
    /// It does not fit 64 bits of micro-units.
    #[error("'{0}' is too large: the largest amount is 9223372036854.775807")]
    TooLarge(String),
}

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(i64::MAX);

    /// So many micro-units.
    #[must_use]
    pub const fn new(micros: i64) -> Self {
        Self(micros)
    }

    /// The micro-units.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The same amount.
    #[must_use]
    pub fn to_picos(self) -> Picos {
        Picos(i128::from(self.0) * PICOS_PER_MICRO)
    }
}

impl Picos {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many pico-units.
    #[must_use]
    pub const fn new(picos: i128) -> Self {
        Self(picos)
    }

    /// The pico-units.
    #[must_use]
    pub const fn get(self) -> i128 {
        self.0
    }

    /// The sum, or the largest amount: more than any budget, which refuses all after it.
    #[must_use]
    pub(crate) fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    #[must_use]
    pub(crate) fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Micro-units, rounded upwards, where they fit: for totals, which nothing is added to.
    #[must_use]
    pub fn round_up(self) -> Option<Micros> {
        let down = self.0.div_euclid(PICOS_PER_MICRO);
        let up = down + i128::from(self.0.rem_euclid(PICOS_PER_MICRO) != 0);
        i64::try_from(up).ok().map(Micros)
    }

    /// What a message says it is: rounded upwards, and no more than the largest amount.
    pub(crate) fn told(self) -> Micros {
        self.round_up().unwrap_or(Micros::MAX)
    }
}

/// `12.50`; at least two decimals, and as many more as it has.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let micros = self.0.unsigned_abs();
        let mut decimals = format!("{:06}", micros % MICROS_PER_UNIT);
        while decimals.len() > MIN_DECIMALS && decimals.ends_with('0') {
            decimals.pop();
        }
        write!(f, "{sign}{}.{decimals}", micros / MICROS_PER_UNIT)
    }
}

/// Digits, and 1 to 6 more after a point; a minus may stand before them.
impl FromStr for Micros {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let not_a_number = || MoneyError::NotANumber(shown(text));
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, decimals) = match digits.split_once('.') {
            Some((_, "")) => return Err(not_a_number()),
            Some(parts) => parts,
            None => (digits, ""),
        };
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(decimals) {
            return Err(not_a_number());
        }
        if decimals.len() > MAX_DECIMALS {
            return Err(MoneyError::TooFine(shown(text)));
        }
        let mut digits = whole.bytes().chain(format!("{decimals:0<6}").into_bytes());
        let micros = digits.try_fold(0i64, |sum, digit| {
            let digit = i64::from(digit - b'0');
            // Downwards, since there is one more amount below nothing than above it.
            sum.checked_mul(10)?.checked_sub(digit)
        });
        let micros = if is_negative { micros } else { micros.and_then(i64::checked_neg) };
        micros.map(Self).ok_or_else(|| MoneyError::TooLarge(shown(text)))
    }
}

/// As much of a text as a message repeats.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_and_printed() {
        let cases = [
            ("12.50", 12_500_000, "12.50"),
            ("0", 0, "0.00"),
            ("-0.000001", -1, "-0.000001"),
            ("007.1", 7_100_000, "7.10"),
            ("1.234560", 1_234_560, "1.23456"),
            ("9223372036854.775807", i64::MAX, "9223372036854.775807"),
            ("-9223372036854.775808", i64::MIN, "-9223372036854.775808"),
        ];
        for (text, micros, printed) in cases {
            assert_eq!(text.parse(), Ok(Micros(micros)), "{text}");
            assert_eq!(Micros(micros).to_string(), printed);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_what_to_write() {
        for text in ["", "-", ".5", "5.", "1,5", "1e3", "+1", " 1", "--1", "1.-2", "١", "NaN"] {
            assert_eq!(text.parse::<Micros>(), Err(MoneyError::NotANumber(text.to_owned())));
        }
        assert!(matches!("0.0000001".parse::<Micros>(), Err(MoneyError::TooFine(_))));
        for text in ["9223372036854.775808", "-9223372036854.775809", &"9".repeat(5000)] {
            assert!(matches!(text.parse::<Micros>(), Err(MoneyError::TooLarge(_))), "{text}");
        }
        assert!("5.".parse::<Micros>().unwrap_err().to_string().contains("like 12.50"));
    }

    #[test]
    fn the_smallest_cost_is_a_whole_micro_unit_in_a_total() {
        let up = |picos| Picos(picos).round_up();
        assert_eq!(up(1), Some(Micros(1)));
        assert_eq!(up(1_000_000), Some(Micros(1)));
        assert_eq!(up(1_000_001), Some(Micros(2)));
        assert_eq!(up(-1), Some(Micros(0)));
        assert_eq!(up(i128::MAX), None);
        assert_eq!(Picos(i128::MIN).round_up(), None);
        assert_eq!(Micros(i64::MIN).to_picos().round_up(), Some(Micros(i64::MIN)));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same(micros in any::<i64>()) {
            prop_assert_eq!(Micros(micros).to_string().parse(), Ok(Micros(micros)));
        }

        #[test]
        fn no_text_panics(text in "[-0-9.e]{0,30}") {
            if let Ok(micros) = text.parse::<Micros>() {
                prop_assert_eq!(micros.to_string().parse(), Ok(micros));
            }
        }

        #[test]
        fn rounding_is_up_by_less_than_a_micro_unit(picos in -(1i128 << 80)..(1i128 << 80)) {
            let up = Picos(picos).round_up().unwrap().to_picos().0;
            prop_assert!(up >= picos && up - picos < PICOS_PER_MICRO);
        }
    }
}

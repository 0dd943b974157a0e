//! Amounts of money.
//!
//! Invariant: an amount is an integer until it is told.

use serde::Serialize;
use server_metering::{Micros, Picos};
use utoipa::ToSchema;

const PICOS_PER_UNIT: i128 = 1_000_000_000_000;

/// Money, as OpenAI tells it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Amount {
    /// Units of the currency.
    value: f64,
    /// As ISO 4217 names it, in lower case.
    currency: String,
}

impl Amount {
    pub(crate) fn new(picos: Picos, currency: &str) -> Self {
        // Digits and a point are a number: the nearest one, and nothing is computed with it.
        Self { value: exact(picos).parse().unwrap_or_default(), currency: currency.to_owned() }
    }
}

/// An amount with all of its decimals.
pub(crate) fn exact(picos: Picos) -> String {
    let (sign, picos) = if picos.get() < 0 { ("-", -picos.get()) } else { ("", picos.get()) };
    let decimals = format!("{:012}", picos % PICOS_PER_UNIT);
    let decimals = decimals.trim_end_matches('0');
    let decimals = if decimals.is_empty() { "0" } else { decimals };
    format!("{sign}{}.{decimals}", picos / PICOS_PER_UNIT)
}

/// A total, rounded upwards: `12.50`.
pub(crate) fn total(picos: Picos) -> String {
    picos.round_up().unwrap_or(Micros::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_with_all_their_decimals() {
        for (picos, text, number) in [
            (0, "0.0", 0.0),
            (1, "0.000000000001", 1e-12),
            (12_500_000_000_000, "12.5", 12.5),
            (-60_000_000_000, "-0.06", -0.06),
        ] {
            assert_eq!(exact(Picos::new(picos)), text);
            let told = Amount::new(Picos::new(picos), "usd").value;
            assert!((told - number).abs() < f64::EPSILON, "{text}");
        }
        assert_eq!(total(Picos::new(1)), "0.000001");
    }
}

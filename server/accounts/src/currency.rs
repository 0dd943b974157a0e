//! Which currency all amounts are in.

use std::fmt;
use std::str::FromStr;

/// Those of ISO 4217 that people pay with.
const CODES: &str =
    "aed afn all amd aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd
    btn bwp byn bzd cad cdf chf clp cny cop crc cup cve czk djf dkk dop dzd egp ern etb eur fjd fkp
    gbp gel ghs gip gmd gnf gtq gyd hkd hnl htg huf idr ils inr iqd irr isk jmd jod jpy kes kgs khr
    kmf kpw krw kwd kyd kzt lak lbp lkr lrd lsl lyd mad mdl mga mkd mmk mnt mop mru mur mvr mwk mxn
    myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr
    sdg sek sgd shp sle sos srd ssp stn svc syp szl thb tjs tmt tnd top try ttd twd tzs uah ugx usd
    uyu uzs ved ves vnd vuv wst xaf xcd xcg xof xpf yer zar zmw zwg";

/// A currency, as ISO 4217 names it; told in lower case, as Stripe and OpenAI tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Currency(&'static str);

/// This is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no currency: give its code of ISO 4217, like usd or eur")]
pub struct UnknownCurrency(String);

impl Currency {
    /// Its three letters.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.0
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self("usd")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, UnknownCurrency> {
        let found = CODES.split_whitespace().find(|code| code.eq_ignore_ascii_case(text));
        found.map(Self).ok_or_else(|| UnknownCurrency(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_in_either_case_and_others_are_none() {
        assert_eq!("EUR".parse::<Currency>().unwrap().code(), "eur");
        assert_eq!("usd".parse(), Ok(Currency::default()));
        assert!(CODES.split_whitespace().all(|code| code.len() == 3));
        for none in ["", "eu", "euro", "xxx", "usd eur", "\u{20ac}"] {
            assert!(none.parse::<Currency>().is_err(), "{none}");
        }
    }
}

//! How rates stand, in the heads of answers.
//!
//! Invariant: a limit that is not set has no headers. OpenAI's `tokens` are those of prompts.

use std::fmt::Write;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, SecondsFormat, Utc};
use server_metering::{RateStatus, RateStatuses};

use crate::storage::unix_time;

/// In OpenAI's form: a limit, what remains of it and when it is whole again.
pub(crate) const NAMES: [&str; 12] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-ratelimit-limit-input-tokens",
    "x-ratelimit-remaining-input-tokens",
    "x-ratelimit-reset-input-tokens",
    "x-ratelimit-limit-output-tokens",
    "x-ratelimit-remaining-output-tokens",
    "x-ratelimit-reset-output-tokens",
];

/// Anthropic's.
const ANTHROPICS: [&str; 9] = [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset",
    "anthropic-ratelimit-input-tokens-limit",
    "anthropic-ratelimit-input-tokens-remaining",
    "anthropic-ratelimit-input-tokens-reset",
    "anthropic-ratelimit-output-tokens-limit",
    "anthropic-ratelimit-output-tokens-remaining",
    "anthropic-ratelimit-output-tokens-reset",
];

/// Adds what is known of rates to the head of an answer; for clients of Anthropic's by its names
/// too.
pub(crate) fn tell(headers: &mut HeaderMap, rates: &RateStatuses, is_anthropics: bool) {
    let RateStatuses { requests, input_tokens, output_tokens } = *rates;
    let all = [requests, input_tokens, input_tokens, output_tokens];
    add(headers, &NAMES, &all, shown);
    if is_anthropics {
        let now = unix_time();
        add(headers, &ANTHROPICS, &[requests, input_tokens, output_tokens], |reset| {
            let seconds = i64::try_from(reset.as_nanos().div_ceil(1_000_000_000));
            let at = now.saturating_add(seconds.unwrap_or(i64::MAX));
            DateTime::from_timestamp(at, 0)
                .unwrap_or(DateTime::<Utc>::MAX_UTC)
                .to_rfc3339_opts(SecondsFormat::Secs, true)
        });
    }
}

/// Three names for each status: its limit, what remains, its reset.
fn add(
    headers: &mut HeaderMap,
    names: &[&'static str],
    statuses: &[Option<RateStatus>],
    reset: impl Fn(Duration) -> String,
) {
    for (names, status) in names.chunks_exact(3).zip(statuses) {
        let Some(status) = status else { continue };
        let [limit, remaining] = [status.limit, status.remaining].map(HeaderValue::from);
        let values = [Ok(limit), Ok(remaining), HeaderValue::try_from(reset(status.reset))];
        for (name, value) in names.iter().zip(values) {
            headers.extend(value.ok().map(|value| (HeaderName::from_static(name), value)));
        }
    }
}

/// `6m0s`, `1.5s`, `12ms`: as OpenAI writes times. Rounded upwards to milliseconds.
fn shown(time: Duration) -> String {
    let millis = time.as_nanos().div_ceil(1_000_000);
    let (minutes, millis) = (millis / 60_000, millis % 60_000);
    let mut text = String::new();
    if minutes >= 60 {
        let _ = write!(text, "{}h", minutes / 60);
    }
    if minutes > 0 {
        let _ = write!(text, "{}m", minutes % 60);
    }
    if minutes == 0 && 0 < millis && millis < 1000 {
        return format!("{millis}ms");
    }
    let _ = write!(text, "{}", millis / 1000);
    if !millis.is_multiple_of(1000) {
        let decimals = format!(".{:03}", millis % 1000);
        text += decimals.trim_end_matches('0');
    }
    text + "s"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_openai_writes_them() {
        let cases = [
            (0, "0s"),
            (1, "1ms"),
            (12_000_000, "12ms"),
            (999_000_001, "1s"),
            (1_000_000_000, "1s"),
            (8_640_000_000, "8.64s"),
            (59_999_000_000, "59.999s"),
            (60_000_000_000, "1m0s"),
            (360_000_000_000, "6m0s"),
            (86_400_000_000, "1m26.4s"),
            (3_600_000_000_000, "1h0m0s"),
            (7_322_005_000_000, "2h2m2.005s"),
        ];
        for (nanos, expected) in cases {
            assert_eq!(shown(Duration::from_nanos(nanos)), expected);
        }
        assert!(shown(Duration::MAX).ends_with('s'));
    }

    #[test]
    fn a_limit_that_is_not_set_has_no_headers() {
        let status = |limit| RateStatus { limit, remaining: 2, reset: Duration::from_secs(60) };
        let rates = RateStatuses { input_tokens: Some(status(7)), ..RateStatuses::default() };
        let (before, mut headers) = (unix_time(), HeaderMap::new());
        tell(&mut headers, &rates, true);
        assert_eq!(headers.len(), 9);
        for name in ["x-ratelimit-limit-tokens", "anthropic-ratelimit-input-tokens-limit"] {
            assert_eq!(headers[name], "7");
        }
        assert_eq!(headers["x-ratelimit-remaining-input-tokens"], "2");
        assert_eq!(headers["x-ratelimit-reset-input-tokens"], "1m0s");
        let at = headers["anthropic-ratelimit-input-tokens-reset"].to_str().unwrap();
        assert!(DateTime::parse_from_rfc3339(at).unwrap().timestamp() >= before + 60, "{at}");
    }
}

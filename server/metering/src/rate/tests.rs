//! Tests of rates, at moments of their own.

use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn rates(limits: [Option<u64>; 3], now: Instant) -> Rates {
    let mut rates = Rates::default();
    rates.set(limits, now);
    rates
}

fn ask(rates: &mut Rates, asked: Taken, now: Instant) -> Result<Taken, Exceeded> {
    rates.check(asked, now)?;
    Ok(rates.take(asked))
}

#[test]
fn a_bucket_is_full_at_first_and_fills_steadily() {
    let now = Instant::now();
    let mut rates = rates([Some(2), None, None], now);
    assert!(ask(&mut rates, [1, 9, 9], now).is_ok());
    assert!(ask(&mut rates, [1, 9, 9], now).is_ok());
    let exceeded = ask(&mut rates, [1, 9, 9], now).unwrap_err();
    assert_eq!(exceeded.kind, RateKind::Requests);
    assert_eq!(exceeded.retry_after, Some(Duration::from_secs(30)));
    assert_eq!(exceeded.status, RateStatus { limit: 2, remaining: 0, reset: MINUTE });
    let later = now + Duration::from_secs(30);
    assert!(ask(&mut rates, [1, 9, 9], later - Duration::from_nanos(1)).is_err());
    assert!(ask(&mut rates, [1, 9, 9], later).is_ok());
    assert!(ask(&mut rates, [1, 9, 9], later).is_err());
}

#[test]
fn input_of_more_than_a_minutes_never_gets_in_and_output_takes_a_full_bucket() {
    let now = Instant::now();
    let mut rates = rates([None, Some(100), Some(50)], now);
    let exceeded = ask(&mut rates, [1, 101, 1], now).unwrap_err();
    assert_eq!((exceeded.kind, exceeded.retry_after), (RateKind::InputTokens, None));
    let taken = ask(&mut rates, [1, 100, 80], now).unwrap();
    assert_eq!(taken, [1, 100, 50]);
    // It delivers 80: those beyond the bucket are a debt of 30, paid off at 50 a minute.
    rates.correct(taken, [1, 100, 80]);
    let exceeded = ask(&mut rates, [1, 0, 10], now).unwrap_err();
    assert_eq!(exceeded.retry_after, Some(Duration::from_secs(48)));
    assert_eq!(exceeded.status.remaining, 0);
}

#[test]
fn output_that_was_not_delivered_is_given_back() {
    let now = Instant::now();
    let mut rates = rates([Some(10), None, Some(50)], now);
    let taken = ask(&mut rates, [1, 0, 40], now).unwrap();
    assert!(ask(&mut rates, [1, 0, 11], now).is_err());
    rates.correct(taken, [1, 0, 5]);
    let mut statuses = RateStatuses::default();
    rates.tighten(&mut statuses, now);
    assert_eq!(statuses.output_tokens.unwrap().remaining, 45);
    assert_eq!(statuses.requests.unwrap().remaining, 9);
    assert_eq!(statuses.input_tokens, None);
}

#[test]
fn a_limit_of_none_lets_nothing_in_and_other_limits_keep_what_was_taken() {
    let now = Instant::now();
    let mut rates = rates([Some(10), None, Some(0)], now);
    let exceeded = ask(&mut rates, [1, 0, 1], now).unwrap_err();
    assert_eq!((exceeded.kind, exceeded.retry_after), (RateKind::OutputTokens, None));
    assert!(ask(&mut rates, [1, 0, 0], now).is_ok());
    rates.set([Some(20), None, None], now);
    assert!(ask(&mut rates, [10, 0, 1], now).is_err());
    assert!(ask(&mut rates, [9, 0, 1], now).is_ok());
}

#[test]
fn extremes_do_not_panic() {
    let now = Instant::now();
    let later = now + Duration::from_secs(1 << 33);
    for limit in [0, 1, u64::MAX] {
        let mut rates = rates([Some(limit); 3], now);
        for now in [now, later, now] {
            let taken = rates.take([u64::MAX; 3]);
            rates.correct(taken, [u64::MAX; 3]);
            let _ = rates.check([u64::MAX; 3], now);
            rates.tighten(&mut RateStatuses::default(), now);
        }
    }
}

proptest! {
    /// Whatever is asked and when: not too much gets in, and who waits as told gets in.
    #[test]
    fn no_more_gets_in_than_the_rate(
        limit in 1..500u64,
        asks in prop::collection::vec((1..300u64, 0..20_000_000_000u64), 1..60),
    ) {
        let began = Instant::now();
        let mut now = began;
        let mut rates = rates([None, Some(limit), None], now);
        let mut let_in = 0u128;
        for (asked, pause) in asks {
            now += Duration::from_nanos(pause);
            match ask(&mut rates, [1, asked, 0], now) {
                Ok(_) => let_in += u128::from(asked),
                Err(Exceeded { retry_after: None, .. }) => prop_assert!(asked > limit),
                Err(Exceeded { retry_after: Some(wait), .. }) => {
                    let mut early = rates.clone();
                    let too_early = now + wait - Duration::from_nanos(1);
                    prop_assert!(early.check([1, asked, 0], too_early).is_err());
                    now += wait;
                    prop_assert!(ask(&mut rates, [1, asked, 0], now).is_ok());
                    let_in += u128::from(asked);
                }
            }
            let minutes = MINUTE.as_nanos();
            let passed = now.duration_since(began).as_nanos();
            prop_assert!(let_in * minutes <= u128::from(limit) * (minutes + passed));
        }
    }
}

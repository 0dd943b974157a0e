//! Attempts are counted, waited for and forgotten.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::{AddressLockout, Attempts, LockedOut, MAX_ADDRESSES};
use crate::UnixSeconds;

const START: UnixSeconds = UnixSeconds(1_000_000);

fn at(seconds: u64) -> UnixSeconds {
    START.after(Duration::from_secs(seconds))
}

fn wait(seconds: u64) -> Result<(), LockedOut> {
    Err(LockedOut { wait: Duration::from_secs(seconds) })
}

#[test]
fn five_are_free_and_the_wait_then_doubles_to_a_quarter_of_an_hour() {
    let (mut attempts, mut now) = (Attempts::default(), 0);
    for _ in 0..5 {
        assert_eq!(attempts.begin(at(now)), Ok(()));
    }
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        assert_eq!(attempts.begin(at(now)), wait(seconds));
        assert_eq!(attempts.begin(at(now + seconds - 1)), wait(1), "refusals do not count");
        now += seconds;
        assert_eq!(attempts.begin(at(now)), Ok(()));
    }
}

#[test]
fn no_number_of_failures_overflows() {
    for failures in [36, 37, 68, 69, 70, u32::MAX] {
        let mut attempts = Attempts { failures, last: START };
        assert_eq!(attempts.begin(at(0)), wait(900), "{failures}");
        assert_eq!(attempts.begin(at(900)), Ok(()));
        assert_eq!(attempts.begin(at(900)), wait(900));
    }
}

#[test]
fn a_success_clears_an_account_and_so_does_a_day() {
    let mut attempts = Attempts { failures: 9, last: START };
    assert_eq!(attempts.begin(at(3)), wait(13));
    attempts.succeeded();
    for _ in 0..5 {
        assert_eq!(attempts.begin(at(3)), Ok(()));
    }
    assert_eq!(attempts.begin(at(3)), wait(1));
    assert_eq!(attempts.begin(at(3 + 86_400)), Ok(()));
    assert_eq!(attempts.failures, 1);
}

#[test]
fn a_clock_that_goes_back_locks_nobody_out_for_longer() {
    let mut attempts = Attempts { failures: 5, last: at(900) };
    assert_eq!(attempts.begin(at(0)), wait(1));
    attempts.last = at(901);
    assert_eq!(attempts.begin(at(0)), Ok(()));
    assert_eq!(attempts.begin(at(0)), wait(2));
}

#[test]
fn addresses_count_each_for_themselves() {
    let [a, b]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
    let mut lockout = AddressLockout::default();
    for _ in 0..5 {
        assert_eq!(lockout.begin(a, at(0)), Ok(()));
    }
    assert_eq!(lockout.begin(a, at(0)), wait(1));
    assert_eq!(lockout.begin("::ffff:192.0.2.1".parse().unwrap(), at(0)), wait(1));
    assert_eq!(lockout.begin(b, at(0)), Ok(()));
}

#[test]
fn a_network_of_64_bits_is_one_address() {
    let mut lockout = AddressLockout::default();
    for host in 1..=5 {
        let address = format!("2001:db8:0:1::{host}").parse().unwrap();
        assert_eq!(lockout.begin(address, at(0)), Ok(()));
    }
    assert_eq!(lockout.begin("2001:db8:0:1:ffff::".parse().unwrap(), at(0)), wait(1));
    assert_eq!(lockout.begin("2001:db8:0:2::1".parse().unwrap(), at(0)), Ok(()));
}

#[test]
fn a_success_takes_back_its_own_attempt_alone() {
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let mut lockout = AddressLockout::default();
    for _ in 0..4 {
        assert_eq!(lockout.begin(address, at(0)), Ok(()));
    }
    // Logging in to one's own account between guesses does not help.
    for _ in 0..10 {
        assert_eq!(lockout.begin(address, at(0)), Ok(()));
        lockout.succeeded(address);
    }
    assert_eq!(lockout.begin(address, at(0)), Ok(()));
    assert_eq!(lockout.begin(address, at(0)), wait(1));
}

#[test]
fn addresses_are_bounded_and_those_that_wait_longest_stay() {
    let address = |idx: usize| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(idx).unwrap()));
    let mut lockout = AddressLockout::default();
    let guesser = address(4_000_000);
    for _ in 0..5 {
        lockout.begin(guesser, at(1000)).unwrap();
    }
    for idx in 0..3 * MAX_ADDRESSES {
        lockout.begin(address(idx), at(1000)).unwrap();
        assert!(lockout.attempts.len() <= MAX_ADDRESSES);
    }
    assert_eq!(lockout.begin(guesser, at(1000)), wait(1));
    // A day later all of them are forgotten at once.
    lockout.begin(address(5_000_000), at(100_000)).unwrap();
    while lockout.attempts.len() < MAX_ADDRESSES && lockout.attempts.len() > 1 {
        let idx = 6_000_000 + lockout.attempts.len();
        lockout.begin(address(idx), at(100_000)).unwrap();
    }
    lockout.begin(address(7_000_000), at(100_000)).unwrap();
    assert!(lockout.attempts.keys().all(|known| *known >= address(5_000_000)));
}

//! What would be said for each of many requests: it is said at first, and then once a second.

use std::mem::take;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two times that the same is said.
const PAUSE: Duration = Duration::from_secs(1);

/// When it was last said, and how often it was not since.
pub(super) struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Seldom {
    pub(super) const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// One time more: if it is to be said now, how many times there were since it was said before.
    pub(super) fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said_at, num) = &mut *state;
        *num += 1;
        if said_at.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            return None;
        }
        *said_at = Some(now);
        Some(take(num))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_first_and_once_a_second_with_all_that_there_were_since() {
        let (seldom, began) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.count(began), Some(1));
        for millis in 1..1000 {
            assert_eq!(seldom.count(began + Duration::from_millis(millis)), None);
        }
        assert_eq!(seldom.count(began + PAUSE), Some(1000));
        assert_eq!(seldom.count(began + PAUSE), None);
        assert_eq!(seldom.count(began + 5 * PAUSE), Some(2));
        // A thread that was held up does not come before another one.
        assert_eq!(seldom.count(began), None);
    }
}

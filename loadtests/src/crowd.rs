//! Many clients at once: each takes the next request as soon as its last one ended.
//!
//! Invariant: at most `concurrency` requests run at once, and every request has a result.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{Ask, Endpoint, Timeline, stream};

/// What a crowd saw.
#[derive(Debug)]
pub struct Crowd<T = Timeline> {
    /// In the order of the requests.
    pub results: Vec<Result<T>>,
    /// From the first request to the last end.
    pub wall: Duration,
}

/// Streams all `asks`, `concurrency` at a time; `finished` is called after each, with its place.
pub fn run_crowd(
    endpoint: &Endpoint,
    asks: &[Ask],
    concurrency: usize,
    finished: &(dyn Fn(usize) + Sync),
) -> Crowd {
    crowd(asks.len(), concurrency, &|ask_idx| {
        let result = stream(endpoint, &asks[ask_idx]);
        finished(ask_idx);
        result
    })
}

/// Does `one` for each number below `num`, `concurrency` at a time.
pub(crate) fn crowd<T: Send>(
    num: usize,
    concurrency: usize,
    one: &(dyn Fn(usize) -> Result<T> + Sync),
) -> Crowd<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(num));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..concurrency.min(num) {
            scope.spawn(|| {
                loop {
                    let idx = next.fetch_add(1, Ordering::Relaxed);
                    if idx >= num {
                        return;
                    }
                    let result = one(idx);
                    if let Ok(mut results) = results.lock() {
                        results.push((idx, result));
                    }
                }
            });
        }
    });
    let wall = started.elapsed();
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(idx, _)| *idx);
    Crowd { results: results.into_iter().map(|(_, result)| result).collect(), wall }
}

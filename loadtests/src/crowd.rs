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
pub struct Crowd {
    /// In the order of the requests.
    pub results: Vec<Result<Timeline>>,
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
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(asks.len()));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..concurrency.min(asks.len()) {
            scope.spawn(|| {
                loop {
                    let ask_idx = next.fetch_add(1, Ordering::Relaxed);
                    let Some(ask) = asks.get(ask_idx) else { return };
                    let result = stream(endpoint, ask);
                    finished(ask_idx);
                    if let Ok(mut results) = results.lock() {
                        results.push((ask_idx, result));
                    }
                }
            });
        }
    });
    let wall = started.elapsed();
    let mut results = results.into_inner().unwrap_or_default();
    results.sort_by_key(|(ask_idx, _)| *ask_idx);
    Crowd { results: results.into_iter().map(|(_, result)| result).collect(), wall }
}

//! One connection of HTTP/2, with many requests side by side.
//!
//! Invariant: as many requests run as one client may have streams; the connection ends when nothing
//! runs on it for as long as an idle one of HTTP/1 is kept, or when its client takes nothing of the
//! answers that wait for it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::connection::{Io, Requests};
use crate::waiting::Visit;
use crate::{HttpLimits, heads};

/// Streams that were reset before they were handled, or for errors of their client, that are kept
/// count of; one more, and the connection is closed ("rapid reset").
const MAX_RESETS: usize = 64;

/// Serves the requests that come; with `stop` gone, only those that run.
pub(crate) async fn serve(
    io: Box<dyn Io>,
    requests: Requests,
    limits: &HttpLimits,
    mut stop: watch::Receiver<()>,
) {
    let visit = Arc::clone(&requests.visit);
    let mut connection = pin!(http(limits).serve_connection(TokioIo::new(io), requests));
    let mut stillness = Stillness::new(limits);
    let period = limits.header_timeout.max(Duration::from_millis(1));
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = visit.closed() => {
                tracing::debug!("a connection without a request made room for another");
                return;
            }
            _ = stop.changed(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = ticks.tick() => match stillness.look(&visit) {
                State::Busy => {}
                // What was answered and not yet written goes out.
                State::Idle => connection.as_mut().graceful_shutdown(),
                State::Stuck => {
                    tracing::debug!("the client takes nothing");
                    return;
                }
            },
        }
    }
}

fn http(limits: &HttpLimits) -> http2::Builder<TokioExecutor> {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(
            u32::try_from(heads::ROOM * limits.max_header_bytes).unwrap_or(u32::MAX),
        )
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS)
        .keep_alive_interval(limits.write_timeout)
        .keep_alive_timeout(limits.write_timeout);
    http
}

/// How long nothing has moved on a connection. A client of HTTP/2 says for each stream how much it
/// takes, so a socket that can be written to says nothing.
struct Stillness {
    /// What had moved at the last look, and when it first was so.
    since: (u64, Instant),
    idle: Duration,
    stuck: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Busy,
    Idle,
    Stuck,
}

impl Stillness {
    fn new(limits: &HttpLimits) -> Self {
        // A stream that is taken moves at least by its comments.
        let stuck = limits.write_timeout.max(2 * limits.keep_alive);
        Self { since: (0, Instant::now()), idle: limits.header_timeout, stuck }
    }

    fn look(&mut self, visit: &Visit) -> State {
        let now = visit.activity();
        if now.moves != self.since.0 {
            self.since = (now.moves, Instant::now());
        }
        let still = self.since.1.elapsed();
        match (now.running, now.answering) {
            // What is left to write after the last answer may take as long as any write.
            (0, _) if still >= self.idle + self.stuck => State::Stuck,
            // And who never asked for anything is owed nothing.
            (0, _) if still >= self.idle && now.moves == 0 => State::Stuck,
            (0, _) if still >= self.idle => State::Idle,
            // Who works on an answer may be silent.
            (running, answering) if running == answering && still >= self.stuck && running > 0 => {
                State::Stuck
            }
            _ => State::Busy,
        }
    }
}

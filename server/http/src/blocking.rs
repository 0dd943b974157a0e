//! Work on large texts, away from the threads that serve connections.

use crate::{ApiError, AppState};

/// Texts up to this long are worked on in place: moving them would cost more.
const INLINE_BYTES: usize = 16 << 10;

/// Runs `work` on a text of `bytes` bytes: in place if it is short, otherwise on a blocking
/// thread, at most [`max_text_jobs`](crate::HttpLimits::max_text_jobs) at a time.
pub(crate) async fn run_sized<R: Send + 'static>(
    state: &AppState,
    bytes: usize,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, ApiError> {
    if bytes <= INLINE_BYTES {
        return Ok(work());
    }
    let permit = state.text_jobs().acquire_owned().await.map_err(|_| ApiError::internal())?;
    let job = move || {
        // Held by the job: it works on to its end even where its client is gone.
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(job).await.map_err(|_| {
        // Not what it said: a slice's panic quotes the text.
        tracing::error!("work on a text panicked");
        ApiError::internal()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_panic_is_logged_without_its_words() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let state = AppState::builder().build();
        let work = || "xyzzy".parse::<u32>().map_err(|_| "xyzzy").unwrap();
        assert!(run_sized(&state, INLINE_BYTES + 1, work).await.is_err());
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("panicked") && !log.contains("xyzzy"), "{log}");
        // The place it had is free again.
        let limit = state.limits().max_text_jobs;
        assert_eq!(state.text_jobs().available_permits(), limit);
    }
}

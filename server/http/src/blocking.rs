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

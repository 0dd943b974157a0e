//! The threads that serve connections.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// A runtime to serve on. Engines have threads of their own; HTTP needs few.
///
/// # Errors
/// The operating system gives no threads.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(2)
        // What profiles show.
        .thread_name("http")
        // A prompt is rendered where its request is handled. What is not touched takes no memory.
        .thread_stack_size(engine_text::ROOMY_STACK_BYTES)
        .on_thread_start(engine_text::render_here)
        .enable_all()
        .build()
}

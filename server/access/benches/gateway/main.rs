//! A server to measure what a request costs beside the engine: the real router, connections and
//! scheduler before an engine that answers at once. `cargo xtask bench gateway` puts load on it.
//!
//! `cargo bench -p server-access --bench gateway -- OPTIONS` (`--no-auth`, `--no-metering`,
//! `--keys N`, `--tokens N`) serves until its
//! standard input is closed. It prints `ADDRESS KEY`, where the key is `-` without auth. Answers
//! end after N tokens where a request does not ask for fewer.
#![allow(clippy::print_stdout, reason = "whoever starts it reads where it listens")]

mod baseline;
mod setup;

/// As the binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::io::Read;

use server_http::{HttpLimits, runtime, serve};
use tracing_subscriber::EnvFilter;

use setup::Options;

fn main() {
    // As the binary does.
    let filter = EnvFilter::try_from_env("AGENTBASE_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    log.with_ansi(false).with_target(false).init();
    let options = Options::read(std::env::args().skip(1)).expect("known options");
    let runtime = runtime().expect("a runtime");
    runtime.block_on(async {
        let gateway = setup::gateway(&options).await;
        let key = gateway.key.clone();
        let router = baseline::beside(gateway.router.clone(), key.as_deref()).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        println!("{address} {}", key.as_deref().unwrap_or("-"));
        let limits = HttpLimits::default();
        serve(listener, router, input_closed(), limits, || ()).await.expect("serves");
    });
}

/// Until whoever started it lets go of it.
async fn input_closed() {
    let (close, closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        while matches!(std::io::stdin().read(&mut [0; 64]), Ok(1..)) {}
        let _ = close.send(());
    });
    let _ = closed.await;
}

//! The accept loop: connections in bounded number, heads in bounded time and size, and an end that
//! lets open requests finish.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::HttpLimits;
use crate::write_timeout::WriteTimeout;

/// After an error of `accept` that is not one connection's, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// hyper takes no smaller buffer.
const MIN_HEADER_BYTES: usize = 8 << 10;

/// Serves until `shutdown` completes and then until open requests have ended, at most
/// [`drain_timeout`](HttpLimits::drain_timeout) long. Of what is open then, `abort` is called to
/// make an end ([`AppState::abort`](crate::AppState::abort)), and connections stay open for
/// [`abort_timeout`](HttpLimits::abort_timeout) more, so that streams can say why they end.
///
/// # Errors
/// The listener has no local address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    limits: HttpLimits,
    abort: impl FnOnce(),
) -> io::Result<()> {
    tracing::info!(address = %listener.local_addr()?, "listening");
    let permits = Arc::new(Semaphore::new(limits.max_connections.max(1)));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (socket, permit) = accept(&listener, &permits) => {
                let io = WriteTimeout::new(socket, limits.write_timeout);
                let service = TowerToHyperService::new(router.clone());
                let connection = http(&limits).serve_connection(TokioIo::new(io), service);
                let connection = graceful.watch(connection);
                connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    tracing::info!(connections = connections.len(), "draining");
    let mut drained = pin!(graceful.shutdown());
    if timeout(limits.drain_timeout, &mut drained).await.is_err() {
        tracing::warn!("open requests are aborted at the end of the drain time");
        abort();
        if timeout(limits.abort_timeout, drained).await.is_err() {
            tracing::warn!("open connections are cut off");
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // Pieces of a stream must not wait for each other.
                let _ = socket.set_nodelay(true);
                return (socket, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn http(limits: &HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_HEADER_BYTES));
    http
}

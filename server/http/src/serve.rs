//! The accept loop: connections in bounded number, and an end that lets open requests finish.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::auth::Peer;
use crate::connection::{Requests, attend};
use crate::waiting::Waiting;
use crate::{HttpLimits, Tls};

/// After an error of `accept` that is not one connection's, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub struct Listen {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Listen {
    /// Connections that speak TLS.
    #[must_use]
    pub fn tls(listener: TcpListener, tls: Arc<Tls>) -> Self {
        Self { listener, tls: Some(tls) }
    }
}

impl From<TcpListener> for Listen {
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None }
    }
}

/// Serves until `shutdown` completes and then until open requests have ended, at most
/// [`drain_timeout`](HttpLimits::drain_timeout) long. Of what is open then, `abort` is called to
/// make an end ([`AppState::abort`](crate::AppState::abort)), and connections stay open for
/// [`abort_timeout`](HttpLimits::abort_timeout) more, so that streams can say why they end.
///
/// # Errors
/// The listener has no local address.
pub async fn serve(
    listen: impl Into<Listen>,
    router: Router,
    shutdown: impl Future<Output = ()>,
    limits: HttpLimits,
    abort: impl FnOnce(),
) -> io::Result<()> {
    let Listen { listener, tls } = listen.into();
    tracing::info!(address = %listener.local_addr()?, "listening");
    let permits = Arc::new(Semaphore::new(limits.max_connections.max(1)));
    let waiting = Waiting::new(limits.max_waiting_per_peer);
    let (open, stop) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            (socket, peer, permit) = accept(&listener, &permits) => {
                let visit = Arc::new(waiting.arrive(peer.ip()));
                let peer = Peer(peer.ip());
                let requests = Requests { router: router.clone(), visit, peer };
                let (tls, limits, stop) = (tls.clone(), limits.clone(), stop.clone());
                connections.spawn(async move {
                    attend(socket, tls, requests, limits, stop).await;
                    drop(permit);
                });
            }
        }
    }
    drop(listener);
    tracing::info!(connections = connections.len(), "draining");
    drop(open);
    if timeout(limits.drain_timeout, drain(&mut connections)).await.is_err() {
        tracing::warn!("open requests are aborted at the end of the drain time");
        abort();
        if timeout(limits.abort_timeout, drain(&mut connections)).await.is_err() {
            tracing::warn!("open connections are cut off");
        }
    }
    connections.shutdown().await;
    Ok(())
}

async fn drain(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Pieces of a stream must not wait for each other.
                let _ = socket.set_nodelay(true);
                return (socket, peer, permit);
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

//! One connection, from its first byte to its end: TLS, which HTTP it speaks, and its requests.
//!
//! Invariant: while no request runs on it, it can be closed for the sake of others; a head of
//! HTTP/1 that does not come in time is answered, if it was begun.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::auth::Peer;
use crate::tls::{HTTP2, Tls};
use crate::waiting::Visit;
use crate::write_timeout::WriteTimeout;
use crate::{ApiError, HttpLimits, heads, http2};

/// hyper takes no smaller buffer.
const MIN_HEADER_BYTES: usize = 8 << 10;
/// How HTTP/2 begins where the client knows that it is spoken, and no request of HTTP/1 does.
const PREFACE: &[u8] = b"PRI ";
/// Between looks at a beginning of fewer bytes.
const PREFACE_PAUSE: Duration = Duration::from_millis(5);

/// What is read from and written to.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Serves the requests that come; with `stop` gone, only those that run.
pub(crate) async fn attend(
    socket: TcpStream,
    tls: Option<Arc<Tls>>,
    requests: Requests,
    limits: HttpLimits,
    mut stop: watch::Receiver<()>,
) {
    let visit = Arc::clone(&requests.visit);
    let opened = tokio::select! {
        opened = timeout(limits.header_timeout, open(socket, tls, &limits)) => opened,
        () = visit.closed() => return,
        _ = stop.changed() => return,
    };
    match opened {
        Ok(Ok((io, true))) => http2::serve(io, requests, &limits, stop).await,
        Ok(Ok((io, false))) => serve_http1(io, requests, &limits, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "a connection was not opened"),
        // Who sent nothing is told nothing.
        Err(_) => tracing::debug!("a connection was not opened in time"),
    }
}

/// The connection below HTTP, and whether HTTP/2 is spoken on it.
async fn open(
    socket: TcpStream,
    tls: Option<Arc<Tls>>,
    limits: &HttpLimits,
) -> io::Result<(Box<dyn Io>, bool)> {
    let Some(tls) = tls else {
        let speaks_http2 = begins_with_preface(&socket).await?;
        return Ok((Box::new(WriteTimeout::new(socket, limits.write_timeout)), speaks_http2));
    };
    let socket = WriteTimeout::new(socket, limits.write_timeout);
    let stream = tls.acceptor().accept(socket).await?;
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    Ok((Box::new(stream), speaks_http2))
}

/// Looks at the first bytes and leaves them where they are.
async fn begins_with_preface(socket: &TcpStream) -> io::Result<bool> {
    let mut bytes = [0; PREFACE.len()];
    loop {
        let num_bytes = socket.peek(&mut bytes).await?;
        if num_bytes == 0 || bytes[..num_bytes] != PREFACE[..num_bytes] {
            return Ok(false);
        } else if num_bytes == PREFACE.len() {
            return Ok(true);
        }
        // More than a byte of it is sent in one piece by all who mean it.
        sleep(PREFACE_PAUSE).await;
    }
}

async fn serve_http1(
    io: Box<dyn Io>,
    requests: Requests,
    limits: &HttpLimits,
    mut stop: watch::Receiver<()>,
) {
    let visit = Arc::clone(&requests.visit);
    let mut connection = http(limits).serve_connection(TokioIo::new(io), requests);
    let mut stopping = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            () = visit.closed() => {
                tracing::debug!("a connection without a request made room for another");
                return;
            }
            _ = stop.changed(), if !stopping => {
                stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let Err(error) = ended else { return };
    tracing::debug!(%error, "a connection ended early");
    // hyper closes without a word. Who sent nothing awaits nothing: an idle connection just ends.
    let parts = connection.into_parts();
    if error.is_timeout() && !parts.read_buf.is_empty() {
        let mut io = parts.io.into_inner();
        let _ = io.write_all(head_timed_out(limits).as_bytes()).await;
        let _ = io.shutdown().await;
    }
}

fn http(limits: &HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(heads::ROOM * limits.max_headers)
        .max_buf_size((heads::ROOM * limits.max_header_bytes).max(MIN_HEADER_BYTES));
    http
}

fn head_timed_out(limits: &HttpLimits) -> String {
    let seconds = limits.header_timeout.as_secs_f32();
    let message = format!("The head of the request did not arrive within {seconds} s.");
    let error = ApiError::refused(StatusCode::REQUEST_TIMEOUT, "request_timeout", message);
    // Plain data: writing it cannot fail.
    let body = serde_json::to_string(&error.body()).unwrap_or_default();
    format!(
        "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The requests of one connection.
pub(crate) struct Requests {
    pub(crate) router: Router,
    pub(crate) visit: Arc<Visit>,
    pub(crate) peer: Peer,
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let running = Running::new(&self.visit);
        // A router is always ready.
        let response = tower::Service::call(&mut self.router.clone(), request);
        Box::pin(async move {
            let response = response.await?;
            running.0.answers();
            Ok(response.map(|body| Answer { body, running }))
        })
    }
}

/// While it lives, a request runs on the connection.
struct Running(Arc<Visit>);

impl Running {
    fn new(visit: &Arc<Visit>) -> Self {
        visit.run();
        Self(Arc::clone(visit))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// The body of an answer; the request runs until it was written.
pub(crate) struct Answer {
    body: Body,
    running: Running,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.running.0.answered();
    }
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.running.0.moved();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

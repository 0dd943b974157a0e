//! One connection, from its first byte to its end.
//!
//! Invariant: while no request runs on it, it can be closed for the sake of others; a head that
//! does not come in time is answered, if it was begun.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Response, StatusCode};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::waiting::Visit;
use crate::write_timeout::WriteTimeout;
use crate::{ApiError, HttpLimits};

/// hyper takes no smaller buffer.
const MIN_HEADER_BYTES: usize = 8 << 10;

/// Serves the requests that come; with `stop` gone, only the one that runs.
pub(crate) async fn attend(
    socket: TcpStream,
    requests: Requests,
    limits: HttpLimits,
    mut stop: watch::Receiver<()>,
) {
    let visit = Arc::clone(&requests.visit);
    let io = TokioIo::new(WriteTimeout::new(socket, limits.write_timeout));
    let mut connection = http(&limits).serve_connection(io, requests);
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
        let _ = io.write_all(head_timed_out(&limits).as_bytes()).await;
        let _ = io.shutdown().await;
    }
}

fn http(limits: &HttpLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.max_header_bytes.max(MIN_HEADER_BYTES));
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
}

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let running = Running::new(&self.visit);
        // A router is always ready.
        let response = tower::Service::call(&mut self.router.clone(), request);
        Box::pin(async move {
            let response = response.await?;
            Ok(response.map(|body| Answer { body, _running: running }))
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
    _running: Running,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

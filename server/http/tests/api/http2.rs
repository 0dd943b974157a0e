//! HTTP/2 on a real connection: requests side by side, and clients that misuse it.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::HttpLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::common::{Server, endless, says, server_with, until_idle, until_running};
use crate::socket::{endless_request, listen, read_all};

type Client = SendRequest<Body>;

/// A client that knows that HTTP/2 is spoken, and its connection.
async fn connect(address: SocketAddr) -> (Client, JoinHandle<hyper::Result<()>>) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (client, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    (client, tokio::spawn(connection))
}

fn post(body: &Value) -> Request<Body> {
    let request = Request::post("http://localhost/v1/completions");
    let request = request.header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

fn get(path: &str) -> Request<Body> {
    Request::get(format!("http://localhost{path}")).body(Body::empty()).unwrap()
}

async fn text(body: Incoming) -> String {
    let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

fn server(limits: HttpLimits) -> Server {
    server_with(endless(), PlannerConfig::default(), limits)
}

#[tokio::test]
async fn requests_run_side_by_side_on_one_connection() {
    let server = server(HttpLimits::default());
    let (address, _serving) = listen(&server, pending()).await;
    let (client, _connection) = connect(address).await;
    let ask = |idx: usize| {
        let mut client = client.clone();
        let mut body = endless_request(idx.is_multiple_of(2));
        body["max_tokens"] = json!(20 + idx);
        tokio::spawn(async move {
            let response = client.send_request(post(&body)).await.unwrap();
            assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));
            text(response.into_body()).await
        })
    };
    let asked: Vec<_> = (0..8).map(ask).collect();
    until_running(&server.handle, 2).await;
    for (idx, asked) in asked.into_iter().enumerate() {
        let text = asked.await.unwrap();
        assert!(text.contains("\"finish_reason\":\"length\""), "{text}");
        assert_eq!(text.ends_with("[DONE]\n\n"), idx.is_multiple_of(2));
    }
    // The guard of a server without keys reads HTTP/2's form of the host.
    let elsewhere = Request::get("http://rebound.example/health").body(Body::empty()).unwrap();
    let response = client.clone().send_request(elsewhere).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_client_has_so_many_streams_and_no_more() {
    let server = server(HttpLimits { max_streams: 2, ..HttpLimits::default() });
    let (address, _serving) = listen(&server, pending()).await;
    let (client, _connection) = connect(address).await;
    // The server's settings are there once it has answered.
    client.clone().send_request(get("/health")).await.unwrap();
    let ask = || {
        let mut client = client.clone();
        tokio::spawn(async move { client.send_request(post(&endless_request(false))).await })
    };
    let asked: Vec<_> = (0..5).map(|_| ask()).collect();
    until_running(&server.handle, 2).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stats = server.handle.stats();
    assert_eq!((stats.running, stats.waiting), (2, 0));
    for asked in asked {
        asked.abort();
    }
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn a_stream_that_is_reset_ends_its_work_and_no_other() {
    let server = server(HttpLimits::default());
    let (address, _serving) = listen(&server, pending()).await;
    let socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_nonblocking(true).unwrap();
    let line = socket.try_clone().unwrap();
    let io = TokioIo::new(TcpStream::from_std(socket).unwrap());
    let (mut client, connection) = handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let given_up = client.send_request(post(&endless_request(true))).await.unwrap();
    let kept = client.send_request(post(&endless_request(true))).await.unwrap();
    until_running(&server.handle, 2).await;
    drop(given_up);
    in_time(async {
        while server.handle.stats().running > 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    assert!(text(kept.into_body()).await.ends_with("[DONE]\n\n"));
    // And with the connection ends all that is on it.
    let waits = client.send_request(post(&endless_request(false)));
    let waits = tokio::spawn(waits);
    until_running(&server.handle, 1).await;
    line.shutdown(std::net::Shutdown::Both).unwrap();
    until_idle(&server.handle).await;
    assert!(waits.await.unwrap().is_err());
}

#[tokio::test]
async fn a_shutdown_lets_streams_end() {
    let server = server(HttpLimits::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = listen(&server, async { drop(stopped.await) }).await;
    let (mut client, connection) = connect(address).await;
    let mut body = endless_request(true);
    body["max_tokens"] = json!(50);
    let response = client.send_request(post(&body)).await.unwrap();
    until_running(&server.handle, 1).await;
    stop.send(()).unwrap();
    let text = text(response.into_body()).await;
    assert!(text.contains("\"finish_reason\":\"length\"") && text.ends_with("[DONE]\n\n"));
    serving.await.unwrap().unwrap();
    connection.await.unwrap().unwrap();
}

/// In this time, or it hangs.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

#[tokio::test]
async fn idle_connections_and_half_a_beginning_are_closed() {
    let limits = HttpLimits { header_timeout: Duration::from_millis(100), ..HttpLimits::default() };
    let server = server(limits);
    let (address, _serving) = listen(&server, pending()).await;
    let (mut client, connection) = connect(address).await;
    assert_eq!(client.send_request(get("/health")).await.unwrap().status(), StatusCode::OK);
    in_time(connection).await.unwrap().unwrap();

    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"PR").await.unwrap();
    assert_eq!(read_all(half).await, "");
    let mut preface = TcpStream::connect(address).await.unwrap();
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = in_time(preface.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn a_request_of_http_1_may_come_byte_by_byte() {
    let server = says("ok");
    let (address, _serving) = listen(&server, pending()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for byte in b"PROPFIND /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" {
        socket.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let text = read_all(socket).await;
    assert!(text.starts_with("HTTP/1.1 405"), "{text}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let limits = HttpLimits {
        header_timeout: Duration::from_millis(50),
        write_timeout: Duration::from_millis(200),
        keep_alive: Duration::from_millis(50),
        ..HttpLimits::default()
    };
    let server = server(limits);
    let (address, _serving) = listen(&server, pending()).await;
    let socket = TcpStream::connect(address).await.unwrap();
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1000).initial_connection_window_size(100_000);
    let (mut client, connection) = builder.handshake(TokioIo::new(socket)).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = client.send_request(post(&endless_request(true))).await.unwrap();
    // Its body is held and never read.
    let _ = in_time(connection).await.unwrap();
    until_idle(&server.handle).await;
    assert!(to_bytes(Body::new(response.into_body()), usize::MAX).await.is_err());
}

#[tokio::test]
async fn floods_of_headers_and_of_resets_do_no_harm() {
    let server = server(HttpLimits::default());
    let (address, _serving) = listen(&server, pending()).await;
    let (mut client, _connection) = connect(address).await;
    let mut flood = get("/health");
    for idx in 0..200 {
        let name: axum::http::HeaderName = format!("x-{idx}").parse().unwrap();
        flood.headers_mut().insert(name, "a".repeat(1000).parse().unwrap());
    }
    match client.send_request(flood).await {
        Ok(response) => {
            assert_eq!(response.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        // The client itself keeps to what the server's settings allow.
        Err(error) => assert!(error.is_user() || !error.is_timeout(), "{error}"),
    }
    for _ in 0..2000 {
        let (mut client, request) = (client.clone(), post(&endless_request(true)));
        let asked = tokio::spawn(async move { client.send_request(request).await });
        tokio::task::yield_now().await;
        asked.abort();
    }
    until_idle(&server.handle).await;
    let (mut other, _connection) = connect(address).await;
    assert_eq!(other.send_request(get("/health")).await.unwrap().status(), StatusCode::OK);
}

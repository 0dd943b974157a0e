//! What only shows on a real connection: slow and vanishing clients, and the end of the server.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use engine_mock::MockModel;
use scheduler_batching::PlannerConfig;
use serde_json::{Value, json};
use server_http::{HttpLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::common::{Server, endless, says, server_with, until_idle, until_running};

pub(crate) async fn listen(
    server: &Server,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, JoinHandle<std::io::Result<()>>) {
    let socket = TcpSocket::new_v4().unwrap();
    // Small, so that a client that does not read is soon felt.
    socket.set_send_buffer_size(64 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(64).unwrap();
    let address = listener.local_addr().unwrap();
    let (router, limits) = (server.router.clone(), server.state.limits().clone());
    let state = server.state.clone();
    (address, tokio::spawn(serve(listener, router, shutdown, limits, move || state.abort())))
}

async fn send(address: SocketAddr, body: &Value) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap();
    let mut socket = socket.connect(address).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    socket.write_all((head + &body).as_bytes()).await.unwrap();
    socket
}

/// What comes until the server closes. The time limit turns a hang into a failure.
pub(crate) async fn read_all(mut socket: TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(60), socket.read_to_end(&mut text)).await;
    assert!(read.is_ok(), "not closed after {}", String::from_utf8_lossy(&text));
    String::from_utf8(text).unwrap()
}

pub(crate) fn endless_request(stream: bool) -> Value {
    json!({"model": "mock", "prompt": "a", "max_tokens": 500, "ignore_eos": true, "stream": stream})
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_work() {
    let server = server_with(endless(), PlannerConfig::default(), HttpLimits::default());
    let (address, _serving) = listen(&server, pending()).await;
    for stream in [true, false] {
        let sockets: Vec<_> = (0..4).map(|_| endless_request(stream)).collect();
        let mut open = Vec::new();
        for request in &sockets {
            open.push(send(address, request).await);
        }
        until_running(&server.handle, 4).await;
        drop(open);
        until_idle(&server.handle).await;
    }
    // The connections ended long before the work would have.
    assert!(server.handle.stats().generated_tokens < 8 * 500);
}

#[tokio::test]
async fn a_shutdown_lets_streams_end() {
    let server = server_with(endless(), PlannerConfig::default(), HttpLimits::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = listen(&server, async { drop(stopped.await) }).await;
    let mut request = endless_request(true);
    request["max_tokens"] = json!(50);
    let socket = send(address, &request).await;
    until_running(&server.handle, 1).await;
    stop.send(()).unwrap();
    let text = read_all(socket).await;
    assert!(text.contains("\"finish_reason\":\"length\""), "{text}");
    assert!(text.contains("data: [DONE]"), "{text}");
    serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let limits = HttpLimits { drain_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, serving) = listen(&server, async { drop(stopped.await) }).await;
    let socket = send(address, &endless_request(true)).await;
    until_running(&server.handle, 1).await;
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
    let text = read_all(socket).await;
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"), "{text}");
    let error: Value = serde_json::from_str(events[events.len() - 2]).unwrap();
    assert_eq!(error["error"]["code"], "shutting_down", "{text}");
    assert!(text.ends_with("0\r\n\r\n"), "the body has its end: {text}");
    until_idle(&server.handle).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let limits = HttpLimits {
        max_connections: 1,
        write_timeout: Duration::from_millis(100),
        ..HttpLimits::default()
    };
    let server = server_with(MockModel::default(), PlannerConfig::default(), limits);
    let (address, _serving) = listen(&server, pending()).await;
    // More than the buffers of a connection hold.
    let mut request = endless_request(true);
    request["n"] = json!(16);
    request["logprobs"] = json!(5);
    let stalled = send(address, &request).await;
    let short = json!({"model": "mock", "prompt": "a", "max_tokens": 2, "ignore_eos": true});
    // There is one place, and the stalled client does not hold it for ever.
    let text = read_all(send(address, &short).await).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    until_idle(&server.handle).await;
    assert!(!read_all(stalled).await.contains("[DONE]"));
}

#[tokio::test]
async fn heads_and_bodies_that_never_end_are_cut_off() {
    let short = Duration::from_millis(100);
    let limits = HttpLimits { header_timeout: short, body_timeout: short, ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    let (address, _serving) = listen(&server, pending()).await;

    let mut slow_head = TcpStream::connect(address).await.unwrap();
    slow_head.write_all(b"POST /v1/completions HTTP/1.1\r\nhost: a\r\nx-a: ").await.unwrap();
    let text = tokio::time::timeout(Duration::from_secs(8), read_all(slow_head)).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["error"]["code"], "request_timeout");
    assert_eq!(body["error"]["message"], "The head of the request did not arrive within 0.1 s.");

    // Who asked for nothing is told nothing.
    assert_eq!(read_all(TcpStream::connect(address).await.unwrap()).await, "");

    let mut slow_body = TcpStream::connect(address).await.unwrap();
    let head = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
                 content-length: 100\r\n\r\n{";
    slow_body.write_all(head).await.unwrap();
    let text = read_all(slow_body).await;
    assert!(text.starts_with("HTTP/1.1 408"), "{text}");
    assert!(text.contains("request_timeout"), "{text}");
}

#[tokio::test]
async fn half_sent_heads_of_one_client_do_not_keep_others_out() {
    let limits =
        HttpLimits { max_connections: 8, max_waiting_per_peer: 4, ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    let (address, _serving) = listen(&server, pending()).await;
    // A request that runs is no waiting head, however many of those there are.
    let running = send(address, &endless_request(true)).await;
    until_running(&server.handle, 1).await;
    let mut half_sent = Vec::new();
    for _ in 0..20 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nx-a: ").await.unwrap();
        half_sent.push(socket);
    }
    let mut request = endless_request(false);
    request["max_tokens"] = json!(2);
    let text = read_all(send(address, &request).await).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    // The oldest went, the newest are still there: the header timeout is far off.
    let mut byte = [0];
    assert!(matches!(half_sent[0].read(&mut byte).await, Ok(0) | Err(_)));
    let newest = half_sent.last_mut().unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), newest.read(&mut byte)).await;
    assert!(early.is_err(), "{early:?}");
    assert_eq!(server.handle.stats().running, 1);
    drop(running);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let server = says("");
    let (address, _serving) = listen(&server, pending()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut head = "GET /health HTTP/1.1\r\nx-a: ".to_owned();
    // No more than is read: what is left unread would reset the connection before the answer.
    // Four times of what is taken is read, for an answer in the API's shape.
    head += &"a".repeat(4 * server.state.limits().max_header_bytes - head.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    let text = read_all(socket).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let limits = HttpLimits { max_connections: 1, ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    let (address, _serving) = listen(&server, pending()).await;
    let first = send(address, &endless_request(true)).await;
    until_running(&server.handle, 1).await;
    let mut request = endless_request(false);
    request["max_tokens"] = json!(2);
    let mut second = send(address, &request).await;
    // An answer would be there in a few steps; while the first is open there is none.
    let early = tokio::time::timeout(Duration::from_millis(200), second.read_u8()).await;
    assert!(early.is_err(), "{early:?}");
    drop(first);
    let text = read_all(second).await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[tokio::test]
async fn a_large_body_gets_its_answer_though_it_is_not_kept() {
    let limits = HttpLimits { max_body_bytes: 1 << 20, ..HttpLimits::default() };
    let server = server_with(endless(), PlannerConfig::default(), limits);
    let (address, _serving) = listen(&server, pending()).await;
    let request = json!({"model": "mock", "prompt": "x".repeat(10 << 20)});
    let text = read_all(send(address, &request).await).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
}

#[tokio::test]
async fn a_stream_that_waits_is_kept_alive_by_comments() {
    let limits = HttpLimits { keep_alive: Duration::from_millis(20), ..HttpLimits::default() };
    let config = PlannerConfig { max_running_seqs: 1, ..PlannerConfig::default() };
    let server = server_with(endless(), config, limits);
    let (address, _serving) = listen(&server, pending()).await;
    let running = send(address, &endless_request(true)).await;
    until_running(&server.handle, 1).await;
    let mut request = endless_request(true);
    request["max_tokens"] = json!(1);
    let mut waiting = send(address, &request).await;
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("\n:\n") {
        let num_read = waiting.read(&mut buffer).await.unwrap();
        assert!(num_read > 0, "{text}");
        text += std::str::from_utf8(&buffer[..num_read]).unwrap();
    }
    assert!(!text.contains("data:"), "{text}");
    drop(running);
    assert!(read_all(waiting).await.contains("[DONE]"));
}

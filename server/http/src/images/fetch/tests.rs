//! Against servers on this machine, of which one address counts as public.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// 127.0.0.1 is, 127.0.0.2 is not.
fn first_loopback(address: IpAddr) -> bool {
    address == IpAddr::from(Ipv4Addr::LOCALHOST)
}

fn limits() -> HttpLimits {
    HttpLimits {
        max_image_bytes: 1000,
        image_fetch_timeout: Duration::from_secs(20),
        ..HttpLimits::default()
    }
}

/// Answers each connection by what `answer` makes of the path; says where.
async fn server(answer: fn(&str, SocketAddr) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..len]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let answer = answer(path, address);
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn ok(body: &str) -> String {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\nconnection: close\r\n\r\n{body}")
}

fn found(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn what_is_public_is_fetched_within_limits() {
    let address = server(|path, _| match path {
        "/image" => ok("an image"),
        "/once" => found("/image"),
        "/round" => found("/round"),
        "/file" => found("file:///etc/hostname"),
        "/with-password" => found("http://a:b@127.0.0.1/"),
        "/declared" => "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n".to_owned(),
        "/undeclared" => {
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{}", "x".repeat(1001))
        }
        "/cut" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\nconnection: close\r\n\r\nx".to_owned(),
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    })
    .await;
    let urls = ImageUrls::with(first_loopback).unwrap();
    for (path, expect) in [
        ("/image", Ok(&b"an image"[..])),
        ("/once", Ok(&b"an image"[..])),
        ("/round", Err(Failure::Redirects)),
        ("/file", Err(Failure::Web(OutboundError::Scheme))),
        ("/with-password", Err(Failure::Web(OutboundError::Credentials))),
        ("/declared", Err(Failure::TooLarge(1000))),
        ("/undeclared", Err(Failure::TooLarge(1000))),
        ("/cut", Err(Failure::Web(OutboundError::Unreachable))),
        ("/none", Err(Failure::Status(404))),
    ] {
        let got = urls.get(&format!("http://{address}{path}"), &limits()).await;
        assert_eq!(got.as_deref(), expect.as_ref().copied(), "{path}");
    }
}

#[tokio::test]
async fn a_redirect_to_what_is_not_public_is_not_followed() {
    let hidden = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = hidden.local_addr().unwrap().port();
    // A name that leads to several addresses or to others is checked when it is looked up.
    for host in ["127.0.0.2", "[::ffff:127.0.0.2]", "2130706434", "0x7f.2", "127.2"] {
        let address = server(|path, _| found(&path[1..])).await;
        let urls = ImageUrls::with(first_loopback).unwrap();
        let to = format!("http://{address}/http://{host}:{port}/");
        assert_eq!(
            urls.get(&to, &limits()).await,
            Err(Failure::Web(OutboundError::NotPublic)),
            "{host}"
        );
        let direct = format!("http://{host}:{port}/");
        assert_eq!(
            urls.get(&direct, &limits()).await,
            Err(Failure::Web(OutboundError::NotPublic)),
            "{host}"
        );
    }
    assert!(hidden.accept().now_or_never().is_none(), "nobody has connected");
}

#[tokio::test]
async fn private_addresses_and_names_of_them_are_refused() {
    let urls = ImageUrls::new().unwrap();
    for url in [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "http://localhost/",
        "http://LOCALHOST:1/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0/",
    ] {
        assert_eq!(
            urls.get(url, &limits()).await,
            Err(Failure::Web(OutboundError::NotPublic)),
            "{url}"
        );
    }
    for (url, expect) in [
        ("ftp://a.example/", Failure::Web(OutboundError::Scheme)),
        ("http://", Failure::Web(OutboundError::Address)),
        ("http://a:b@a.example/", Failure::Web(OutboundError::Credentials)),
    ] {
        assert_eq!(urls.get(url, &limits()).await, Err(expect), "{url}");
    }
}

#[tokio::test]
async fn what_does_not_come_is_not_waited_for() {
    let address = server(|_, _| String::new()).await;
    let urls = ImageUrls::with(first_loopback).unwrap();
    let limits =
        HttpLimits { image_fetch_timeout: Duration::from_millis(50), ..HttpLimits::default() };
    let got = urls.get(&format!("http://{address}/"), &limits).await;
    assert_eq!(got, Err(Failure::Web(OutboundError::Late(limits.image_fetch_timeout))));
}

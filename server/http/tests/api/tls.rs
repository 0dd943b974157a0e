//! TLS on a real connection: both kinds of HTTP, new certificates, and files that are none.

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use server_http::{HttpLimits, Listen, Tls, serve};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::common::{Server, says, server_with};
use crate::socket::read_all;
use engine_mock::MockModel;
use scheduler_batching::PlannerConfig;

/// Writes a certificate of its own and its key.
fn write(dir: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

fn open(dir: &Path) -> Result<Arc<Tls>, server_http::TlsError> {
    Tls::open(&dir.join("cert.pem"), &dir.join("key.pem"))
}

async fn listen(server: &Server, tls: Arc<Tls>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (router, limits) = (server.router.clone(), server.state.limits().clone());
    tokio::spawn(serve(Listen::tls(listener, tls), router, pending(), limits, || {}));
    address
}

/// A connection of a client that trusts this certificate alone.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let socket = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

fn health() -> Request<Body> {
    let request = Request::get("https://localhost/health").header("host", "localhost");
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn both_kinds_of_http_are_spoken_as_the_client_chooses() {
    let dir = TempDir::new().unwrap();
    let trusted = write(dir.path());
    let server = says("ok");
    let address = listen(&server, open(dir.path()).unwrap()).await;

    let stream = connect(address, &trusted, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let io = TokioIo::new(stream);
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(client.send_request(health()).await.unwrap().status(), StatusCode::OK);

    for protocols in [&[b"http/1.1".as_slice()][..], &[]] {
        let stream = connect(address, &trusted, protocols).await.unwrap();
        let (mut client, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(client.send_request(health()).await.unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_once_it_is_read_and_a_bad_one_never() {
    let dir = TempDir::new().unwrap();
    let old = write(dir.path());
    let server = says("ok");
    let tls = open(dir.path()).unwrap();
    let address = listen(&server, Arc::clone(&tls)).await;
    let new = write(dir.path());
    assert!(connect(address, &old, &[]).await.is_ok());
    tls.reload().unwrap();
    assert!(connect(address, &old, &[]).await.is_err());
    assert!(connect(address, &new, &[]).await.is_ok());
    std::fs::write(dir.path().join("cert.pem"), "nothing").unwrap();
    assert!(tls.reload().is_err());
    assert!(connect(address, &new, &[]).await.is_ok());
}

#[tokio::test]
async fn a_handshake_that_does_not_come_or_is_none_ends() {
    let dir = TempDir::new().unwrap();
    let trusted = write(dir.path());
    let limits = HttpLimits {
        header_timeout: Duration::from_millis(500),
        max_connections: 2,
        ..HttpLimits::default()
    };
    let server = server_with(MockModel::default(), PlannerConfig::default(), limits);
    let address = listen(&server, open(dir.path()).unwrap()).await;
    let silent = TcpStream::connect(address).await.unwrap();
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // Neither keeps its place for ever.
    let stream = tokio::time::timeout(Duration::from_secs(60), connect(address, &trusted, &[]));
    assert!(stream.await.unwrap().is_ok());
    assert_eq!(read_all(silent).await, "");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let dir = TempDir::new().unwrap();
    let error = |path: &Path| match open(path) {
        Ok(_) => panic!("it opened"),
        Err(error) => error.to_string(),
    };
    assert!(error(dir.path()).contains("cannot read") && error(dir.path()).contains("cert.pem"));
    write(dir.path());
    std::fs::write(dir.path().join("key.pem"), "nothing").unwrap();
    assert!(error(dir.path()).ends_with("key.pem holds no private key in PEM form"));
    std::fs::write(dir.path().join("cert.pem"), "nothing").unwrap();
    assert!(error(dir.path()).ends_with("cert.pem holds no certificate in PEM form"));
    // The key of another certificate.
    let other = TempDir::new().unwrap();
    write(dir.path());
    write(other.path());
    std::fs::copy(other.path().join("key.pem"), dir.path().join("key.pem")).unwrap();
    assert!(error(dir.path()).contains("cannot be used"), "{}", error(dir.path()));
    std::fs::write(dir.path().join("cert.pem"), vec![b' '; 2 << 20]).unwrap();
    assert!(error(dir.path()).contains("more than"));
}

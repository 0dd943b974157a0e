//! A mail server for tests: it says what it is told to and remembers what it hears.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// What is done after a command.
#[derive(Clone, Copy)]
pub(super) enum Reply {
    /// A line or several.
    Say(&'static str),
    /// Nothing, with the connection open.
    Hang,
    /// The connection ends.
    Cut,
}

/// A server on a port of this machine.
pub(super) struct MailServer {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

struct Script {
    replies: Vec<(&'static str, Reply)>,
    tls: Option<(TlsAcceptor, bool)>,
    heard: Arc<Mutex<Vec<String>>>,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl MailServer {
    /// `replies` are to commands that begin so; "" is the greeting. With a certificate it has
    /// `STARTTLS`, or TLS from the first byte.
    pub(super) async fn start(
        replies: &[(&'static str, Reply)],
        certified: Option<(&CertifiedKey<KeyPair>, bool)>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let tls = certified.map(|(certified, at_once)| (acceptor(certified), at_once));
        let script = Script { replies: replies.to_vec(), tls, heard: Arc::clone(&heard) };
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // An error is a client that went away.
                let _ = script.serve(Box::new(stream)).await;
            }
        });
        Self { address, heard, task }
    }

    /// All commands and lines of letters so far.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes the port.
    pub(super) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

fn acceptor(certified: &CertifiedKey<KeyPair>) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key);
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

impl Script {
    async fn serve(&self, stream: Box<dyn Stream>) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut is_encrypted = false;
        if let Some((acceptor, true)) = &self.tls {
            stream = self.encrypt(acceptor, stream).await?;
            is_encrypted = true;
        }
        if !self.answer(&mut stream, "", is_encrypted).await? {
            return Ok(());
        }
        let (mut line, mut in_letter) = (String::new(), false);
        while stream.read_line(&mut line).await? > 0 {
            let command = line.trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            self.hear(&command);
            if in_letter && command != "." {
                continue;
            }
            in_letter = command == "DATA";
            if !self.answer(&mut stream, &command, is_encrypted).await? {
                return Ok(());
            }
            if let ("STARTTLS", Some((acceptor, false))) = (&*command, &self.tls) {
                stream = self.encrypt(acceptor, stream).await?;
                is_encrypted = true;
            }
        }
        Ok(())
    }

    async fn encrypt(
        &self,
        acceptor: &TlsAcceptor,
        stream: BufReader<Box<dyn Stream>>,
    ) -> std::io::Result<BufReader<Box<dyn Stream>>> {
        let stream = acceptor.accept(stream.into_inner()).await?;
        self.hear("<TLS>");
        Ok(BufReader::new(Box::new(stream)))
    }

    fn hear(&self, line: &str) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    }

    /// Whether the connection goes on.
    async fn answer(
        &self,
        stream: &mut BufReader<Box<dyn Stream>>,
        command: &str,
        is_encrypted: bool,
    ) -> std::io::Result<bool> {
        let scripted = self.replies.iter().find(|(begin, _)| match *begin {
            "" => command.is_empty(),
            begin => command.starts_with(begin),
        });
        let usual = match command.split(' ').next().unwrap_or_default() {
            "" => "220 test ESMTP",
            "EHLO" if self.tls.is_some() && !is_encrypted => {
                "250-test\r\n250-STARTTLS\r\n250 8BITMIME"
            }
            "EHLO" => "250-test\r\n250-AUTH LOGIN PLAIN\r\n250 8BITMIME",
            "AUTH" => "235 in",
            "DATA" => "354 go on",
            "STARTTLS" if self.tls.is_some() => "220 go on",
            "MAIL" | "RCPT" | "." => "250 fine",
            "QUIT" => "221 bye",
            _ => "500 what?",
        };
        match scripted.map_or(Reply::Say(usual), |(_, reply)| *reply) {
            Reply::Say(text) => {
                stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await?;
                stream.get_mut().flush().await?;
                Ok(true)
            }
            Reply::Hang => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                Ok(false)
            }
            Reply::Cut => Ok(false),
        }
    }
}

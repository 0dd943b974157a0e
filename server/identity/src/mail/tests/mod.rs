//! Letters reach a mail server, or the operator learns why not.

mod server;

use std::time::Duration;

use lettre::transport::smtp::client::{Certificate, TlsParametersBuilder};

use self::server::{MailServer, Reply};
use super::smtp::Smtp;
use super::{Letter, MailError, Mailer, Site, SmtpUrl, Way};
use crate::EmailAddress;

const LINK: &str = "https://ai.example.org/verify?token=abv_0123456789";

fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn letter() -> Letter {
    let site = Site { name: "Küche", url: "https://ai.example.org" };
    Letter::verification(&site, LINK, Duration::from_secs(3600)).unwrap()
}

fn mailer(url: &str) -> Mailer {
    let from = address("Robot@ai.example.org");
    Mailer::smtp(&SmtpUrl::parse(url).unwrap(), &from, "Küche, \"AI\"").unwrap()
}

async fn send(mailer: &Mailer) -> Result<(), MailError> {
    mailer.send(&address("ada@example.org"), &letter()).await
}

/// What happens at a server that does `replies` to commands that begin so, else what is usual.
async fn sent_to(replies: &[(&'static str, Reply)]) -> (Result<(), MailError>, Vec<String>) {
    let server = MailServer::start(replies, None).await;
    let url = format!("smtp://robot:s%20ecret@{}?tls=none", server.address);
    let sent = send(&mailer(&url)).await;
    (sent, server.heard())
}

#[tokio::test]
async fn a_letter_arrives_whole() {
    let (sent, heard) = sent_to(&[]).await;
    assert_eq!(sent, Ok(()));
    assert_eq!(heard[0], "EHLO ai.example.org");
    // base64 of "\0robot\0s ecret".
    assert_eq!(heard[1], "AUTH PLAIN AHJvYm90AHMgZWNyZXQ=");
    assert_eq!(heard[2], "MAIL FROM:<Robot@ai.example.org>");
    assert_eq!(heard[3], "RCPT TO:<ada@example.org>");
    assert_eq!(heard[4], "DATA");
    let lines = &heard[5..];
    let has = |line: &str| assert!(lines.iter().any(|l| l == line), "{line} in {lines:#?}");
    has("To: ada@example.org");
    has("Auto-Submitted: auto-generated");
    has("MIME-Version: 1.0");
    has("Content-Type: text/plain; charset=utf-8");
    assert!(lines.iter().any(|line| line.starts_with("Date: ")));
    assert!(lines.iter().any(|line| line.starts_with("Message-ID: <")));
    // Only ASCII goes out, so any server takes it.
    assert!(lines.iter().all(|line| line.is_ascii()), "{lines:#?}");
    let subject = lines.iter().find(|line| line.starts_with("Subject: ")).unwrap();
    assert!(subject.contains("=?utf-8?"), "{subject}");
    let dot = lines.iter().position(|line| line == ".").unwrap();
    assert_eq!(lines[dot + 1..], ["QUIT"]);
    let body = lines[..dot].join("\n").replace("=\n", "").replace("=3D", "=");
    assert!(body.contains(LINK), "{body}");
}

#[tokio::test]
async fn each_letter_has_an_id_of_its_own() {
    let server = MailServer::start(&[], None).await;
    let mailer = mailer(&format!("smtp://{}?tls=none", server.address));
    for _ in 0..2 {
        assert_eq!(send(&mailer).await, Ok(()));
    }
    let heard = server.heard();
    let ids: Vec<_> = heard.iter().filter(|line| line.starts_with("Message-ID")).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{ids:?}");
    assert!(!heard.iter().any(|line| line.starts_with("AUTH")), "no login without a user");
}

#[tokio::test]
async fn what_a_server_refuses_is_told_apart() {
    let (sent, _) = sent_to(&[("AUTH", Reply::Say("535 5.7.8 wrong\u{7} password"))]).await;
    let error = sent.unwrap_err();
    assert!(matches!(&error, MailError::Credentials { reason, .. } if !reason.contains('\u{7}')));
    assert!(!error.may_pass() && error.to_string().contains("wrong  password"), "{error}");

    let (sent, heard) = sent_to(&[("RCPT", Reply::Say("550 no such user"))]).await;
    let error = sent.unwrap_err();
    assert!(matches!(&error, MailError::Refused { .. }) && !error.may_pass(), "{error:?}");
    assert!(error.to_string().contains("no such user"), "{error}");
    assert!(!heard.contains(&"DATA".to_owned()));

    let (sent, _) = sent_to(&[("MAIL", Reply::Say("451 greylisted"))]).await;
    let error = sent.unwrap_err();
    assert!(matches!(&error, MailError::Later { .. }) && error.may_pass(), "{error:?}");

    let (sent, _) = sent_to(&[(".", Reply::Say("554 spam"))]).await;
    assert!(matches!(sent, Err(MailError::Refused { .. })), "{sent:?}");

    let (sent, heard) = sent_to(&[("EHLO", Reply::Say("250 no extensions"))]).await;
    assert!(matches!(sent, Err(MailError::Credentials { .. })), "{sent:?}");
    assert!(!heard.iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn a_server_that_cuts_off_or_speaks_otherwise_is_broken() {
    for command in ["", "EHLO", "AUTH", "MAIL", "DATA", "."] {
        let (sent, _) = sent_to(&[(command, Reply::Cut)]).await;
        let error = sent.unwrap_err();
        assert!(matches!(&error, MailError::Broken { .. }), "{command}: {error:?}");
        assert!(error.may_pass());
    }
    // In the middle of TLS, where it is the system that says so.
    let server = MailServer::start(&[("", Reply::Cut)], None).await;
    let error = send(&mailer(&format!("smtp://{}?tls=required", server.address))).await;
    assert!(matches!(error, Err(MailError::Broken { .. })), "{error:?}");
    let (sent, _) = sent_to(&[("", Reply::Say("HTTP/1.1 400 Bad Request"))]).await;
    assert!(matches!(sent, Err(MailError::Broken { .. })), "{sent:?}");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    for command in ["", "EHLO", "RCPT", "."] {
        let server = MailServer::start(&[(command, Reply::Hang)], None).await;
        let mailer = mailer(&format!("smtp://{}?tls=none", server.address));
        let mailer = mailer.with_timeout(Duration::from_millis(200));
        let error = send(&mailer).await.unwrap_err();
        assert!(matches!(error, MailError::TimedOut { .. }), "{command}: {error:?}");
    }
}

#[tokio::test]
async fn where_nobody_listens_the_message_names_the_place() {
    let server = MailServer::start(&[], None).await;
    let address = server.address;
    server.stop().await;
    let error = send(&mailer(&format!("smtp://{address}?tls=none"))).await.unwrap_err();
    assert!(matches!(error, MailError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// A mailer that trusts `certificate` alone.
fn trusting(url: &str, certificate: &str) -> Mailer {
    let url = SmtpUrl::parse(url).unwrap();
    let certificate = Certificate::from_pem(certificate.as_bytes()).unwrap();
    let tls = TlsParametersBuilder::new(url.host.clone()).add_root_certificate(certificate);
    let smtp = Smtp::trusting(&url, "ai.example.org", tls).unwrap();
    Mailer::new(&address("robot@ai.example.org"), "", Way::Smtp(Box::new(smtp))).unwrap()
}

#[tokio::test]
async fn passwords_go_through_tls() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    for (tls, before) in
        [("required", vec![]), ("starttls", vec!["EHLO ai.example.org", "STARTTLS"])]
    {
        let server = MailServer::start(&[], Some((&certified, tls == "required"))).await;
        let url = format!("smtp://robot:secret@{}?tls={tls}", server.address);
        assert_eq!(send(&trusting(&url, &certified.cert.pem())).await, Ok(()), "{tls}");
        let heard = server.heard();
        let expected = [&before[..], &["<TLS>", "EHLO ai.example.org"]].concat();
        assert_eq!(heard[..expected.len()], expected);
        assert!(heard[expected.len()].starts_with("AUTH PLAIN "), "{heard:#?}");
    }
}

#[tokio::test]
async fn without_trust_nothing_is_sent() {
    let certified = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    for tls in ["required", "starttls"] {
        let server = MailServer::start(&[], Some((&certified, tls == "required"))).await;
        let url = format!("smtp://robot:secret@{}?tls={tls}", server.address);
        let error = send(&mailer(&url)).await.unwrap_err();
        assert!(matches!(error, MailError::Tls { .. }), "{tls}: {error:?}");
        assert!(!error.may_pass() && error.to_string().contains("certificate"), "{error}");
        assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));
    }
    // A server, or somebody in between, that offers no STARTTLS; and one that has no TLS at all.
    for tls in ["starttls", "required"] {
        let server = MailServer::start(&[], None).await;
        let url = format!("smtp://robot:secret@{}?tls={tls}", server.address);
        let error = send(&mailer(&url)).await.unwrap_err();
        assert!(matches!(error, MailError::Tls { .. }), "{tls}: {error:?}");
        assert!(!server.heard().iter().any(|line| line.starts_with("AUTH")));
    }
}

#[tokio::test]
async fn without_a_mail_server_letters_lie_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mail");
    let mailer = Mailer::folder(&path, &address("robot@ai.example.org"), "Robot").unwrap();
    assert_eq!(send(&mailer).await, Ok(()));
    let file = std::fs::read_dir(&path).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("From: Robot <robot@ai.example.org>\r\n"), "{text}");
    assert!(text.contains("To: ada@example.org\r\n"), "{text}");
    // A file where the folder should be.
    let mailer = Mailer::folder(&file, &address("robot@ai.example.org"), "").unwrap();
    let error = send(&mailer).await.unwrap_err();
    assert!(error.to_string().contains("check room and permissions"), "{error}");
}

//! A mail server on this machine, which keeps letters, and refuses some of them for the moment.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A letter that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    pub(crate) to: String,
    /// Its head and its body, as it came; what is encoded for mail is put together again.
    pub(crate) text: String,
}

impl Letter {
    pub(crate) fn subject(&self) -> &str {
        let subject = self.text.lines().find_map(|line| line.strip_prefix("Subject: "));
        subject.expect("a subject")
    }
}

/// The server.
#[derive(Clone)]
pub(crate) struct MailServer {
    pub(crate) address: String,
    letters: Arc<Mutex<Vec<Letter>>>,
    num_refused: Arc<AtomicUsize>,
}

impl MailServer {
    /// Serves until the test's process ends. The first letters are refused for the moment.
    pub(crate) fn start(num_refused: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let num_refused = Arc::new(AtomicUsize::new(num_refused));
        let server = Self { address, letters: Arc::default(), num_refused };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // An error is a client that went away, as one does that is killed.
                thread::spawn(move || drop(serving.serve(stream)));
            }
        });
        server
    }

    /// The letters that were taken.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many letters are still to be refused.
    pub(crate) fn num_refused(&self) -> usize {
        self.num_refused.load(Ordering::SeqCst)
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        stream.write_all(b"220 test ESMTP\r\n")?;
        let mut to = String::new();
        while let Some(line) = lines.next() {
            let line = line?;
            let answer = match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => "250-test\r\n250 8BITMIME",
                "RCPT" => {
                    to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                    "250 fine"
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n")?;
                    let text: Vec<String> = lines
                        .by_ref()
                        .map_while(Result::ok)
                        .take_while(|line| line != ".")
                        .collect();
                    self.take(&to, &text.join("\n"))
                }
                "QUIT" => return stream.write_all(b"221 bye\r\n"),
                _ => "250 fine",
            };
            stream.write_all(format!("{answer}\r\n").as_bytes())?;
        }
        Ok(())
    }

    fn take(&self, to: &str, text: &str) -> &'static str {
        let less = |left: usize| left.checked_sub(1);
        if self.num_refused.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
            return "451 not now";
        }
        let letter = Letter { to: to.to_owned(), text: text.replace("=\n", "") };
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        "250 taken"
    }
}

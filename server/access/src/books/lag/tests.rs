//! What is said of a journal that cannot be read, and of a ledger that fails.

use std::fs::rename;
use std::io::Write;
use std::sync::{Arc, Mutex};

use server_metering::{
    Ask, Durability, Ending, Endpoint, KeyId, Meter, ModelId, OrganizationId, Path, ProjectId,
    RequestId, Tier, Usage,
};
use server_store::{Database, Limits, Store};
use tokio::sync::watch::{Receiver, channel};
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::{Books, BooksOptions};

fn failing(num_failures: u32, is_unread: bool) -> Behind {
    Behind { num_failures, is_unread, ..Behind::default() }
}

#[test]
fn it_is_said_when_it_begins_each_minute_and_when_it_ends() {
    let (mut lag, began) = (Lag::default(), Instant::now());
    let mut look = |secs, num_failures, is_unread| {
        lag.look(&failing(num_failures, is_unread), began + Duration::from_secs(secs))
    };
    assert_eq!(look(0, 0, false), None);
    assert_eq!(look(1, 1, true), Some(Said::Unread));
    assert_eq!(look(2, 2, true), None);
    assert_eq!(look(60, 9, true), None);
    assert_eq!(look(61, 10, true), Some(Said::Unread));
    assert_eq!(look(62, 11, true), None);
    assert_eq!(look(63, 0, false), Some(Said::Read));
    assert_eq!(look(64, 0, false), None);
    // The ledger says that itself when it begins and ends.
    assert_eq!(look(100, 1, false), None);
    assert_eq!(look(160, 2, false), Some(Said::NotTaken));
    assert_eq!(look(161, 0, false), None);
    assert_eq!(look(200, 1, false), None);
    assert_eq!(look(201, 2, true), Some(Said::Unread));
    assert_eq!(look(202, 0, false), Some(Said::Read));
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// What this thread logs, as long as the guard lives.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self, what: &str) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|line| line.contains(what)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Uses something.
fn spend(books: &Books) {
    let path = Path {
        organization: OrganizationId::new("o").unwrap(),
        project: ProjectId::new("p").unwrap(),
        key: KeyId::new("k").unwrap(),
    };
    let ask = Ask {
        request: RequestId::new("r").unwrap(),
        model: ModelId::new("m").unwrap(),
        tier: Tier::new(Tier::STANDARD).unwrap(),
        endpoint: Endpoint::new("e").unwrap(),
        tag: None,
        input_tokens: 1,
        max_output_tokens: 1,
        other: Usage::NONE,
    };
    let permit = books.meters().admit(&path, &ask).unwrap();
    permit.settle(Usage::NONE.with(Meter::InputTokens, 1), Ending::Finished);
}

async fn opened() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::File(dir.path().join("store.db"));
    let store = Store::open(&database, Limits::default()).await.unwrap();
    (dir, store)
}

fn options(folder: &std::path::Path) -> BooksOptions {
    let patience = Duration::from_secs(60);
    BooksOptions { folder: folder.to_owned(), durability: Durability::Soon, patience }
}

/// Waits for what the watch tells.
async fn told(seen: &mut Receiver<Behind>, is_it: impl Fn(&Behind) -> bool) -> Behind {
    seen.wait_for(|behind| is_it(behind)).await.unwrap().clone()
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_is_told_and_so_is_its_return() {
    let (log, _logging) = Log::begin();
    let (dir, store) = opened().await;
    let folder = dir.path().join("usage");
    let mut books = Books::open(&store, options(&folder)).await.unwrap();
    let (tell, mut seen) = channel(Behind::default());
    books.watch_every(Duration::from_millis(5), move |behind| drop(tell.send(behind.clone())));

    let away = dir.path().join("away");
    rename(&folder, &away).unwrap();
    spend(&books);
    let behind = told(&mut seen, |behind| behind.num_failures > 1).await;
    assert!(behind.is_unread && behind.bytes > 0, "{behind:?}");
    assert!(behind.last_error.unwrap().contains("usage"));
    assert_eq!((log.lines("ERROR"), log.lines("the journal cannot be read")), (1, 1));
    assert_eq!(log.lines("again"), 1);
    rename(&away, &folder).unwrap();
    let behind = told(&mut seen, |behind| behind.num_failures == 0).await;
    assert_eq!((behind.is_unread, behind.last_error), (false, None));
    assert_eq!((log.lines("ERROR"), log.lines("can be read again")), (1, 1));
    books.close().await;
}

#[tokio::test]
async fn a_torn_journal_is_a_warning_of_its_own() {
    let (log, _logging) = Log::begin();
    let (dir, store) = opened().await;
    let folder = dir.path().join("usage");
    for (is_torn, num_warnings) in [(false, 0), (true, 1)] {
        let books = Books::open(&store, options(&folder)).await.unwrap();
        books.close().await;
        assert_eq!((log.lines("WARN"), log.lines("no whole record")), (num_warnings, num_warnings));
        assert_eq!(log.lines("left unfinished"), 0);
        if !is_torn {
            // A server that stops leaves none; one that is killed while it writes may leave this.
            let torn = folder.join("0").join(format!("{:020}.journal", 0));
            std::fs::write(torn, b"abmeter1torn").unwrap();
        }
    }
}

//! Servers with journals of their own, whose ledger fails at random: what all charged is what their
//! units cost, and a budget is hard.

use std::future::Future;
use std::path::Path as Folder;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use server_metering::{
    AccountId, Ask, Budget, Ending, Endpoint, Follower, FollowerOptions, Journal, JournalOptions,
    LedgerError, LendError, Lender, Limits, Meters, Micros, ModelSums, Path, Period, Permit,
    PriceBook, Refusal, RequestId, SystemClock,
};
use tokio::sync::Mutex;

use super::*;

crate::on_both! { a_budget_is_hard_and_used_up_while_the_ledger_gives_numbers }

const NUM_SERVERS: usize = 3;
const CLIENTS: usize = 3;
/// Of one request.
const MAX_OUTPUT: u64 = 20;
/// Micro-units: 2,600 tokens, of which 200 are free, 400 cost 3 and the others 1.
const BUDGET: i64 = 3_200;
const LIST: &str = r#"{"period":"total","meters":{"output_tokens":
    {"free_units":200,"steps":[{"from":0,"price":"3"},{"from":600,"price":"1"}]}}}"#;

/// Asks the database as a server does.
#[derive(Debug)]
struct Borrower {
    store: Store,
    number: i64,
    turn: Mutex<()>,
}

impl Borrower {
    async fn give_back(&self, meters: &Meters) {
        let _turn = self.turn.lock().await;
        let all = meters.give_up(true, |_| true);
        let given = self.store.give_back(self.number, &all).await;
        for (id, asks) in &all {
            meters.given_up(id, asks, given.is_ok());
        }
    }
}

impl Lender for Borrower {
    fn lend<'a>(
        &'a self,
        meters: &'a Meters,
        path: &'a Path,
        ask: &'a Ask,
    ) -> Pin<Box<dyn Future<Output = Result<(), LendError>> + Send + 'a>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            let asks = meters.wants(path, ask);
            if !asks.is_empty() {
                let id = &path.organization;
                let now = server_metering::Clock::utc(&SystemClock);
                let grants = self.store.lend(self.number, id, &asks, now).await?;
                meters.lent(id, &asks, &grants);
            }
            Ok(())
        })
    }

    fn read<'a>(
        &'a self,
        id: &'a OrganizationId,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<ModelSums>, LendError>> + Send + 'a>> {
        let now = server_metering::Clock::utc(&SystemClock);
        Box::pin(async move { Ok(self.store.model_sums(id, now).await?) })
    }
}

/// Now and then it takes nothing, and now and then nobody hears that it has: all comes again then.
struct Failing {
    ledger: SqlLedger,
    meters: Arc<OnceLock<Meters>>,
    random: Random,
}

impl Ledger for Failing {
    fn append(&mut self, entries: &[Entry]) -> Result<(), LedgerError> {
        let number = self.random.below(6);
        if number == 0 {
            return Err("it has not taken them".into());
        }
        self.ledger.append(entries)?;
        if number == 1 {
            return Err("nobody knows whether it has taken them".into());
        }
        if let Some(meters) = self.meters.get() {
            let _ = meters.appended(entries);
        }
        Ok(())
    }
}

struct Server {
    meters: Meters,
    borrower: Arc<Borrower>,
    follower: Follower,
}

impl Server {
    fn start(store: &Store, number: i64, folder: &Folder, prices: &PriceBook) -> Self {
        let folder = folder.join(number.to_string());
        let journal = Arc::new(Journal::open(&folder, JournalOptions::default()).unwrap());
        let told = Arc::<OnceLock<Meters>>::default();
        let runtime = tokio::runtime::Handle::current();
        let ledger = SqlLedger::of_several(store.clone(), runtime);
        let random = Random(number.unsigned_abs());
        let ledger = Box::new(Failing { ledger, meters: Arc::clone(&told), random });
        let options = FollowerOptions {
            every: Duration::from_millis(5),
            max_batch: 16,
            min_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(4),
        };
        let follower = Follower::start(Arc::clone(&journal), ledger, options).unwrap();
        let borrower = Borrower { store: store.clone(), number, turn: Mutex::default() };
        let borrower = Arc::new(borrower);
        let lender = Arc::clone(&borrower) as _;
        let meters = Meters::shared(journal, prices.clone(), Arc::new(SystemClock), lender);
        told.set(meters.clone()).unwrap();
        let amount = Micros::new(BUDGET);
        let limits =
            Limits { budgets: vec![Budget { period: Period::Total, amount }], ..Limits::default() };
        meters.set_limits(&account(), limits);
        Self { meters, borrower, follower }
    }
}

fn account() -> AccountId {
    AccountId::Organization(OrganizationId::new("a").unwrap())
}

async fn admit(meters: &Meters, request: &str) -> Result<Permit, Refusal> {
    let ask = Ask {
        request: RequestId::new(request).unwrap(),
        model: model("m@1"),
        tier: standard(),
        endpoint: Endpoint::new("/v1/responses").unwrap(),
        tag: None,
        input_tokens: 1,
        max_output_tokens: MAX_OUTPUT,
        other: Usage::NONE,
    };
    loop {
        match meters.admit(&path("a", "p", "k"), &ask) {
            Err(Refusal::NotLent) => meters.lease(&path("a", "p", "k"), &ask).await?,
            admitted => return admitted,
        }
    }
}

/// Asks until the budget is used up, and is told so thrice: what others have of it changes hands.
async fn client(meters: Meters, name: String) {
    let mut random = Random(name.bytes().map(u64::from).sum());
    let mut num_refused = 0;
    for num in 0.. {
        match admit(&meters, &format!("{name}-{num}")).await {
            Ok(mut permit) => {
                let output = random.below(permit.max_output_tokens() + 1);
                permit.delivered(Usage::NONE.with(Meter::OutputTokens, output / 2));
                tokio::time::sleep(Duration::from_millis(random.below(3))).await;
                permit.settle(Usage::NONE.with(Meter::OutputTokens, output), Ending::Finished);
            }
            Err(refusal @ Refusal::Budget { .. }) if refusal.retry_after().is_some() => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(Refusal::Budget { .. }) if num_refused < 2 => {
                num_refused += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(Refusal::Budget { .. }) => return,
            Err(refusal) => panic!("{refusal}"),
        }
    }
}

async fn spent(store: &Store) -> i128 {
    let now = server_metering::Clock::utc(&SystemClock);
    store.account_sums(&account(), now).await.unwrap()[2].cost.get()
}

async fn a_budget_is_hard_and_used_up_while_the_ledger_gives_numbers(on: On) {
    let opened = Opened::new(on).await;
    let folder = tempfile::tempdir().unwrap();
    set(&opened.store, None, "m", 0, LIST).await;
    let books = books(&opened.store).await;
    let mut stores = vec![opened.store.clone()];
    for _ in 1..NUM_SERVERS {
        stores.push(opened.beside().await);
    }
    let start = |(idx, store)| Server::start(store, idx as i64 + 1, folder.path(), &books.all);
    let servers: Vec<_> = stores.iter().enumerate().map(start).collect();
    let mut clients = Vec::new();
    for (idx, server) in servers.iter().enumerate() {
        for num in 0..CLIENTS {
            clients.push(tokio::spawn(client(server.meters.clone(), format!("{idx}-{num}"))));
        }
    }
    let budget = Micros::new(BUDGET).to_picos().get();
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        for server in &servers {
            server.borrower.give_back(&server.meters).await;
        }
        let now = spent(&opened.store).await;
        assert!(now <= budget, "{now} of {budget}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for client in clients {
        client.await.unwrap();
    }
    for Server { follower, .. } in servers {
        let drain = move || assert!(follower.drain(Duration::from_secs(30)));
        tokio::task::spawn_blocking(drain).await.unwrap();
    }
    let total = used(&opened.store, "a", (0, ALL_TIME.1)).await;
    let list = books.all.find(&model("m"), &standard(), UnixMillis(0)).unwrap();
    assert_eq!(total.cost, list.prices.cost(total.usage, Usage::NONE));
    assert!(total.cost.get() <= budget && total.cost.get() * 100 >= budget * 95, "{total:?}");
    assert_eq!(spent(&opened.store).await, total.cost.get());
    let lines = lines(&opened.store, "a").await;
    assert_eq!(lines.iter().map(|line| line.cost.get()).sum::<i128>(), total.cost.get());
    assert_eq!(lines.len() as u64, total.num_requests);
    for store in stores.drain(1..) {
        store.close().await;
    }
}

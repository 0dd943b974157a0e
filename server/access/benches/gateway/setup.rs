//! What is measured: a model without weights behind the real router, with
//! accounts, budgets and a ledger in a database of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use engine_core::{CacheGroups, EngineLimits};
use engine_mock::{MockEngine, MockModel, Script};
use engine_text::TextModel;
use scheduler_batching::{PlannerConfig, spawn_with};
use server_access::{Access, Books, BooksOptions};
use server_accounts::{Actor, BudgetData, DEFAULT, LimitsData, PriceListData, Scopes};
use server_http::{AppState, Authenticate, Metrics, NoAuth, ServedModel, router};
use server_metering::{Durability, Meter};
use server_store::{Database, Limits, NewKey, NewPrice, Store};
use tempfile::TempDir;

const LIMITS: EngineLimits = EngineLimits {
    block_size: 16,
    num_blocks: 1 << 16,
    max_model_len: 8192,
    max_step_tokens: 8192,
    max_step_seqs: 256,
    vocab_size: 260,
    groups: CacheGroups::WHOLE,
};
/// Of the byte-level text model.
const EOS: u32 = 257;

/// What is said on the command line.
pub(crate) struct Options {
    pub(crate) no_auth: bool,
    pub(crate) no_metering: bool,
    pub(crate) num_keys: usize,
    /// After which an answer ends; none does by itself if not said.
    pub(crate) num_tokens: Option<usize>,
}

impl Options {
    /// Those in `args`; what cargo says of its own is passed over.
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options =
            Self { no_auth: false, no_metering: false, num_keys: 1000, num_tokens: None };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--bench" => {}
                "--no-auth" => options.no_auth = true,
                "--no-metering" => options.no_metering = true,
                "--keys" => {
                    let num = args.next().and_then(|num| num.parse().ok());
                    options.num_keys = num.ok_or("--keys needs a number")?;
                }
                "--tokens" => {
                    let num = args.next().and_then(|num| num.parse().ok());
                    options.num_tokens = Some(num.ok_or("--tokens needs a number")?);
                }
                other => return Err(format!("unknown option {other}")),
            }
        }
        Ok(options)
    }
}

/// What serves, and what has to live as long.
pub(crate) struct Gateway {
    pub(crate) router: Router,
    /// One that is let in.
    pub(crate) key: Option<String>,
    _access: Access,
    _books: Option<Books>,
    _folder: TempDir,
}

/// The router before the mock, with accounts in a database of its own.
pub(crate) async fn gateway(options: &Options) -> Gateway {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::File(folder.path().join("store.db"));
    let store = Store::open(&database, Limits::default()).await.expect("a database");
    let key = accounts(&store, options.num_keys).await;
    let books = if options.no_metering { None } else { Some(books(&store, &folder).await) };
    let meters = books.as_ref().map(|books| books.meters().clone());
    let access = Access::start(store, meters.clone()).await.expect("it reads");
    let metrics = Arc::new(Metrics::new());
    let engine = MockEngine::new(LIMITS, says(options.num_tokens)).unchecked();
    let (handle, _driver) =
        spawn_with(Box::new(engine), PlannerConfig::default(), metrics.observer("mock"));
    let text = Arc::new(TextModel::byte_level());
    let model = ServedModel {
        id: "mock".to_owned(),
        version: "sha256:0123456789abcdef".into(),
        created_unix: 1_700_000_000,
        grammars: Arc::new(engine_grammar::Compiler::new(Arc::clone(&text), 0)),
        text,
        handle,
        adapter: None,
        vision: None,
    };
    let auth: Arc<dyn Authenticate> =
        if options.no_auth { Arc::new(NoAuth) } else { Arc::new(access.gate()) };
    let mut state = AppState::builder().model(model).metrics(metrics).auth(auth);
    if let Some(meters) = meters {
        state = state.meters(meters);
    }
    let key = (!options.no_auth).then_some(key);
    let router = router(state.build());
    Gateway { router, key, _access: access, _books: books, _folder: folder }
}

/// Keys with limits that are far, and a price; the last key.
async fn accounts(store: &Store, num: usize) -> String {
    let operator = Actor::operator();
    let made = operator.allow_all(DEFAULT).expect("the operator may all");
    store.create_organization(&made, "bench").await.expect("it is made");
    let may = operator.allow_all(DEFAULT).expect("the operator may all");
    store.create_project(&may, Some(DEFAULT), "bench").await.expect("it is made");
    let list = PriceListData::flat([(Meter::InputTokens, "1"), (Meter::OutputTokens, "3")]);
    let price = NewPrice {
        organization: None,
        model: "mock",
        tier: "standard",
        valid_from: 0,
        valid_until: None,
        list,
    };
    let may = operator.allow_all(DEFAULT).expect("the operator may all");
    store.set_price(&may, &price).await.expect("it is set");
    let may = operator.allow_all(DEFAULT).expect("the operator may all");
    let mut last = None;
    for number in 0..num.max(1) {
        let budgets =
            vec![BudgetData { period: "month".to_owned(), amount: "1000000000".to_owned() }];
        let new = NewKey {
            project: DEFAULT.to_owned(),
            name: format!("key {number}"),
            owner: "operator".to_owned(),
            scopes: Scopes::default(),
            limits: LimitsData { budgets, ..LimitsData::default() },
            expires_at: None,
        };
        last = Some(store.create_key(&may, &new).await.expect("it is made").1);
    }
    last.expect("a key").expose().to_owned()
}

async fn books(store: &Store, folder: &TempDir) -> Books {
    let options = BooksOptions {
        folder: folder.path().join("usage"),
        durability: Durability::Soon,
        patience: Duration::from_secs(30),
    };
    Books::open(store, options).await.expect("books")
}

/// A byte, which is a token, at a time.
fn says(num_tokens: Option<usize>) -> MockModel {
    let text = b"and so on ";
    match num_tokens {
        None => MockModel { script: Some(Script::new(text)), ..MockModel::default() },
        Some(num) => {
            let text: Vec<u8> = text.iter().cycle().take(num).copied().collect();
            MockModel::scripted(text, EOS)
        }
    }
}

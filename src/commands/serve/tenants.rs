//! Who may ask, and who pays: the accounts of the database and the books of usage, while the server
//! runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use server_access::{Access, AlertMail, Alerts, AlertsOptions, Books, BooksOptions, Hours};
use server_accounts::{AwsPair, DEFAULT, Keeping, KeySecret, KnownKey, StorePrompts};
use server_admin::Admin;
use server_http::{AppStateBuilder, AuthError, Authenticate, Caller, Metrics, NoAuth, Outbound};
use server_login::Login;
use server_metering::Durability;
use server_store::{BooksClaim, Database, Store, claim_books};

use super::billing::Billing;
use super::people::{self, Invitations, Members};
use crate::cli::ServeArgs;
use crate::when::now_ms;
use crate::{accounts, data_dir};

/// How long a start and an end wait for the ledger.
const LEDGER_PATIENCE: Duration = Duration::from_secs(30);

/// All of it.
pub(super) struct Tenants {
    store: Store,
    access: Access,
    books: Option<Books>,
    alerts: Alerts,
    hours: Option<Hours>,
    billing: Option<Billing>,
    login: Login,
    invitations: Arc<Invitations>,
    is_open: bool,
    /// Of projects that have not said.
    store_prompts: StorePrompts,
    /// Given back when all of it is over.
    _claim: Option<BooksClaim>,
}

impl Tenants {
    /// Reads accounts and opens the books. Makes the first key where there is none, and shows it
    /// once: this goes last, so that a start which fails does not spend that.
    ///
    /// # Errors
    /// If the database, a journal, an old file of keys or the file of plans fails.
    pub(super) async fn open(args: &ServeArgs, data_dir: &Path, store: &Store) -> Result<Self> {
        let options = alerts(args, data_dir)?;
        let login = people::login(args, data_dir, store)?;
        let invitations = Arc::new(Invitations::new(args, data_dir)?);
        accounts::prepare(store, data_dir).await?;
        if let Some(currency) = args.currency {
            let set = store.set_currency(&accounts::allowed(DEFAULT)?, currency).await;
            set.with_context(|| format!("cannot use the currency {currency}"))?;
        }
        let claim = claim(args, data_dir).await?;
        let books = books(args, data_dir, store).await?;
        let billing = Billing::open(args, store)?;
        let is_open = args.no_auth;
        let first = if is_open { None } else { accounts::first_key(store, data_dir).await? };
        let meters = books.as_ref().map(|books| books.meters().clone());
        let access = Access::start(store.clone(), meters.clone()).await?;
        let hours = meters.clone().map(|meters| Hours::start(store.clone(), meters));
        let alerts = Alerts::start(store.clone(), meters, options);
        if let Some((id, secret)) = first {
            show(&id, &secret)?;
        }
        let store = store.clone();
        Ok(Self {
            store,
            access,
            books,
            alerts,
            hours,
            billing,
            login,
            invitations,
            is_open,
            store_prompts: args.keep.store_prompts.unwrap_or_default(),
            _claim: claim,
        })
    }

    /// A server that lets in whom these accounts do, with the admin API, that of logins, and what
    /// there is to pay.
    pub(super) fn guard(&self, state: AppStateBuilder) -> AppStateBuilder {
        let gate = self.access.gate().store_prompts(self.store_prompts);
        let note = {
            let gate = gate.clone();
            move |known: &KnownKey| gate.note(known, now_ms() / 1000)
        };
        let admin = Admin::new(self.store.clone(), self.access.directory().clone());
        let admin = admin.refreshed_by(Arc::new(gate.clone())).on_use(note);
        let members = Members(self.login.clone());
        let mut admin = admin.inviter(self.invitations.clone()).people(Arc::new(members));
        let everybody = Everybody(self.store_prompts);
        let mut state =
            if self.is_open { state.auth(Arc::new(everybody)) } else { state.auth(Arc::new(gate)) };
        if let Some(books) = &self.books {
            admin = admin.meters(books.meters().clone());
            state = state.meters(books.meters().clone());
        }
        if let Some(billing) = &self.billing {
            state = billing.mount(state, &admin);
        }
        let state = state.mount(server_admin::routes(admin), server_admin::document());
        state.mount(server_login::routes(self.login.clone()), server_login::document())
    }

    /// Has these metrics tell from now on how far the ledger is behind.
    pub(super) fn watch(&mut self, metrics: Arc<Metrics>) {
        if let Some(books) = &mut self.books {
            books.watch(move |behind| metrics.usage_waits(behind.bytes, behind.num_failures));
        }
    }

    /// How many there are.
    pub(super) fn num(&self) -> usize {
        if self.is_open { 1 } else { self.access.directory().num_organizations().max(1) }
    }

    /// Ends alerts, and gives the ledger what is left.
    pub(super) async fn close(self) {
        // What it does can be cut off anywhere, and needs the store.
        drop((self.billing, self.hours));
        self.alerts.stop().await;
        if let Some(books) = self.books {
            books.close().await;
        }
    }
}

/// Lets everybody of this machine in, and stores as projects do that have not said.
struct Everybody(StorePrompts);

impl Authenticate for Everybody {
    fn check(&self, bearer: Option<&str>) -> Result<Caller, AuthError> {
        let keeping = Keeping { prompts: self.0, retention_days: None };
        Ok(Caller { keeping, ..NoAuth.check(bearer)? })
    }

    fn is_open(&self) -> bool {
        true
    }
}

/// What is written of usage, and what lets requests in by it; nothing, where that is not wanted.
async fn books(args: &ServeArgs, data_dir: &Path, store: &Store) -> Result<Option<Books>> {
    if args.no_metering {
        return Ok(None);
    }
    let durability = if args.sync_usage { Durability::BeforeAck } else { Durability::Soon };
    let (folder, patience) = (data_dir::journals(data_dir), LEDGER_PATIENCE);
    let books = Books::open(store, BooksOptions { folder, durability, patience }).await;
    Ok(Some(books.context("cannot open the books of usage")?))
}

/// Sees to it that no other server counts the same limits in its own memory: of a file, since those
/// of a server of PostgreSQL are lent.
async fn claim(args: &ServeArgs, data_dir: &Path) -> Result<Option<BooksClaim>> {
    let Database::File(file) = args.database.database(data_dir)? else { return Ok(None) };
    if args.no_metering {
        return Ok(None);
    }
    let claim = claim_books(&file).await.with_context(|| file.display().to_string())?;
    let claim = claim.with_context(|| {
        format!(
            "another server keeps to limits on {}: several share them on PostgreSQL, with \
             --database-url on each",
            file.display()
        )
    })?;
    Ok(Some(claim))
}

/// How alerts and letters about invoices are told.
fn alerts(args: &ServeArgs, data_dir: &Path) -> Result<AlertsOptions> {
    let it = &args.alerts;
    let outbound =
        if it.allow_private_webhooks { Outbound::to_any() } else { Outbound::to_public() };
    let mailer = people::mailer(args, data_dir)?;
    let mail = AlertMail { mailer, site_url: people::site_url(args) };
    // A server that sends none need not have certificates.
    let outbound = outbound.inspect_err(|error| tracing::warn!(%error, "no webhooks are sent"));
    Ok(AlertsOptions { outbound: outbound.ok(), mail })
}

fn show(id: &str, secret: &KeySecret) -> Result<()> {
    outln!("API key (shown once, keep it): {}", secret.expose())?;
    let pair = AwsPair::of(id, secret);
    outln!("The same for AWS's clients (`agentbase key aws` shows it again):\n{pair}")
}

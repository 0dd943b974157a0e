//! What goes with a request from its receipt to its end, as its span does: its names, its deadline,
//! and whether its project cancelled it.
//!
//! Invariant: a ticket can be found by its names, and only by its own project, exactly while
//! somebody holds it: the handler, or the generation that streams on after it.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName};
use futures_util::task::AtomicWaker;
use server_accounts::Scopes;
use server_metering::{Endpoint, ProjectPath, RateStatuses, Tag};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{ApiError, params};

const TIMEOUT: HeaderName = HeaderName::from_static("x-request-timeout");
/// Names that are kept at once. A request has two, and connections bound the requests; beyond, a
/// request runs as any other and cannot be named.
const MAX_NAMES: usize = 1 << 17;

tokio::task_local! {
    static CURRENT: Arc<Ticket>;
}

/// All tickets that are out, by project and name. A client may use one name several times.
#[derive(Default)]
pub(crate) struct Tickets {
    named: Mutex<BTreeMap<(ProjectPath, String, u64), Weak<Ticket>>>,
    next: AtomicU64,
}

impl Tickets {
    fn named(&self) -> MutexGuard<'_, BTreeMap<(ProjectPath, String, u64), Weak<Ticket>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cancels the project's requests of this name, but not the one that asks for it. Whether there
    /// was any.
    pub(crate) fn cancel(&self, whose: &ProjectPath, name: &str) -> bool {
        let key = |number| (whose.clone(), name.to_owned(), number);
        let asking = CURRENT.try_with(|ticket| ticket.number).ok();
        let named = self.named();
        let found = named.range(key(0)..=key(u64::MAX));
        let others = found.filter(|((.., number), _)| Some(*number) != asking);
        let tickets: Vec<_> = others.filter_map(|(_, ticket)| ticket.upgrade()).collect();
        // A ticket that ends here takes its names out, which needs the lock.
        drop(named);
        tickets.iter().for_each(|ticket| ticket.cancel());
        !tickets.is_empty()
    }
}

/// One request.
pub(crate) struct Ticket {
    tickets: Arc<Tickets>,
    whose: ProjectPath,
    number: u64,
    names: Mutex<Vec<String>>,
    received: Instant,
    /// What the client allows, by the header.
    timeout: Option<Duration>,
    /// What the operator allows.
    max: Option<Duration>,
    cancelled: AtomicBool,
    waker: AtomicWaker,
    /// How its caller's rates stand, for the head of its answer.
    rates: OnceLock<RateStatuses>,
    /// What its head says it is about.
    asked: OnceLock<Asked>,
}

/// What a request is about, as its head says.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its route.
    pub(crate) endpoint: Endpoint,
    /// What its client groups it with.
    pub(crate) tag: Option<Tag>,
    /// What its key may be used for.
    pub(crate) scopes: Arc<Scopes>,
}

impl Ticket {
    /// A request that came just now.
    pub(crate) fn new(
        tickets: &Arc<Tickets>,
        whose: ProjectPath,
        headers: &HeaderMap,
        max: Option<Duration>,
    ) -> Result<Arc<Self>, ApiError> {
        Ok(Arc::new(Self {
            tickets: Arc::clone(tickets),
            whose,
            number: tickets.next.fetch_add(1, Ordering::Relaxed),
            names: Mutex::default(),
            received: Instant::now(),
            timeout: timeout(headers)?,
            max,
            cancelled: AtomicBool::new(false),
            waker: AtomicWaker::new(),
            rates: OnceLock::new(),
            asked: OnceLock::new(),
        }))
    }

    /// The ticket of the request that is being handled.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Handles the request.
    pub(crate) fn scope<F: Future>(
        self: Arc<Self>,
        handling: F,
    ) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, handling)
    }

    /// From now on the request can be found by `name`, too.
    pub(crate) fn name(self: &Arc<Self>, name: &str) {
        let mut named = self.tickets.named();
        if named.len() < MAX_NAMES {
            let key = (self.whose.clone(), name.to_owned(), self.number);
            named.insert(key, Arc::downgrade(self));
            self.names.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        }
    }

    /// How its caller's rates stood when it was let in or refused, if it is metered.
    pub(crate) fn rates(&self) -> Option<&RateStatuses> {
        self.rates.get()
    }

    /// What it is about, once.
    pub(crate) fn note(&self, asked: Asked) {
        let _ = self.asked.set(asked);
    }

    fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// When the time is over that the header, the body and the operator allow.
    fn deadline(&self, body: Option<Duration>) -> Option<Deadline> {
        let client = self.timeout.into_iter().chain(body).min();
        let by_client = client.is_some_and(|client| self.max.is_none_or(|max| client <= max));
        let timeout = client.into_iter().chain(self.max).min()?;
        Some(Deadline { at: self.received.checked_add(timeout)?, timeout, by_client })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let names = std::mem::take(self.names.get_mut().unwrap_or_else(PoisonError::into_inner));
        let mut named = self.tickets.named();
        for name in names {
            named.remove(&(self.whose.clone(), name, self.number));
        }
    }
}

/// Whether the current request's key is for a model.
pub(crate) fn allows_model(id: &str) -> bool {
    current_asked().is_none_or(|asked| asked.scopes.allow_model(id))
}

/// What the current request is about.
pub(crate) fn current_asked() -> Option<Asked> {
    CURRENT.try_with(|ticket| ticket.asked.get().cloned()).ok().flatten()
}

/// Lets the current request be found by the id of its answer.
pub(crate) fn name_current(id: &str) {
    if let Some(ticket) = Ticket::current() {
        ticket.name(id);
    }
}

/// How long the current request may go on from its receipt, whose body allows `body`.
pub(crate) fn current_timeout(body: Option<Duration>) -> Option<Duration> {
    match Ticket::current() {
        Some(ticket) => ticket.deadline(body).map(|deadline| deadline.timeout),
        None => body,
    }
}

/// The current request's caller has rates that stand so.
pub(crate) fn note_rates(rates: RateStatuses) {
    if let Some(ticket) = Ticket::current() {
        let _ = ticket.rates.set(rates);
    }
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, ApiError> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let seconds = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    match seconds {
        Some(seconds) => params::timeout(TIMEOUT.as_str(), Some(seconds)),
        None => {
            let message = format!("Invalid value for '{TIMEOUT}': it is a number of seconds.");
            Err(ApiError::invalid(Some(TIMEOUT.as_str()), message))
        }
    }
}

/// When a request's time is over.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    timeout: Duration,
    /// Whether the client set it, not the operator.
    by_client: bool,
}

impl Deadline {
    fn error(&self) -> ApiError {
        ApiError::deadline_exceeded(self.timeout, self.by_client)
    }
}

/// How long a generation may go on.
pub(crate) struct Life {
    ticket: Option<Arc<Ticket>>,
    over: Option<(Pin<Box<Sleep>>, Deadline)>,
}

impl Life {
    /// That of the current request, whose body allows `timeout`.
    pub(crate) fn of_current(timeout: Option<Duration>) -> Self {
        let ticket = Ticket::current();
        let deadline = match &ticket {
            Some(ticket) => ticket.deadline(timeout),
            None => timeout.and_then(|timeout| {
                let at = Instant::now().checked_add(timeout)?;
                Some(Deadline { at, timeout, by_client: true })
            }),
        };
        let over = deadline.map(|deadline| (Box::pin(sleep_until(deadline.at)), deadline));
        Self { ticket, over }
    }

    /// Why it is over by now, if it is.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        if self.ticket.as_ref().is_some_and(|ticket| ticket.cancelled.load(Ordering::Acquire)) {
            return Err(ApiError::cancelled());
        }
        match &self.over {
            Some((_, deadline)) if Instant::now() >= deadline.at => Err(deadline.error()),
            _ => Ok(()),
        }
    }

    /// Ready when it is over.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<ApiError> {
        if let Some(ticket) = &self.ticket {
            ticket.waker.register(cx.waker());
            if ticket.cancelled.load(Ordering::Acquire) {
                return Poll::Ready(ApiError::cancelled());
            }
        }
        match &mut self.over {
            Some((sleep, deadline)) => sleep.as_mut().poll(cx).map(|()| deadline.error()),
            None => Poll::Pending,
        }
    }
}

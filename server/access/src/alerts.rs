//! Alerts at work: who is to be told that a budget or a quota is nearly used, and the telling, also
//! of invoices that are past due.
//!
//! Invariant: that something is to be told is in the database before it is told, and what was told
//! is noted there; a server that is killed between the two tells it again with the same id.

mod event;
mod invoices;
mod send;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use server_http::{Outbound, unix_time};
use server_identity::mail::Mailer;
use server_metering::{Clock, Meters, SystemClock};
use server_store::Store;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use self::send::Sender;
use self::watch::Watcher;

/// How often what was used is compared with the alerts.
const WATCH_EVERY: Duration = Duration::from_secs(5);
/// How often the database is asked for what is due.
const SEND_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);
/// Messages that are tried at once.
const MAX_TRIES: usize = 16;
/// How long an end waits for what is being tried.
const PATIENCE: Duration = Duration::from_secs(15);

/// How alerts are told.
pub struct AlertsOptions {
    /// What webhooks are sent by; without it, those are given up after their tries.
    pub outbound: Option<Outbound>,
    /// What mail is sent by.
    pub mail: AlertMail,
}

/// How mail is sent.
pub struct AlertMail {
    /// What sends it.
    pub mailer: Mailer,
    /// Where people reach the server, `https://…`: for links.
    pub site_url: String,
}

/// The alerts of a database, watched and sent. Dropped, they are no longer, and what is being tried
/// is tried again by whoever starts next.
#[derive(Debug)]
pub struct Alerts {
    watching: Option<JoinHandle<()>>,
    sending: JoinHandle<()>,
    is_over: Arc<Notify>,
}

impl Alerts {
    /// Compares all alerts with what was used from now on, if it is counted, and sends what is to
    /// be sent.
    #[must_use]
    pub fn start(store: Store, meters: Option<Meters>, options: AlertsOptions) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let is_over = Arc::new(Notify::new());
        let sender = Arc::new(Sender::new(store.clone(), options));
        let watcher = meters.map(|meters| Watcher::new(store.clone(), meters, clock));
        let watching = watcher.map(|watcher| tokio::spawn(watch_forever(watcher)));
        let sending = tokio::spawn(send_forever(store, sender, Arc::clone(&is_over)));
        Self { watching, sending, is_over }
    }

    /// Begins nothing more, and waits a while for what is being tried.
    pub async fn stop(mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
        self.is_over.notify_one();
        if timeout(PATIENCE, &mut self.sending).await.is_err() {
            tracing::warn!("messages were being sent; the next start sends them again");
        }
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.watching.iter().for_each(JoinHandle::abort);
        self.sending.abort();
    }
}

async fn watch_forever(mut watcher: Watcher) {
    let mut tick = interval(WATCH_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if let Err(error) = watcher.check().await {
            tracing::warn!(%error, "alerts cannot be read");
        }
    }
}

async fn send_forever(store: Store, sender: Arc<Sender>, is_over: Arc<Notify>) {
    let mut tick = interval(SEND_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut trying, mut swept) = (JoinSet::new(), None::<Instant>);
    loop {
        tokio::select! {
            () = is_over.notified() => break,
            _ = tick.tick() => {}
            Some(_) = trying.join_next() => {}
        }
        if swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY) {
            swept = Some(Instant::now());
            if let Err(error) = store.sweep_outbox(unix_time()).await {
                tracing::warn!(%error, "old messages are not removed");
            }
        }
        let room = u32::try_from(MAX_TRIES.saturating_sub(trying.len())).unwrap_or(0);
        if room == 0 {
            continue;
        }
        match store.take_deliveries(unix_time(), room).await {
            Ok(deliveries) => {
                for delivery in deliveries {
                    let sender = Arc::clone(&sender);
                    trying.spawn(async move { sender.attempt(&delivery, unix_time).await });
                }
            }
            Err(error) => tracing::warn!(%error, "what is to be sent cannot be read"),
        }
    }
    while trying.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;

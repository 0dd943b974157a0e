//! Letters, sent beside the request that asked for them.
//!
//! Invariant: whatever depends on whether an address has an account is done after the answer, so
//! the answer's time does not tell. At most [`MAX_ERRANDS`] are on at a time.

use std::sync::Arc;
use std::time::Duration;

use server_http::ApiError;
use server_identity::mail::{Letter, LetterError, MailError, Mailer, Site};
use server_identity::{EmailAddress, EmailError, Secret};
use server_store::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Settings;

const MAX_ERRANDS: usize = 64;
const RETRY_S: u32 = 5;
/// Waits between attempts to send a letter.
const WAITS: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(60)];

/// Sends letters.
pub(crate) struct Letters {
    mailer: Mailer,
    errands: Arc<Semaphore>,
    site_name: String,
    site_url: String,
    pages_url: String,
}

/// Leave to do one thing after the answer.
pub(crate) struct Errand(OwnedSemaphorePermit);

/// Why an errand was not done; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErrandError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Letter(#[from] LetterError),
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error("an account has an address that is none: {0}")]
    Email(#[from] EmailError),
}

impl Letters {
    pub(crate) fn new(mailer: Mailer, settings: &Settings) -> Self {
        Self {
            mailer,
            errands: Arc::new(Semaphore::new(MAX_ERRANDS)),
            site_name: settings.site_name.clone(),
            site_url: settings.site_url.clone(),
            pages_url: settings.pages_url.trim_end_matches('/').to_owned(),
        }
    }

    /// Leave for one errand, to be had before anything is known of the address.
    ///
    /// # Errors
    /// 503, if too many are on.
    pub(crate) fn errand(&self) -> Result<Errand, ApiError> {
        let permit = Arc::clone(&self.errands).try_acquire_owned().map_err(|_| {
            let message = "Too many letters are being sent at this moment: try again.";
            ApiError::unavailable("too_many_letters", message, RETRY_S)
        })?;
        Ok(Errand(permit))
    }

    /// Who writes.
    pub(crate) fn site(&self) -> Site<'_> {
        Site { name: &self.site_name, url: &self.site_url }
    }

    /// Whether links lead to this server's own pages.
    pub(crate) fn lead_here(&self) -> bool {
        self.pages_url == self.site_url
    }

    /// The address of a page.
    pub(crate) fn page(&self, name: &str) -> String {
        format!("{}/{name}", self.pages_url)
    }

    /// The address of a page that reads a token.
    pub(crate) fn page_with(&self, name: &str, secret: &Secret) -> String {
        format!("{}?token={}", self.page(name), secret.reveal())
    }

    /// Sends a letter, again if it may pass.
    pub(crate) async fn send(&self, to: &str, letter: &Letter) -> Result<(), ErrandError> {
        let to = EmailAddress::parse(to)?;
        for wait in WAITS {
            match self.mailer.send(&to, letter).await {
                Err(error) if error.may_pass() => {
                    tracing::warn!(%error, "a letter was not sent yet");
                    tokio::time::sleep(wait).await;
                }
                sent => return Ok(sent?),
            }
        }
        Ok(self.mailer.send(&to, letter).await?)
    }
}

impl Errand {
    /// Does it, whether anybody still waits for an answer or not.
    pub(crate) fn run<F>(self, work: F)
    where
        F: Future<Output = Result<(), ErrandError>> + Send + 'static,
    {
        tokio::spawn(async move {
            let _permit = self.0;
            if let Err(error) = work.await {
                tracing::error!(%error, "a letter was not sent");
            }
        });
    }
}

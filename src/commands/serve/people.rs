//! How people get in, and how letters reach them, while the server runs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::http::{HeaderMap, HeaderName, Method, header};
use server_admin::{InviteMail, InviteSecret, Inviter, Known, People, Sent};
use server_http::sent_key;
use server_identity::mail::{Letter, Mailer, Site, SmtpUrl};
use server_identity::{EmailAddress, PasswordHasher, Purpose, Secret};
use server_login::{Login, LoginKey, NamedProvider, Parts, ProviderData, Settings, SignUp};
use server_store::Store;

use crate::cli::{ServeArgs, SignUpBy};
use crate::data_dir;
use crate::when::now_ms;

const SITE_NAME: &str = "Agentbase";
/// Who letters are from that are written into a folder.
const NOBODY: &str = "agentbase@localhost.localdomain";
/// Which organization somebody means who is in several, as OpenAI's clients say it.
const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
/// A file of providers is small; anything larger is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where people reach the server.
pub(super) fn site_url(args: &ServeArgs) -> String {
    let listen = args.listen.unwrap_or(super::DEFAULT_LISTEN);
    args.alerts.public_url.clone().unwrap_or_else(|| format!("http://{listen}"))
}

/// What sends letters; without a mail server they are files in the data directory, for the
/// operator to hand on.
pub(super) fn mailer(args: &ServeArgs, data_dir: &Path) -> Result<Mailer> {
    match (&args.alerts.smtp_url, &args.alerts.mail_from) {
        (Some(url), Some(from)) => {
            let from = EmailAddress::parse(from).context("--mail-from")?;
            Ok(Mailer::smtp(&SmtpUrl::parse(url)?, &from, SITE_NAME)?)
        }
        (None, None) => {
            let folder = data_dir::letters(data_dir);
            Ok(Mailer::folder(&folder, &EmailAddress::parse(NOBODY)?, SITE_NAME)?)
        }
        _ => bail!("mail needs both --smtp-url and --mail-from"),
    }
}

/// What lets people in.
///
/// # Errors
/// If the key, the mail server or a provider cannot be used.
pub(super) fn login(args: &ServeArgs, data_dir: &Path, store: &Store) -> Result<Login> {
    let mut settings = Settings::new(SITE_NAME, &site_url(args));
    settings.sign_up = match args.login.sign_up {
        Some(SignUpBy::Open) => SignUp::Open,
        Some(SignUpBy::Off) => SignUp::Off,
        Some(SignUpBy::Invited) | None => SignUp::InvitedOnly,
    };
    if let Some(file) = &args.login.login_providers {
        settings.providers = providers(file)?;
    }
    let parts = Parts {
        store: store.clone(),
        hasher: PasswordHasher::new()?,
        key: LoginKey::open(&data_dir::login_key(data_dir))?,
        mailer: mailer(args, data_dir)?,
        settings,
    };
    Login::new(parts).context("people cannot log in")
}

fn providers(file: &Path) -> Result<Vec<NamedProvider>> {
    let shown = file.display();
    let size = file.metadata().with_context(|| format!("cannot read {shown}"))?.len();
    if size > MAX_FILE_BYTES {
        bail!("{shown} is too large to be a list of providers");
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let list: Vec<ProviderData> =
        serde_json::from_str(&text).with_context(|| format!("{shown} is no list of providers"))?;
    list.iter().map(|data| Ok(NamedProvider::new(data)?)).collect()
}

/// People who ask the admin API.
pub(super) struct Members(pub(super) Login);

impl People for Members {
    fn known<'a>(&'a self, method: &'a Method, headers: &'a HeaderMap) -> Option<Known<'a>> {
        let is_person = match sent_key(headers) {
            Some(credential) => Login::is_meant(credential),
            // A browser's session.
            None => headers.contains_key(header::COOKIE),
        };
        is_person.then(|| -> Known<'a> {
            Box::pin(async move {
                let organization = headers.get(ORGANIZATION).and_then(|it| it.to_str().ok());
                self.0.actor_of_request(method, headers, organization).await
            })
        })
    }
}

/// Sends invitations.
pub(super) struct Invitations {
    mailer: Arc<Mailer>,
    site_url: String,
}

impl Invitations {
    /// By the mail server, or into the folder of letters.
    ///
    /// # Errors
    /// If the mail server cannot be used.
    pub(super) fn new(args: &ServeArgs, data_dir: &Path) -> Result<Self> {
        let mailer = Arc::new(mailer(args, data_dir)?);
        Ok(Self { mailer, site_url: site_url(args) })
    }
}

impl Inviter for Invitations {
    fn address(&self, email: &str) -> Result<String, String> {
        EmailAddress::parse(email).map(|email| email.key()).map_err(|error| error.to_string())
    }

    fn secret(&self) -> InviteSecret {
        let secret = Secret::random(Purpose::Invitation);
        InviteSecret { secret: secret.reveal().to_owned(), hash: secret.hash().to_hex() }
    }

    fn send<'a>(&'a self, mail: InviteMail<'a>) -> Sent<'a> {
        Box::pin(async move {
            let site = Site { name: SITE_NAME, url: &self.site_url };
            let link = format!("{}/invitation?token={}", self.site_url, mail.secret);
            let seconds = mail.expires_at.saturating_sub(now_ms() / 1000);
            let valid_for = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            let to = EmailAddress::parse(mail.email).map_err(|error| error.to_string())?;
            let organization = mail.organization;
            let letter = Letter::invitation(&site, organization, organization, &link, valid_for);
            let letter = letter.map_err(|error| error.to_string())?;
            self.mailer.send(&to, &letter).await.map_err(|error| error.to_string())
        })
    }
}

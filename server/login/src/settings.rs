//! What the operator decides.

use std::time::Duration;

use server_identity::MAX_LIFETIME;

use crate::NamedProvider;

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignUp {
    /// Anybody, who gets an organization of their own.
    Open,
    /// Who was invited to an organization.
    #[default]
    InvitedOnly,
    /// Nobody.
    Off,
}

/// When who signed up gets an organization of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrganizationFounded {
    /// When the address is known to be theirs.
    #[default]
    Verified,
    /// When they sign up.
    AtOnce,
}

/// What the operator decides.
pub struct Settings {
    /// What people know the server as.
    pub site_name: String,
    /// The server's address as people see it, `https://…` without a path: links and redirects lead
    /// there, and only its own pages may use cookies.
    pub site_url: String,
    /// Where the links of letters lead, by default `site_url`, where plain pages are: others at
    /// `/verify-email`, `/change-email` and `/reset-password` read `?token=…` and call this API;
    /// `/forgot-password` has none.
    pub pages_url: String,
    /// Where a browser goes after a login with another provider: a path of this server.
    pub home: String,
    /// Who may make an account.
    pub sign_up: SignUp,
    /// When they get an organization.
    pub organization: OrganizationFounded,
    /// How long a session lasts.
    pub session_lifetime: Duration,
    /// How long an access token lasts, 15 minutes at most.
    pub access_lifetime: Duration,
    /// How long a link that verifies an address works.
    pub verification_lifetime: Duration,
    /// How long a link to set a new password works.
    pub reset_lifetime: Duration,
    /// Whether attempts are counted by network address, too: not where all come from a proxy's.
    pub count_addresses: bool,
    /// Other providers that people may log in with.
    pub providers: Vec<NamedProvider>,
}

impl Settings {
    /// The default ones of a server at an address.
    #[must_use]
    pub fn new(site_name: &str, site_url: &str) -> Self {
        let site_url = site_url.trim_end_matches('/').to_owned();
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self {
            site_name: site_name.to_owned(),
            pages_url: site_url.clone(),
            site_url,
            home: "/".to_owned(),
            sign_up: SignUp::default(),
            organization: OrganizationFounded::default(),
            session_lifetime: hours(30 * 24),
            access_lifetime: MAX_LIFETIME,
            verification_lifetime: hours(24),
            reset_lifetime: hours(1),
            count_addresses: true,
            providers: Vec::new(),
        }
    }
}

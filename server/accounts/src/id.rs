//! Ids of what belongs to accounts, with OpenAI's prefixes.

use rand::Rng;

const ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 119 bits: no two are the same.
const NUM_LETTERS: usize = 20;

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An organization.
    Organization,
    /// A project.
    Project,
    /// A user.
    User,
    /// An API key, whichever it is.
    Key,
    /// A service account.
    ServiceAccount,
    /// An invitation.
    Invitation,
    /// A line of the audit log.
    AuditRecord,
    /// A price list.
    PriceList,
    /// A session of a user.
    Session,
    /// Where webhooks go.
    Webhook,
    /// An alert.
    Alert,
    /// What happened, as webhooks tell of it.
    Event,
    /// What is to be delivered to one receiver.
    Message,
    /// Throughput that is held ready.
    Provision,
    /// What is paid at least.
    Commitment,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Organization => "org-",
            Self::Project => "proj_",
            Self::User => "user-",
            Self::Key => "key_",
            Self::ServiceAccount => "svc_acct_",
            Self::Invitation => "invite-",
            Self::AuditRecord => "audit_log-",
            Self::PriceList => "price_",
            Self::Session => "sess_",
            Self::Webhook => "wh_",
            Self::Alert => "alert_",
            Self::Event => "evt_",
            Self::Message => "msg_",
            Self::Provision => "prov_",
            Self::Commitment => "commit_",
        }
    }
}

/// A new id; nothing else has it.
#[must_use]
pub fn new_id(kind: Kind) -> String {
    format!("{}{}", kind.prefix(), letters(NUM_LETTERS))
}

/// So many random letters and digits.
pub(crate) fn letters(num: usize) -> String {
    let mut rng = rand::rng();
    (0..num).map(|_| char::from(ALPHABET[rng.random_range(..ALPHABET.len())])).collect()
}

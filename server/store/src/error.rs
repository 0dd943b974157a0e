//! Why something is not kept or found.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// This tenant has no such thing, or no longer.
    #[error("there is no {what} '{id}'")]
    NotFound {
        /// `response`, `conversation`, …
        what: &'static str,
        /// The id that was asked for.
        id: String,
    },
    /// A page is to come after something that is not on its list.
    #[error("nothing on the list has the id that the page comes after")]
    NotListed,
    /// It is larger than one thing may be.
    #[error("{num_bytes} bytes are more than the {max} that are kept of one {what}")]
    TooLarge {
        /// `response`, `conversation`, …
        what: &'static str,
        /// Its size.
        num_bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The tenant keeps as much as it may.
    #[error("{used} {what} would be kept, the limit is {max}: delete some, or keep less")]
    Full {
        /// `rows` or `bytes`.
        what: &'static str,
        /// What it would come to.
        used: u64,
        /// The limit.
        max: u64,
    },
    /// More than one conversation or chain may have.
    #[error("a {what} has at most {max}")]
    TooMany {
        /// `conversation's items`, …
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// An item of that id is there already.
    #[error("the item '{id}' is in the conversation already")]
    Duplicate {
        /// The id.
        id: String,
    },
    /// Something of that id is there already.
    #[error("there is a {what} '{id}' already: choose another id")]
    Exists {
        /// `project`, `organization`, …
        what: &'static str,
        /// The id.
        id: String,
    },
    /// It cannot be made or changed like that.
    #[error("the {what} cannot be like that: {why}")]
    Invalid {
        /// `name`, `project`, `limits`, …
        what: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// It is used, and has to stay.
    #[error("the {what} '{id}' is in use: give those who have it another one first")]
    InUse {
        /// `role`.
        what: &'static str,
        /// Its name.
        id: String,
    },
    /// The rest needs it.
    #[error("the {what} '{id}' stays: {why}")]
    Stays {
        /// `project`.
        what: &'static str,
        /// Its id.
        id: String,
        /// What needs it.
        why: &'static str,
    },
    /// Nobody could do anything about the organization any more.
    #[error(
        "the last owner of the organization '{0}' stays its owner: make somebody else an owner \
         first"
    )]
    LastOwner(String),
    /// Whoever asks may not.
    #[error(transparent)]
    Denied(#[from] server_accounts::Denied),
    /// A row is there that this version does not understand.
    #[error("the {what} '{id}' is kept in a form that this version does not read: {why}")]
    Unreadable {
        /// `project`, `key`, …
        what: &'static str,
        /// Its id.
        id: String,
        /// What is wrong.
        why: String,
    },
    /// The database did not answer in time.
    #[error("the database did not answer in time")]
    Timeout,
    /// The database failed.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The database is not ours, or of a newer version.
    #[error("the database cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The file cannot be made.
    #[error("cannot create the database: {0}")]
    Create(#[from] std::io::Error),
    /// It is being replaced, or migrated.
    #[error("another process is restoring or migrating the database; wait for its end")]
    Restoring,
    /// No URL of a database that can be used. It may hold a password, and is not told.
    #[error("{0}: a database's URL is postgres://USER:PASSWORD@HOST/DATABASE, or sqlite:FILE")]
    Url(&'static str),
    /// It is about money, and cannot be.
    #[error(transparent)]
    Billing(#[from] crate::BillingError),
}

impl StoreError {
    pub(crate) fn invalid(what: &'static str, why: impl ToString) -> Self {
        Self::Invalid { what, why: why.to_string() }
    }

    /// Where it was a `sought` that was not found, and a page was to come after it.
    pub(crate) fn of_cursor(self, sought: &str) -> Self {
        match self {
            Self::NotFound { what, .. } if what == sought => Self::NotListed,
            error => error,
        }
    }
}

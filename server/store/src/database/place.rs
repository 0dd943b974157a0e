//! Which database is meant.
//!
//! Invariant: what is shown of it never holds a password.

use std::fmt;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

use crate::StoreError;

/// A database, by its place.
#[derive(Clone)]
pub enum Database {
    /// SQLite, in a file.
    File(PathBuf),
    /// PostgreSQL.
    Postgres(Box<PgConnectOptions>),
}

impl Database {
    /// The database of a URL.
    ///
    /// # Errors
    /// [`StoreError::Url`] if it is none.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err(StoreError::Url("this is no URL"));
        };
        match scheme {
            "postgres" | "postgresql" => {
                let options = url.parse::<PgConnectOptions>();
                let options = options.map_err(|_| StoreError::Url("this does not parse"))?;
                // What it notices of tables that are there already is no news.
                let quiet = [("client_min_messages", "warning")];
                let options = options.application_name("agentbase").options(quiet);
                Ok(Self::Postgres(Box::new(options)))
            }
            "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => Err(StoreError::Url("this names no file")),
                path => Ok(Self::File(path.into())),
            },
            _ => Err(StoreError::Url("neither PostgreSQL nor SQLite")),
        }
    }
}

impl From<&Path> for Database {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(options) => {
                let name = options.get_database().unwrap_or_else(|| options.get_username());
                write!(f, "PostgreSQL's {name}")?;
                match options.get_socket() {
                    Some(socket) => write!(f, " at {}", socket.display()),
                    None => write!(f, " at {}:{}", options.get_host(), options.get_port()),
                }
            }
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Database;

    #[test]
    fn a_url_names_a_database_and_its_password_is_not_shown() {
        let database = Database::from_url("postgres://me:secret@db.example:6000/kept").unwrap();
        assert_eq!(format!("{database} {database:?}"), {
            let shown = "PostgreSQL's kept at db.example:6000";
            format!("{shown} {shown}")
        });
        for url in ["sqlite:a/b.db", "sqlite://a/b.db"] {
            assert_eq!(Database::from_url(url).unwrap().to_string(), "a/b.db");
        }
        for url in ["secret", "mysql://me:secret@host/kept", "sqlite:", "postgres://me:secret@:x/"]
        {
            let error = Database::from_url(url).unwrap_err().to_string();
            assert!(error.contains("postgres://") && !error.contains("secret"), "{error}");
        }
    }
}

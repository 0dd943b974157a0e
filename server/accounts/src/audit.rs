//! The audit log: a chain of hashes.
//!
//! Invariant: a record's hash covers the one before, so a record that is changed, taken out or put
//! in breaks the chain there, unless all that follows is written anew.

use sha2::{Digest, Sha256};

use crate::hex;

/// What is told of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// What was done, as OpenAI's audit logs name it: `project.created`, `api_key.deleted`, …
    pub action: &'static str,
    /// The id of what it was done to.
    pub target: String,
    /// The project that this belongs to, if it belongs to one.
    pub project: Option<String>,
    /// What changed, as JSON; never a secret.
    pub detail: String,
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The organization.
    pub organization: String,
    /// Its place in the organization's chain, from 1.
    pub position: i64,
    /// Its id.
    pub id: String,
    /// Unix time in milliseconds.
    pub at: i64,
    /// Who, as [`Allowed::actor`](crate::Allowed::actor) says.
    pub actor: String,
    /// From where, if that was known.
    pub address: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub target: String,
    /// In which project, if in one.
    pub project: Option<String>,
    /// What changed, as JSON.
    pub detail: String,
    /// Its hash, of 64 letters.
    pub hash: String,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainBreak {
    /// Records are missing, or were put in.
    #[error("record {expected} of {organization} is missing: the next one is {found}")]
    Missing {
        /// Whose chain.
        organization: String,
        /// The position that should come.
        expected: i64,
        /// The one that came.
        found: i64,
    },
    /// The end of the chain is not the one that it had.
    #[error(
        "{organization} has {found} records, and its chain ended at {end}: the rest is cut off"
    )]
    Cut {
        /// Whose chain.
        organization: String,
        /// Where it ended.
        end: i64,
        /// Where it ends.
        found: i64,
    },
    /// A record is not what it was, or does not follow the one before.
    #[error("record {position} ({id}) of {organization} was changed: its hash does not fit")]
    Changed {
        /// Whose chain.
        organization: String,
        /// Where.
        position: i64,
        /// Its id.
        id: String,
    },
}

impl AuditRecord {
    /// The hash that it must have after `previous`, which is empty at the beginning.
    #[must_use]
    pub fn expected_hash(&self, previous: &str) -> String {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            // With its length, so that no two lists of fields are the same bytes.
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        };
        field("agentbase audit 1");
        field(previous);
        field(&self.organization);
        field(&self.position.to_string());
        field(&self.id);
        field(&self.at.to_string());
        field(&self.actor);
        field(self.address.as_deref().unwrap_or(""));
        field(&self.action);
        field(&self.target);
        field(self.project.as_deref().unwrap_or(""));
        field(&self.detail);
        hex::encode(&hash.finalize())
    }

    /// The same with its hash.
    #[must_use]
    pub fn sealed(mut self, previous: &str) -> Self {
        self.hash = self.expected_hash(previous);
        self
    }
}

/// Checks the next records of a chain after `last`, its last position and hash so far (0 and empty
/// at the beginning); says which are the last now.
///
/// # Errors
/// Where the chain is broken first.
pub fn verify<'a>(
    last: (i64, String),
    records: impl IntoIterator<Item = &'a AuditRecord>,
) -> Result<(i64, String), ChainBreak> {
    let (mut position, mut previous) = last;
    for record in records {
        let organization = || record.organization.clone();
        if record.position != position + 1 {
            let (expected, found) = (position + 1, record.position);
            return Err(ChainBreak::Missing { organization: organization(), expected, found });
        }
        position = record.position;
        if record.hash != record.expected_hash(&previous) {
            let (organization, id) = (organization(), record.id.clone());
            return Err(ChainBreak::Changed { organization, position, id });
        }
        previous.clone_from(&record.hash);
    }
    Ok((position, previous))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(num: i64) -> Vec<AuditRecord> {
        let mut records: Vec<AuditRecord> = Vec::new();
        for position in 1..=num {
            let previous = records.last().map_or("", |record| &record.hash).to_owned();
            let record = AuditRecord {
                organization: "org-a".to_owned(),
                position,
                id: format!("audit_log-{position}"),
                at: 1000 + position,
                actor: "operator".to_owned(),
                address: None,
                action: "project.created".to_owned(),
                target: "proj_1".to_owned(),
                project: None,
                detail: "{}".to_owned(),
                hash: String::new(),
            };
            records.push(record.sealed(&previous));
        }
        records
    }

    #[test]
    fn a_chain_that_was_left_alone_holds_also_in_parts() {
        let records = chain(5);
        let half = verify((0, String::new()), &records[..2]).unwrap();
        let whole = verify(half, &records[2..]).unwrap();
        assert_eq!(whole, (5, records[4].hash.clone()));
    }

    #[test]
    fn each_change_breaks_it_where_it_was_made() {
        let broken = |change: &dyn Fn(&mut Vec<AuditRecord>)| {
            let mut records = chain(5);
            change(&mut records);
            verify((0, String::new()), &records).unwrap_err().to_string()
        };
        let changes: [&dyn Fn(&mut AuditRecord); 6] = [
            &|record| record.actor = "user:x".to_owned(),
            &|record| record.detail = "{\"a\":1}".to_owned(),
            &|record| record.at += 1,
            &|record| record.address = Some("::1".to_owned()),
            &|record| record.target.push('x'),
            &|record| record.hash = record.expected_hash("other"),
        ];
        for change in changes {
            let message = broken(&|records| change(&mut records[2]));
            assert!(message.starts_with("record 3 (audit_log-3)"), "{message}");
        }
        let message = broken(&|records| drop(records.remove(2)));
        assert!(message.starts_with("record 3 of org-a is missing"), "{message}");
        assert!(broken(&|records| records.swap(1, 2)).contains("record 2"));
    }
}

//! Whose each table is: what an organization's export tells and its deletion removes.
//!
//! Invariant: every table and column of the database is here (a test takes them from its
//! catalogue), and nothing that is told lets anybody in.

/// A table of what is an organization's.
pub(super) struct OfOrganization {
    pub(super) table: &'static str,
    /// The column that names the organization.
    pub(super) column: &'static str,
    /// All columns: `#` is after those that are numbers, `*` before those of the primary key, `!`
    /// before those that are never told.
    columns: &'static str,
}

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) is_number: bool,
    pub(super) is_key: bool,
    pub(super) is_told: bool,
}

impl OfOrganization {
    pub(super) fn columns(&self) -> impl Iterator<Item = Column> {
        self.columns.split_whitespace().map(|it| Column {
            name: it.trim_matches(['!', '*', '#']),
            is_number: it.ends_with('#'),
            is_key: it.contains('*'),
            is_told: !it.contains('!'),
        })
    }
}

const fn of(table: &'static str, column: &'static str, columns: &'static str) -> OfOrganization {
    OfOrganization { table, column, columns }
}

const ID: &str = "organization_id";

/// Of an organization, each table before those that it refers to.
pub(super) const OF_ORGANIZATIONS: &[OfOrganization] = &[
    of("completion_metadata", "tenant", "*tenant *project_id *completion_id *name value"),
    of(
        "completions",
        "tenant",
        "*tenant *project_id *id created_at# expires_at# model body messages num_bytes# position#",
    ),
    of("response_outputs", "tenant", "*tenant *project_id *item_id response_id"),
    of(
        "responses",
        "tenant",
        "*tenant *project_id *id created_at# expires_at# status previous_id conversation_id body
            input num_bytes# process#",
    ),
    of(
        "conversation_items",
        "tenant",
        "*tenant *project_id *conversation_id *position# id item num_bytes#",
    ),
    of(
        "conversations",
        "tenant",
        "*tenant *project_id *id created_at# expires_at# metadata num_items# next_position#
            num_bytes#",
    ),
    of("tenants", "tenant", "*tenant num_rows# num_bytes#"),
    of("alert_marks", ID, "*organization_id *alert_id *threshold# number# at#"),
    of(
        "alerts",
        ID,
        "*organization_id *id project_id key_id what period thresholds by_webhook# addresses
            created_at#",
    ),
    of(
        "outbox",
        ID,
        "*organization_id *id kind target event body attempts# next_at# created_at# done_at#
            failed_at# last_error",
    ),
    of("webhooks", ID, "*organization_id *id url !secret events created_at# disabled_at#"),
    of("billing_notices", ID, "*organization_id *position# created_at# notice sent_at#"),
    of("billing_spans", ID, "*organization_id *subscription customer from_at# until_at#"),
    of("billing_customers", ID, "*customer organization_id"),
    of(
        "billing",
        ID,
        "*organization_id state version# next_tick# plan plan_limits suspended watermark# reported#
            pending_hour# pending_amount# pending_customer pending_at# pending_begun#",
    ),
    of(
        "ledger",
        ID,
        "*request_id organization_id project_id key_id model tier endpoint tag opened_at#
            settled_at# ending input_tokens# cached_input_tokens# output_tokens# embedding_tokens#
            images# audio_millis# compute_millis# storage_byte_hours# provisioned_hours# cost#",
    ),
    of(
        "usage_hours",
        ID,
        "*organization_id *hour# *project_id *key_id *model *tier *endpoint *tag num_requests#
            input_tokens# cached_input_tokens# output_tokens# embedding_tokens# images#
            audio_millis# compute_millis# storage_byte_hours# provisioned_hours# cost_micros#
            cost_picos#",
    ),
    of(
        "usage_days",
        ID,
        "*organization_id *day# *project_id *key_id *model *tier *endpoint *tag num_requests#
            input_tokens# cached_input_tokens# output_tokens# embedding_tokens# images#
            audio_millis# compute_millis# storage_byte_hours# provisioned_hours# cost_micros#
            cost_picos#",
    ),
    of(
        "usage_sums",
        ID,
        "*organization_id *project_id *key_id *model *tier *period *number# input_tokens#
            cached_input_tokens# output_tokens# embedding_tokens# images# audio_millis#
            compute_millis# storage_byte_hours# provisioned_hours# cost_micros# cost_picos#",
    ),
    // How servers stand with each other, which changes by the second, is nobody's to be told.
    of(
        "leases",
        ID,
        "*!organization_id *!project_id *!key_id *!what *!period *!number# *!process# !reserved#
            !touched_at#",
    ),
    of("shared_rates", ID, "*!organization_id *!project_id *!key_id *!kind !level# !filled_at#"),
    of(
        "provisions",
        ID,
        "organization_id *id project_id model units# from_hour# until_hour# created_at#",
    ),
    of("commitments", ID, "organization_id *id amount# from_month# until_month# created_at#"),
    // Of no organization are those for all.
    of(
        "prices",
        ID,
        "organization_id *id model tier valid_from# valid_until# list created_at# removed_at#
            revision#",
    ),
    of(
        "key_secrets",
        ID,
        "*!hash organization_id key_id redacted !aws_secret created_at# expires_at#",
    ),
    of(
        "keys",
        ID,
        "*organization_id project_id *id name kind owner role scopes limits created_at# expires_at#
            revoked_at# used_at# revision#",
    ),
    of(
        "invitations",
        ID,
        "*organization_id *id email role projects !hash invited_by created_at# expires_at#
            accepted_at#",
    ),
    of("service_accounts", ID, "*organization_id *project_id *id name role created_at#"),
    of("project_memberships", ID, "*organization_id *project_id *user_id role created_at#"),
    of("memberships", ID, "*organization_id *user_id role created_at#"),
    of("roles", ID, "*organization_id *name permissions"),
    of(
        "projects",
        ID,
        "*organization_id *id name created_at# archived_at# settings limits revision# store_prompts
            retention_days#",
    ),
    of(
        "audit_log",
        ID,
        "*organization_id *position# id at# actor address action target project_id detail hash",
    ),
    of("audit_heads", ID, "*organization_id position# hash"),
    of(
        "organizations",
        "id",
        "*id name created_at# archived_at# suspended requires_two_factors# settings limits
            revision# billing_email",
    ),
];

/// Of people, in `privacy`: told by an export of the user, and removed with the user.
#[cfg(test)]
pub(super) const OF_PEOPLE: &[&str] =
    &["users", "recovery_codes", "identities", "sessions", "user_tokens", "login_failures"];

/// Of nobody, or of nobody any more.
#[cfg(test)]
pub(super) const OF_NOBODY: &[&str] =
    &["revisions", "installation", "counted", "deleted_organizations"];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{Database, Limits, Store};

    const COLUMNS: &str = "SELECT m.name, c.name, c.type, c.pk > 0 FROM sqlite_schema AS m,
        pragma_table_info(m.name) AS c WHERE m.type = 'table'
        AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name <> '_sqlx_migrations'";

    /// Who adds a table or a column says here whose it is, and whether it may be told.
    #[tokio::test]
    async fn every_table_and_column_is_somebody_s() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let store = Store::open(&Database::File(path.clone()), Limits::default()).await.unwrap();
        let mut connection = crate::database::connect_sqlite(&path).await.unwrap();
        let rows: Vec<(String, String, String, bool)> =
            sqlx::query_as(COLUMNS).fetch_all(&mut connection).await.unwrap();
        let mut found = BTreeMap::<String, BTreeSet<(String, bool, bool)>>::new();
        for (table, column, kind, is_key) in rows {
            found.entry(table).or_default().insert((column, kind == "BIGINT", is_key));
        }
        for table in OF_PEOPLE.iter().chain(OF_NOBODY) {
            assert!(found.remove(*table).is_some(), "there is no table {table}");
        }
        for it in OF_ORGANIZATIONS {
            let column = |it: Column| (it.name.to_owned(), it.is_number, it.is_key);
            let columns = it.columns().map(column).collect();
            assert_eq!(found.remove(it.table), Some(columns), "{}", it.table);
            assert!(it.columns().any(|column| column.name == it.column), "{}", it.table);
        }
        assert!(found.is_empty(), "whose are these? {found:?}");
        store.close().await;
    }
}

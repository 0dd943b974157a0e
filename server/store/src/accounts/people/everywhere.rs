//! What is done to a user in every organization.

use serde_json::json;

use crate::StoreError;
use crate::accounts::audit::{self, Who};
use crate::accounts::keys;
use crate::database::turn_to;
use crate::sql::{Transaction, query};

const ORGANIZATIONS: &str = "SELECT organization_id FROM memberships WHERE user_id = $1
    UNION SELECT organization_id FROM invitations WHERE email = $2";

const BELONGS: &str = "SELECT COUNT(*) FROM memberships AS m
    JOIN organizations AS o ON o.id = m.organization_id
    WHERE m.user_id = $1 AND o.archived_at IS NULL";

/// Whether a user belongs to an organization that goes on.
pub(super) async fn belongs(transaction: &mut Transaction, user: &str) -> Result<bool, StoreError> {
    let (num,): (i64,) = query!(transaction, fetch_one, BELONGS, user)?;
    Ok(num > 0)
}

/// Takes the turn of each organization where a user is a member or invited, and says which they
/// are. The user becomes a member of no other one while the user's turn is had. All turns are taken
/// before anything is changed: the counter of revisions is had by none who still waits for a turn.
pub(super) async fn turns(
    transaction: &mut Transaction,
    user: &str,
    email: &str,
) -> Result<Vec<String>, StoreError> {
    let rows: Vec<(String,)> = query!(&mut *transaction, fetch_all, ORGANIZATIONS, user, email)?;
    let mut organizations: Vec<String> = rows.into_iter().map(|(id,)| id).collect();
    // As the databases order texts, they need not agree.
    organizations.sort_unstable();
    for organization in &organizations {
        turn_to(transaction, organization).await?;
    }
    Ok(organizations)
}

/// Tells an organization that one of its members was disabled, and ends the member's keys; or that
/// the member was let in again.
pub(super) async fn disabled(
    transaction: &mut Transaction,
    who: Who<'_>,
    (user, is_disabled): (&str, bool),
) -> Result<(), StoreError> {
    let num_keys = if is_disabled {
        keys::revoke_of(transaction, who.organization, &keys::of_user(user)).await?
    } else {
        0
    };
    let changes = json!({ "changes_requested": { "disabled": is_disabled },
        "num_keys_revoked": num_keys });
    let event = audit::event("user.updated", user, None, changes);
    audit::append_of(transaction, who, event).await
}

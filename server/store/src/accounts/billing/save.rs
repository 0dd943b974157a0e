//! A state, saved with what follows from it.
//!
//! Invariant: limits and a suspension are written when they become others, and not each time: what
//! an operator sets in between stands.

use serde_json::json;
use server_accounts::{Allowed, may};

use super::{BillingSpan, BillingUpdate};
use crate::accounts::audit::{self, Who};
use crate::accounts::check;
use crate::accounts::organizations::{SET_LIMITS, check_in_force};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Store, StoreError, revisions};

/// Notices of an organization that are kept, the newest.
const MAX_NOTICES: i64 = 100;
/// Who does what follows from a state, in the audit log.
const ACTOR: &str = "billing";

const GIVEN: &str = "SELECT plan, plan_limits, suspended FROM billing WHERE organization_id = $1";
const INSERT: &str = "INSERT INTO billing (organization_id, state, version, next_tick, reported)
    VALUES ($1, $2, 1, $3, 0) ON CONFLICT DO NOTHING";
const UPDATE: &str = "UPDATE billing SET state = $2, next_tick = $3, version = version + 1
    WHERE organization_id = $1 AND version = $4";
const GIVE: &str = "UPDATE billing SET plan = $2, plan_limits = $3, suspended = $4
    WHERE organization_id = $1";
const CUSTOMER: &str = "INSERT INTO billing_customers (customer, organization_id)
    VALUES ($1, $2) ON CONFLICT DO NOTHING";
const SPAN: &str = "INSERT INTO billing_spans
    (organization_id, subscription, customer, from_at, until_at) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (organization_id, subscription) DO UPDATE SET until_at = excluded.until_at";
const LAST_NOTICE: &str = "SELECT COALESCE(MAX(position), 0) FROM billing_notices
    WHERE organization_id = $1";
const NOTICE: &str = "INSERT INTO billing_notices (organization_id, position, created_at, notice)
    VALUES ($1, $2, $3, $4)";
const FORGET_NOTICES: &str = "DELETE FROM billing_notices
    WHERE organization_id = $1 AND position <= $2";
const SUSPEND: &str = "UPDATE organizations SET suspended = $2, revision = $3
    WHERE id = $1 AND suspended IS NULL";
const RESTORE: &str = "UPDATE organizations SET suspended = NULL, revision = $3
    WHERE id = $1 AND suspended = $2";

/// What followed from the state before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Given {
    /// The plan, and its limits.
    plan: Option<(String, String)>,
    /// Why it was suspended.
    suspended: Option<String>,
}

impl Store {
    /// Saves a state if it was saved `version` times, 0 before the first; whether it was.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such organization, [`StoreError::Invalid`] if the
    /// plan's limits or the reason cannot be.
    pub async fn save_billing(
        &self,
        allowed: &Allowed<may::RunPlatform>,
        version: i64,
        update: &BillingUpdate,
    ) -> Result<bool, StoreError> {
        let id = allowed.organization();
        let after = Given::after(update)?;
        let work = async {
            let mut transaction = self.write(id).await?;
            match check_in_force(&mut transaction, id).await {
                // What is archived may have to be paid.
                Ok(()) | Err(StoreError::Invalid { .. }) => {}
                checked => return checked.map(|()| false),
            }
            let before = Given::read(&mut transaction, id).await?;
            let (state, next_tick) = (&update.state, update.next_tick);
            let num = match version {
                0 => execute!(&mut transaction, INSERT, id, state, next_tick)?,
                _ => execute!(&mut transaction, UPDATE, id, state, next_tick, version)?,
            };
            if num == 0 {
                return Ok(false);
            }
            if let Some(customer) = &update.customer {
                execute!(&mut transaction, CUSTOMER, customer, id)?;
            }
            for BillingSpan { subscription, customer, from, until } in &update.spans {
                execute!(&mut transaction, SPAN, id, subscription, customer, *from, *until)?;
            }
            add_notices(&mut transaction, id, &update.notices).await?;
            if after != before {
                give(&mut transaction, id, update, (&before, &after)).await?;
            }
            transaction.commit().await?;
            Ok(true)
        };
        self.in_time(work).await
    }
}

impl Given {
    fn after(update: &BillingUpdate) -> Result<Self, StoreError> {
        let plan = match &update.plan {
            Some((plan, limits)) => Some((plan.clone(), check::limits(limits)?)),
            None => None,
        };
        let reason = |why: &String| check::text("reason", why, check::MAX_REASON_BYTES);
        let suspended = update.suspended.as_ref().map(reason).transpose()?;
        Ok(Self { plan, suspended })
    }

    async fn read(transaction: &mut Transaction, id: &str) -> Result<Self, StoreError> {
        let row: Option<(Option<String>, Option<String>, Option<String>)> =
            query!(transaction, fetch_optional, GIVEN, id)?;
        let (plan, limits, suspended) = row.unwrap_or_default();
        Ok(Self { plan: plan.zip(limits), suspended })
    }
}

async fn add_notices(
    transaction: &mut Transaction,
    id: &str,
    notices: &[String],
) -> Result<(), StoreError> {
    if notices.is_empty() {
        return Ok(());
    }
    let (mut last,): (i64,) = query!(&mut *transaction, fetch_one, LAST_NOTICE, id)?;
    for notice in notices {
        last += 1;
        execute!(&mut *transaction, NOTICE, id, last, now(), notice)?;
    }
    execute!(transaction, FORGET_NOTICES, id, last - MAX_NOTICES)?;
    Ok(())
}

/// Makes of an organization what follows from its state, with a line of the audit log for each.
async fn give(
    transaction: &mut Transaction,
    id: &str,
    update: &BillingUpdate,
    (before, after): (&Given, &Given),
) -> Result<(), StoreError> {
    let who = Who { organization: id, actor: ACTOR, address: None };
    let revision = revisions::next(transaction).await?;
    // Without a plan its limits stay: it never had a subscription, or never will again.
    let plan = after.plan.as_ref().or(before.plan.as_ref());
    if let Some((name, limits)) = plan.filter(|plan| Some(*plan) != before.plan.as_ref()) {
        execute!(&mut *transaction, SET_LIMITS, id, limits, revision)?;
        let limits = update.plan.as_ref().map(|(_, limits)| limits);
        let detail = json!({ "changes_requested": limits, "plan": name });
        let event = audit::event("rate_limit.updated", id, None, detail);
        audit::append_of(transaction, who, event).await?;
    }
    if before.suspended != after.suspended {
        let mut num = 0;
        if let Some(why) = &before.suspended {
            num += execute!(&mut *transaction, RESTORE, id, why, revision)?;
        }
        if let Some(why) = &after.suspended {
            num += execute!(&mut *transaction, SUSPEND, id, why, revision)?;
        }
        if num > 0 {
            let detail = json!({ "changes_requested": { "suspended": after.suspended } });
            let event = audit::event("organization.updated", id, None, detail);
            audit::append_of(transaction, who, event).await?;
        }
    }
    let (name, limits) = plan.map(|(name, limits)| (name, limits)).unzip();
    execute!(transaction, GIVE, id, name, limits, after.suspended)?;
    Ok(())
}

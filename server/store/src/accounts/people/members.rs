//! Who belongs to an organization, and as what.
//!
//! Invariant: where an organization goes on and has members, an owner is among them who is not
//! disabled, unless the operator disabled the last; who is no member any more has no key there.

use serde_json::json;
use server_accounts::{Allowed, may};

use super::roles;
use super::users::{self, User};
use crate::accounts::audit::{self, Who};
use crate::accounts::check::whole;
use crate::accounts::keys;
use crate::accounts::list::{List, Part};
use crate::accounts::organizations::{check_in_force, is_archived};
use crate::database::now;
use crate::sql::{Transaction, execute, query};
use crate::{Page, PageQuery, Store, StoreError};

/// What it is called in errors.
pub(super) const WHAT: &str = "member";
/// The role of which an organization keeps one.
pub(super) const OWNER: &str = "owner";
/// Of one organization.
const MAX_MEMBERS: u64 = 100_000;

/// Memberships of `$table` with their users, as one table.
macro_rules! with_users {
    ($table:literal) => {
        concat!(
            "(SELECT ",
            users::columns!(),
            ", t.* FROM ",
            $table,
            " AS t JOIN users AS u ON u.id = t.user_id) AS m"
        )
    };
}
pub(super) use with_users;

/// Of them.
pub(super) const COLUMNS: &str = "id, email, name, signed_up_at, email_verified_at, disabled_at,
    has_password, totp_enabled_at, role, created_at";
const INSERT: &str = "INSERT INTO memberships (organization_id, user_id, role, created_at)
    VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
const IS_MEMBER: &str = "SELECT role FROM memberships WHERE organization_id = $1 AND user_id = $2";
const SET_ROLE: &str = "UPDATE memberships SET role = $3
    WHERE organization_id = $1 AND user_id = $2";
const REMOVE: &str = "DELETE FROM memberships WHERE organization_id = $1 AND user_id = $2";
const OTHER_OWNERS: &str = "SELECT COUNT(*) FROM memberships AS m JOIN users AS u
    ON u.id = m.user_id WHERE m.organization_id = $1 AND m.role = $2 AND m.user_id <> $3
    AND u.disabled_at IS NULL";
const COUNT: &str = "SELECT COUNT(*) FROM memberships WHERE organization_id = $1";

/// A user in an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// The name of the role.
    pub role: String,
    /// Since when, in Unix seconds.
    pub created_at: i64,
}

/// As rows have it: a user's columns, the role, and since when.
pub(super) type Row =
    (String, String, String, i64, Option<i64>, Option<i64>, i64, Option<i64>, String, i64);

pub(super) fn read((a, b, c, d, e, f, g, h, role, created_at): Row) -> (User, String, i64) {
    (User::of((a, b, c, d, e, f, g, h)), role, created_at)
}

pub(super) fn size((_, email, name, ..): &Row) -> usize {
    email.len() + name.len()
}

fn list(organization: &str) -> List {
    List {
        what: WHAT,
        columns: COLUMNS,
        table: with_users!("memberships"),
        order: "created_at",
        scope: Part::default().sql("organization_id = ").text(organization),
        filter: Part::default(),
    }
}

impl Member {
    fn of(row: Row) -> Self {
        let (user, role, created_at) = read(row);
        Self { user, role, created_at }
    }
}

impl Store {
    /// Makes a user a member.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such user or role, [`StoreError::Exists`] if the
    /// user is a member already, [`StoreError::Denied`] if the role may what who gives it may not.
    pub async fn add_member(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        user: &str,
        role: &str,
    ) -> Result<Member, StoreError> {
        let organization = whole(allowed)?;
        let work = async {
            let mut transaction = self.write_membership(user, organization).await?;
            check_in_force(&mut transaction, organization).await?;
            users::find(&mut transaction, user).await?;
            allowed.may_give(&roles::get(&mut transaction, organization, role).await?)?;
            insert(&mut transaction, organization, (user, role)).await?;
            let data = json!({ "data": { "role": role } });
            let event = audit::event("user.added", user, None, data);
            audit::append(&mut transaction, allowed, event).await?;
            let member = get(&mut transaction, organization, user).await?;
            transaction.commit().await?;
            Ok(member)
        };
        self.in_time(work).await
    }

    /// A page of members, in the order they came in.
    ///
    /// # Errors
    /// [`StoreError::NotListed`] if the user that the page comes after is no member.
    pub async fn members(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        query: &PageQuery,
    ) -> Result<Page<Member>, StoreError> {
        let organization = whole(allowed)?;
        Ok(self.page_of(organization, &list(organization), query, size).await?.map(Member::of))
    }

    /// A member.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the user is none.
    pub async fn member(
        &self,
        allowed: &Allowed<may::ReadMembers>,
        user: &str,
    ) -> Result<Member, StoreError> {
        let organization = whole(allowed)?;
        Ok(Member::of(self.listed(organization, &list(organization), user).await?))
    }

    /// Gives a member another role; keys of the member that may more than it are revoked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such member or role, [`StoreError::LastOwner`], or
    /// [`StoreError::Denied`] if one of the two roles may what who gives it may not.
    pub async fn set_member_role(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        user: &str,
        role: &str,
    ) -> Result<Member, StoreError> {
        let organization = whole(allowed)?;
        let work = async {
            let mut transaction = self.write(organization).await?;
            let before = may_change(&mut transaction, allowed, user).await?;
            allowed.may_give(&roles::get(&mut transaction, organization, role).await?)?;
            if role != OWNER {
                check_last_owner(&mut transaction, organization, &before).await?;
            }
            execute!(&mut transaction, SET_ROLE, organization, user, role)?;
            let num = keys::revoke_exceeding(&mut transaction, organization, user).await?;
            let changes = json!({ "changes_requested": { "role": role },
                "before": before.role, "num_keys_revoked": num });
            let event = audit::event("user.updated", user, None, changes);
            audit::append(&mut transaction, allowed, event).await?;
            let member = get(&mut transaction, organization, user).await?;
            transaction.commit().await?;
            Ok(member)
        };
        self.in_time(work).await
    }

    /// Removes a member, whose keys are revoked.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if the user is no member, [`StoreError::LastOwner`], or
    /// [`StoreError::Denied`] if the member may what who removes it may not.
    pub async fn remove_member(
        &self,
        allowed: &Allowed<may::WriteMembers>,
        user: &str,
    ) -> Result<(), StoreError> {
        let organization = whole(allowed)?;
        let work = async {
            let mut transaction = self.write(organization).await?;
            let member = may_change(&mut transaction, allowed, user).await?;
            check_last_owner(&mut transaction, organization, &member).await?;
            let who = Who { organization, actor: allowed.actor(), address: allowed.address() };
            remove(&mut transaction, who, &member).await?;
            transaction.commit().await
        };
        self.in_time(work).await
    }
}

/// A member, in a transaction.
pub(super) async fn get(
    transaction: &mut Transaction,
    organization: &str,
    user: &str,
) -> Result<Member, StoreError> {
    Ok(Member::of(list(organization).one(transaction, user).await?))
}

/// Makes a user a member with a role.
pub(super) async fn insert(
    transaction: &mut Transaction,
    organization: &str,
    (user, role): (&str, &str),
) -> Result<(), StoreError> {
    let (num,): (i64,) = query!(&mut *transaction, fetch_one, COUNT, organization)?;
    if u64::try_from(num).unwrap_or(0) >= MAX_MEMBERS {
        return Err(StoreError::TooMany { what: "organization's members", max: MAX_MEMBERS });
    }
    if execute!(transaction, INSERT, organization, user, role, now())? == 0 {
        return Err(StoreError::Exists { what: WHAT, id: user.to_owned() });
    }
    Ok(())
}

/// Refuses what would leave the organization without an owner.
async fn check_last_owner(
    transaction: &mut Transaction,
    organization: &str,
    member: &Member,
) -> Result<(), StoreError> {
    if member.role != OWNER {
        return Ok(());
    }
    let user = &member.user.id;
    let (num,): (i64,) = query!(transaction, fetch_one, OTHER_OWNERS, organization, OWNER, user)?;
    if num == 0 { Err(StoreError::LastOwner(organization.to_owned())) } else { Ok(()) }
}

/// Removes a membership, and revokes the keys that came with it.
async fn remove(
    transaction: &mut Transaction,
    who: Who<'_>,
    member: &Member,
) -> Result<(), StoreError> {
    let user = &member.user.id;
    execute!(&mut *transaction, REMOVE, who.organization, user)?;
    let owner = keys::of_user(user);
    let num = keys::revoke_of(transaction, who.organization, &owner).await?;
    let detail = json!({ "role": member.role, "num_keys_revoked": num });
    let event = audit::event("user.deleted", user, None, detail);
    audit::append_of(transaction, who, event).await
}

/// Removes a user's membership, if there is one, also of the last owner of what was archived, or
/// where nobody is left behind and it `may_abandon` the organization.
pub(super) async fn leave(
    transaction: &mut Transaction,
    who: Who<'_>,
    (user, may_abandon): (&str, bool),
) -> Result<(), StoreError> {
    if !is_member(transaction, who.organization, user).await? {
        return Ok(());
    }
    let member = get(transaction, who.organization, user).await?;
    let (num,): (i64,) = query!(&mut *transaction, fetch_one, COUNT, who.organization)?;
    let is_abandoned = num == 1 && may_abandon;
    if !is_abandoned && !is_archived(transaction, who.organization).await? {
        check_last_owner(transaction, who.organization, &member).await?;
    }
    remove(transaction, who, &member).await
}

/// Whether a user is a member.
pub(super) async fn is_member(
    transaction: &mut Transaction,
    organization: &str,
    user: &str,
) -> Result<bool, StoreError> {
    let found: Option<(String,)> =
        query!(transaction, fetch_optional, IS_MEMBER, organization, user)?;
    Ok(found.is_some())
}

/// A member whose role whoever asks may take away.
async fn may_change(
    transaction: &mut Transaction,
    allowed: &Allowed<may::WriteMembers>,
    user: &str,
) -> Result<Member, StoreError> {
    let member = get(transaction, allowed.organization(), user).await?;
    let role = roles::role_of(transaction, allowed.organization(), &member.role).await?;
    allowed.may_give(&role)?;
    Ok(member)
}

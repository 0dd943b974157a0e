//! An organization of their own, for who signed up.

use server_accounts::{Actor, Allowed, DEFAULT, Demand, Denied, Kind, new_id};
use server_store::{StoreError, User};

use crate::{Login, OrganizationFounded, SignUp};

/// What names of the store may have.
pub(crate) const MAX_NAME_BYTES: usize = 256;
/// The project's name.
const PROJECT: &str = "Default project";

impl Login {
    /// Gives a user an organization if this is when they get one and they have none.
    pub(crate) async fn found_at(
        &self,
        when: OrganizationFounded,
        user: &User,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let settings = &self.0.settings;
        let is_due = settings.sign_up == SignUp::Open && settings.organization == when;
        if !is_due || !self.0.store.organizations_of(&user.id).await?.is_empty() {
            return Ok(());
        }
        let store = &self.0.store;
        let id = new_id(Kind::Organization);
        let name = name.map_or_else(|| named_after(&user.name), str::to_owned);
        store.create_organization(&leave(&id)?, &name).await?;
        // First of all somebody whose it is.
        store.add_member(&leave(&id)?, &user.id, "owner").await?;
        store.create_project(&leave(&id)?, Some(DEFAULT), PROJECT).await?;
        Ok(())
    }
}

/// Nobody may make organizations but the operator, who has said that people get one.
fn leave<P: Demand>(organization: &str) -> Result<Allowed<P>, Denied> {
    Actor::operator().allow(organization)
}

fn named_after(user: &str) -> String {
    const SUFFIX: &str = "'s organization";
    format!("{}{SUFFIX}", cut(user, MAX_NAME_BYTES - SUFFIX.len()))
}

/// What of a name may be kept.
pub(crate) fn cut_name(text: &str) -> &str {
    cut(text, MAX_NAME_BYTES)
}

fn cut(text: &str, max_bytes: usize) -> &str {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::{MAX_NAME_BYTES, named_after};

    #[test]
    fn a_name_is_cut_between_letters() {
        assert_eq!(named_after("Ada"), "Ada's organization");
        let long = named_after(&"é".repeat(128));
        assert!(long.len() <= MAX_NAME_BYTES && long.ends_with("é's organization"), "{long}");
    }
}

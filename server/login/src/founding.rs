//! An organization of their own, for who signed up.

use server_accounts::{Actor, Kind, new_id};
use server_store::{StoreError, User};

use crate::{Login, OrganizationFounded, SignUp};

/// What names of the store may have.
pub(crate) const MAX_NAME_BYTES: usize = 256;

impl Login {
    /// Gives a user an organization if they have none, and get one by now: at the latest when the
    /// address is known to be theirs, should a server have ended before it was founded at once.
    pub(crate) async fn found_at(
        &self,
        when: OrganizationFounded,
        user: &User,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let settings = &self.0.settings;
        let is_time = when == OrganizationFounded::Verified || settings.organization == when;
        if settings.sign_up != SignUp::Open || !is_time {
            return Ok(());
        }
        let id = new_id(Kind::Organization);
        let name = name.map_or_else(|| named_after(&user.name), str::to_owned);
        // Nobody may make organizations but the operator, who has said that people get one.
        let allowed = Actor::operator().allow(&id)?;
        self.0.store.found_organization(&allowed, &user.id, &name).await?;
        Ok(())
    }
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

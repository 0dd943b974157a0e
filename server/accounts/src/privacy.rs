//! What is kept of what people say, and for how long: what a project has said of it, and what
//! holds.
//!
//! Invariant: where nobody has said that prompts are kept, none is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest time that a project may have things kept: ten years.
pub const MAX_RETENTION_DAYS: u32 = 3_650;

/// Whether prompts and answers are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum StorePrompts {
    /// Never, whatever a request asks: `store` counts as false.
    #[default]
    Never,
    /// Where a request asks, as OpenAI's API has it: a response unless `store` is false, a chat
    /// completion if `store` is true, conversations.
    WhenAsked,
}

/// There is no such choice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no choice: prompts are stored 'never' or 'when_asked'")]
pub struct UnknownStorePrompts(String);

impl StorePrompts {
    /// What databases and APIs call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::WhenAsked => "when_asked",
        }
    }
}

impl fmt::Display for StorePrompts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for StorePrompts {
    type Err = UnknownStorePrompts;

    /// A hyphen, as command lines have it, is as good.
    fn from_str(name: &str) -> Result<Self, UnknownStorePrompts> {
        match name {
            "never" => Ok(Self::Never),
            "when_asked" | "when-asked" => Ok(Self::WhenAsked),
            _ => Err(UnknownStorePrompts(name.chars().take(40).collect())),
        }
    }
}

impl TryFrom<String> for StorePrompts {
    type Error = UnknownStorePrompts;

    fn try_from(name: String) -> Result<Self, UnknownStorePrompts> {
        name.parse()
    }
}

impl From<StorePrompts> for &'static str {
    fn from(it: StorePrompts) -> Self {
        it.name()
    }
}

/// What a project has said; `None` is as the server has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivacySettings {
    /// Whether prompts and answers are stored.
    pub store_prompts: Option<StorePrompts>,
    /// For how many days, 1 to [`MAX_RETENTION_DAYS`].
    pub retention_days: Option<u32>,
}

impl PrivacySettings {
    /// What holds on a server that stores prompts like this where a project has not said.
    #[must_use]
    pub fn keeping(self, default: StorePrompts) -> Keeping {
        let prompts = self.store_prompts.unwrap_or(default);
        Keeping { prompts, retention_days: self.retention_days }
    }
}

/// What holds for a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// Whether its prompt and answer are stored.
    pub prompts: StorePrompts,
    /// For how many days; `None` is as the store has it.
    pub retention_days: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_stored_unless_somebody_says_so() {
        let said = |store_prompts| PrivacySettings { store_prompts, retention_days: Some(3) };
        let holds = |project, server| said(project).keeping(server).prompts;
        assert_eq!(holds(None, StorePrompts::default()), StorePrompts::Never);
        assert_eq!(holds(None, StorePrompts::WhenAsked), StorePrompts::WhenAsked);
        let never = Some(StorePrompts::Never);
        assert_eq!(holds(never, StorePrompts::WhenAsked), StorePrompts::Never);
        assert_eq!(Keeping::default(), PrivacySettings::default().keeping(StorePrompts::Never));
        assert_eq!(said(never).keeping(StorePrompts::Never).retention_days, Some(3));
    }

    #[test]
    fn choices_are_read_by_their_names() {
        for choice in [StorePrompts::Never, StorePrompts::WhenAsked] {
            assert_eq!(choice.name().parse(), Ok(choice));
            let json = serde_json::to_string(&choice).unwrap();
            assert_eq!(serde_json::from_str::<StorePrompts>(&json).unwrap(), choice);
        }
        assert_eq!("when-asked".parse(), Ok(StorePrompts::WhenAsked));
        assert!("always".parse::<StorePrompts>().unwrap_err().to_string().contains("'always'"));
    }
}

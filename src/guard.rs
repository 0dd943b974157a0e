//! The guards that an operator asks for; none without being asked for.
//!
//! Invariant: what cannot be done is an error when the server starts, not a guard that is missing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Deserialize;
use server_guard::{Action, DenyList, Guard, Guards, MAX_FILE_BYTES, Pii, PiiKind};

/// Of the command line, and the table `guard` of the settings file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct GuardArgs {
    /// Words and phrases that may be neither asked nor said, one to a line of this file
    #[arg(long = "guard-deny-list", value_name = "FILE", env = "AGENTBASE_GUARD_DENY_LIST")]
    pub(crate) deny_list: Option<PathBuf>,

    /// What is done about them [default: stop]
    #[arg(long = "guard-deny", value_name = "ACTION", env = "AGENTBASE_GUARD_DENY")]
    deny: Option<GuardAction>,

    /// Where they are looked for [default: both]
    #[arg(long = "guard-deny-side", value_name = "SIDE", env = "AGENTBASE_GUARD_DENY_SIDE")]
    deny_side: Option<GuardSide>,

    /// What is done about personal data and secrets [default: they are not looked for]
    #[arg(long = "guard-pii", value_name = "ACTION", env = "AGENTBASE_GUARD_PII")]
    pii: Option<GuardAction>,

    /// Where they are looked for [default: both]
    #[arg(long = "guard-pii-side", value_name = "SIDE", env = "AGENTBASE_GUARD_PII_SIDE")]
    pii_side: Option<GuardSide>,

    /// Which of them [default: all]
    #[arg(
        long = "guard-pii-kinds",
        value_name = "KIND",
        value_delimiter = ',',
        env = "AGENTBASE_GUARD_PII_KINDS"
    )]
    pii_kinds: Vec<GuardPiiKind>,
}

/// What a guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GuardAction {
    /// Write a word such as [EMAIL] in its place
    Mask,
    /// Refuse the request, or end the answer
    Stop,
}

/// Where a guard looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GuardSide {
    /// In what is asked
    Input,
    /// In what is answered
    Output,
    /// In both
    Both,
}

/// A kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
enum GuardPiiKind {
    Email,
    Phone,
    CreditCard,
    Iban,
    UsSsn,
    IpAddress,
    Secret,
}

impl From<GuardAction> for Action {
    fn from(action: GuardAction) -> Self {
        match action {
            GuardAction::Mask => Self::Mask,
            GuardAction::Stop => Self::Stop,
        }
    }
}

impl From<GuardPiiKind> for PiiKind {
    fn from(kind: GuardPiiKind) -> Self {
        match kind {
            GuardPiiKind::Email => Self::Email,
            GuardPiiKind::Phone => Self::Phone,
            GuardPiiKind::CreditCard => Self::CreditCard,
            GuardPiiKind::Iban => Self::Iban,
            GuardPiiKind::UsSsn => Self::UsSsn,
            GuardPiiKind::IpAddress => Self::IpAddress,
            GuardPiiKind::Secret => Self::Secret,
        }
    }
}

impl GuardArgs {
    /// What is not set here, as `file` has it.
    pub(crate) fn or(self, file: Self) -> Self {
        Self {
            deny_list: self.deny_list.or(file.deny_list),
            deny: self.deny.or(file.deny),
            deny_side: self.deny_side.or(file.deny_side),
            pii: self.pii.or(file.pii),
            pii_side: self.pii_side.or(file.pii_side),
            pii_kinds: if self.pii_kinds.is_empty() { file.pii_kinds } else { self.pii_kinds },
        }
    }

    /// The guards.
    ///
    /// # Errors
    /// If the file of phrases is none, or a guard is described that was not asked for.
    pub(crate) fn guards(&self) -> Result<Guards> {
        let mut guards = Guards::default();
        match &self.deny_list {
            Some(path) => {
                let action = self.deny.unwrap_or(GuardAction::Stop).into();
                add(&mut guards, Arc::new(deny_list(path, action)?), self.deny_side);
            }
            None if self.deny.is_some() || self.deny_side.is_some() => {
                bail!("a deny-list needs its phrases: name a file with --guard-deny-list");
            }
            None => {}
        }
        match self.pii {
            Some(action) => {
                let kinds: Vec<PiiKind> = self.pii_kinds.iter().copied().map(From::from).collect();
                let kinds = if kinds.is_empty() { &PiiKind::ALL[..] } else { &kinds };
                add(&mut guards, Arc::new(Pii::new(kinds, action.into())), self.pii_side);
            }
            None if self.pii_side.is_some() || !self.pii_kinds.is_empty() => {
                bail!("say what is done about personal data: --guard-pii mask, or stop");
            }
            None => {}
        }
        Ok(guards)
    }
}

fn deny_list(path: &Path, action: Action) -> Result<DenyList> {
    let shown = path.display();
    let context = || format!("cannot read deny-list {shown}");
    let size = path.metadata().with_context(context)?.len();
    if size > MAX_FILE_BYTES as u64 {
        bail!("deny-list {shown}: {size} bytes are more than the {MAX_FILE_BYTES} allowed");
    }
    let text = std::fs::read_to_string(path).with_context(context)?;
    DenyList::parse(&text, action).with_context(|| format!("deny-list {shown}"))
}

fn add(guards: &mut Guards, guard: Arc<dyn Guard>, side: Option<GuardSide>) {
    let side = side.unwrap_or(GuardSide::Both);
    if side != GuardSide::Output {
        guards.input.push(Arc::clone(&guard));
    }
    if side != GuardSide::Input {
        guards.output.push(guard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many guards are on each side.
    fn sides(file: &str) -> Result<(usize, usize), String> {
        let args: GuardArgs = toml::from_str(file).map_err(|error| error.to_string())?;
        let guards = args.guards().map_err(|error| format!("{error:#}"))?;
        Ok((guards.input.len(), guards.output.len()))
    }

    #[test]
    fn guards_are_where_they_were_asked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let list = dir.path().join("list.txt");
        std::fs::write(&list, "cat\n").expect("it is written");
        let list = format!("deny_list = {:?}\n", list.display().to_string());
        for (file, expected) in [
            (String::new(), (0, 0)),
            ("pii = \"mask\"".into(), (1, 1)),
            ("pii = \"stop\"\npii_side = \"input\"\npii_kinds = [\"us_ssn\"]".into(), (1, 0)),
            (format!("{list}deny_side = \"output\"\npii = \"mask\""), (1, 2)),
            (format!("{list}deny = \"mask\""), (1, 1)),
        ] {
            assert_eq!(sides(&file), Ok(expected), "{file}");
        }
        std::fs::write(dir.path().join("list.txt"), "ok\n\"\n").expect("it is written");
        for (file, named) in [
            ("pii = \"hide\"", "hide"),
            ("pi = \"mask\"", "pi"),
            ("pii_kinds = [\"name\"]", "name"),
            ("pii_side = \"input\"", "--guard-pii"),
            ("deny = \"stop\"", "--guard-deny-list"),
            ("deny_list = \"/no/such/file\"", "/no/such/file"),
            (&list, "line 2"),
        ] {
            let error = sides(file).expect_err(file);
            assert!(error.contains(named), "{error}");
        }
    }
}

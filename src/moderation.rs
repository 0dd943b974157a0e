//! What judges texts at `/v1/moderations`; nothing without being asked for.
//!
//! Invariant: a classifier that is not served is an error when the server starts.

use anyhow::{Result, bail};
use clap::Args;
use model_registry::ModelName;
use serde::Deserialize;
use server_http::Moderator;

const DEFAULT_THRESHOLD: f32 = 0.5;

/// Of the command line, and the table `moderation` of the settings file.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ModerationArgs {
    /// A classifier, by name, that judges texts at /v1/moderations [default: none]
    #[arg(
        id = "moderation-model",
        long = "moderation-model",
        value_name = "NAME",
        env = "AGENTBASE_MODERATION_MODEL"
    )]
    model: Option<String>,

    /// From which score on a label of it counts, 0 to 1 [default: 0.5]
    #[arg(
        id = "moderation-threshold",
        long = "moderation-threshold",
        value_name = "SCORE",
        env = "AGENTBASE_MODERATION_THRESHOLD"
    )]
    threshold: Option<f32>,

    /// Labels of it that are no harm, such as neutral [default: none]
    #[arg(
        id = "moderation-harmless",
        long = "moderation-harmless",
        value_name = "LABEL",
        value_delimiter = ',',
        env = "AGENTBASE_MODERATION_HARMLESS"
    )]
    harmless: Vec<String>,
}

impl ModerationArgs {
    /// What these leave open is taken from `other`.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            model: self.model.or(other.model),
            threshold: self.threshold.or(other.threshold),
            harmless: if self.harmless.is_empty() { other.harmless } else { self.harmless },
        }
    }

    /// What judges, if anything shall; `served` are the models that are.
    pub(crate) fn moderator(&self, served: &[ModelName]) -> Result<Option<Moderator>> {
        let Some(model) = self.model.clone() else {
            if self.threshold.is_some() || !self.harmless.is_empty() {
                bail!("say which classifier judges texts: --moderation-model NAME");
            }
            return Ok(None);
        };
        if !served.iter().any(|name| name.as_str() == model) {
            bail!("--moderation-model {model}: no model of that name is served");
        }
        let threshold = self.threshold.unwrap_or(DEFAULT_THRESHOLD);
        if !(0.0..=1.0).contains(&threshold) {
            bail!("--moderation-threshold {threshold}: it is from 0 to 1");
        }
        Ok(Some(Moderator { model, threshold, harmless: self.harmless.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moderator_is_one_of_the_models_that_are_served() {
        let served: Vec<ModelName> = vec!["judge".parse().expect("a name")];
        let moderator = |file: &str| {
            let args: ModerationArgs = toml::from_str(file).map_err(|error| error.to_string())?;
            args.moderator(&served).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(moderator(""), Ok(None));
        let judge = moderator("model = \"judge\"\nharmless = [\"ok\"]").expect("it is served");
        let harmless = vec!["ok".to_owned()];
        let expected = Moderator { model: "judge".to_owned(), threshold: 0.5, harmless };
        assert_eq!(judge, Some(expected));
        for (file, named) in [
            ("model = \"other\"", "other"),
            ("threshold = 0.5", "--moderation-model"),
            ("model = \"judge\"\nthreshold = 1.5", "1.5"),
            ("modell = \"judge\"", "modell"),
        ] {
            let error = moderator(file).expect_err(file);
            assert!(error.contains(named), "{error}");
        }
    }
}

//! What an embedder wants said before a text, by name: `query`, `passage` and so on.
//!
//! Invariant: as sentence-transformers reads it of a model's folder.

use std::collections::BTreeMap;

use crate::TextError;
use crate::hugging_face::parse;
use crate::limits::MAX_TEXT_BYTES;

/// The prompts of one model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompts {
    /// By name.
    pub named: BTreeMap<String, String>,
    /// The name of the one that goes before a text for which none is named.
    pub default: Option<String>,
    /// Whether a prompt's tokens count for the embedding.
    pub are_pooled: bool,
}

impl Default for Prompts {
    fn default() -> Self {
        Self { named: BTreeMap::new(), default: None, are_pooled: true }
    }
}

impl Prompts {
    /// From `config_sentence_transformers.json` and `1_Pooling/config.json`, if they are there.
    ///
    /// # Errors
    /// A file is malformed or over its limit; the error names it and the field.
    pub fn from_files(config: Option<&[u8]>, pooling: Option<&[u8]>) -> Result<Self, TextError> {
        const CONFIG: &str = "config_sentence_transformers.json";
        let (config, pooling) = (parse(CONFIG, config)?, parse("1_Pooling/config.json", pooling)?);
        let wrong = |problem: String| TextError::field(CONFIG, problem);
        let mut named = BTreeMap::new();
        if let Some(prompts) = config.get("prompts").filter(|prompts| !prompts.is_null()) {
            let prompts = prompts.as_object();
            for (name, prompt) in prompts.ok_or_else(|| wrong("`prompts` is no object".into()))? {
                let prompt = prompt.as_str().filter(|prompt| prompt.len() < MAX_TEXT_BYTES);
                let prompt = prompt.ok_or_else(|| wrong(format!("`prompts.{name}` is no text")))?;
                named.insert(name.clone(), prompt.to_owned());
            }
        }
        let default = config["default_prompt_name"].as_str().map(str::to_owned);
        if let Some(name) = default.as_ref().filter(|name| !named.contains_key(*name)) {
            return Err(wrong(format!("`default_prompt_name` is `{name}`, which is no prompt")));
        }
        let are_pooled = pooling["include_prompt"].as_bool().unwrap_or(true);
        Ok(Self { named, default, are_pooled })
    }

    /// The prompt of this name, or the default; nothing is an empty one.
    ///
    /// # Errors
    /// The names that there are, if this is none of them.
    pub fn get(&self, name: Option<&str>) -> Result<&str, Vec<&str>> {
        match name.or(self.default.as_deref()) {
            None => Ok(""),
            Some(name) => {
                let found = self.named.get(name).map(String::as_str);
                found.ok_or_else(|| self.named.keys().map(String::as_str).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_found_by_name_and_by_default() {
        let config = br#"{"prompts": {"query": "query: ", "document": ""},
            "default_prompt_name": "query", "similarity_fn_name": "cosine"}"#;
        let prompts = Prompts::from_files(Some(config), None).unwrap();
        assert_eq!(prompts.get(None), Ok("query: "));
        assert_eq!(prompts.get(Some("document")), Ok(""));
        assert_eq!(prompts.get(Some("other")), Err(vec!["document", "query"]));
        assert!(prompts.are_pooled);
        let pooling = br#"{"include_prompt": false}"#;
        let none = Prompts::from_files(None, Some(pooling)).unwrap();
        assert_eq!((none.get(None), none.are_pooled), (Ok(""), false));
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        for (config, named) in [
            ("{", "config_sentence_transformers.json"),
            (r#"{"prompts": []}"#, "`prompts`"),
            (r#"{"prompts": {"a": 1}}"#, "`prompts.a`"),
            (r#"{"default_prompt_name": "a"}"#, "`default_prompt_name`"),
        ] {
            let error = Prompts::from_files(Some(config.as_bytes()), None).unwrap_err();
            assert!(error.to_string().contains(named), "{error}");
        }
    }
}

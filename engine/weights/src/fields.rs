//! What files call the fields that decide on a model.
//!
//! Invariant: specs are checked, and tensors are held against them, by the usual names of fields,
//! those of most configurations of transformers. A file's fields are read and told by one table.

use crate::error::Fault;

/// Usual names of fields that a family's files call otherwise, and what they may call each: the
/// first that is there counts.
pub type Called = &'static [(&'static str, &'static [&'static str])];

/// What follows from another field where it is not there itself.
const FOLLOWS: [(&str, &str); 4] = [
    ("partial_rotary_factor", "head_dim"),
    ("head_dim", "num_attention_heads"),
    ("shared_expert_intermediate_size", "moe_intermediate_size"),
    ("moe_intermediate_size", "intermediate_size"),
];

/// Fields of one file.
pub trait Fields {
    /// What is called otherwise here.
    fn called(&self) -> Called;

    /// What the file holds under a name of its own, as text; empty where that is long.
    fn value(&self, name: &str) -> Option<String>;

    /// Where in the file a field of its own name is.
    fn place(&self, name: &str) -> String;

    /// What the file calls the field of this usual name.
    fn name<'s>(&self, usual: &'s str) -> &'s str {
        let Some((_, names)) = self.called().iter().find(|(known, _)| *known == usual) else {
            return usual;
        };
        let there = names.iter().copied().find(|name| self.value(name).is_some());
        there.or(names.first().copied()).unwrap_or(usual)
    }

    /// Whether the file has the field of this usual name.
    fn has(&self, usual: &str) -> bool {
        self.value(self.name(usual)).is_some()
    }

    /// The file's own name of what decides on the field of this usual name.
    fn deciding<'s>(&self, usual: &'s str) -> &'s str {
        let name = self.name(usual);
        match FOLLOWS.iter().find(|(field, _)| *field == usual) {
            Some((_, from)) if self.value(name).is_none() => self.deciding(from),
            _ => name,
        }
    }

    /// The error that this field is wrong.
    fn fault(&self, usual: &str, what: impl Into<String>) -> Fault {
        Fault::field(&self.place(self.name(usual)), what)
    }

    /// A check's error in the file's words.
    fn told(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Field { field, what } => {
                let name = self.deciding(&field);
                match is_tensor(name) {
                    true => Fault::tensor(name, what),
                    false => Fault::field(&self.place(name), what),
                }
            }
            fault => fault,
        }
    }

    /// What the file says of the field of this usual name.
    fn says(&self, usual: &str) -> String {
        let name = self.deciding(usual);
        let place = self.place(name);
        match self.value(name) {
            None => format!("{place} is not set"),
            Some(value) if value.is_empty() => place,
            Some(value) => format!("{place} is {value}"),
        }
    }

    /// Refuses what is no positive number.
    ///
    /// # Errors
    /// The one that names the field.
    fn check_positive(&self, usual: &str, value: f32) -> Result<f32, Fault> {
        if value.is_finite() && value > 0.0 {
            return Ok(value);
        }
        Err(self.fault(usual, format!("{value} is not a positive number")))
    }
}

/// Whether a size is that of a tensor rather than in a field.
pub(crate) fn is_tensor(name: &str) -> bool {
    name.ends_with(".weight")
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::Config;

    const CALLED: Called = &[
        ("num_attention_heads", &["n_head"]),
        ("rms_norm_eps", &["rms_norm_eps", "layer_norm_eps"]),
    ];

    fn fields(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).expect("an object")
    }

    #[test]
    fn fields_are_read_and_told_by_one_table() {
        let all = fields(json!({"text_config": {"n_head": 3, "layer_norm_eps": -1, "a": null}}));
        let config = Config::new(&all).of_family(CALLED);
        let text = config.object("text_config").expect("an object").expect("it is there");
        assert_eq!(text.require("num_attention_heads"), Ok(3));
        assert!(text.has("rms_norm_eps") && !text.has("a") && text.stands("a").is_some());
        let told = |field| text.told(Fault::field(field, "is odd")).to_string();
        assert_eq!(told("num_attention_heads"), r#"field "text_config.n_head": is odd"#);
        assert_eq!(told("rms_norm_eps"), r#"field "text_config.layer_norm_eps": is odd"#);
        // What is not there follows from something, or is to be there.
        assert_eq!(told("head_dim"), r#"field "text_config.n_head": is odd"#);
        assert_eq!(told("num_experts"), r#"field "text_config.num_experts": is odd"#);
        assert_eq!(text.says("head_dim"), "text_config.n_head is 3");
        assert_eq!(text.says("num_experts"), "text_config.num_experts is not set");
        assert_eq!(config.says("text_config.n_head"), "text_config.n_head is 3");
        let error = text.positive("rms_norm_eps").expect_err("it is negative").to_string();
        assert_eq!(error, r#"field "text_config.layer_norm_eps": -1 is not a positive number"#);
    }
}

//! `adapter_config.json`, as the PEFT library writes it.
//!
//! Invariant: a field that would change what is computed is either followed or refused by its
//! name; which modules have weights, and of which shapes, their tensors say.
//!
//! Source: PEFT's `tuners/lora/config.py`, `utils/other.py` (`get_pattern_key`) and
//! `tuners/tuners_utils.py` (`check_target_module_exists`).

use engine_weights::{Fault, Quoted};
use fancy_regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::MAX_RANK;
use crate::families::Config;

/// Patterns of modules, and bytes of each.
const MAX_PATTERNS: usize = 256;
const MAX_PATTERN_BYTES: usize = 4096;
/// Names of modules: some list every one.
const MAX_NAMES: usize = 16_384;
/// Steps back that matching a pattern may take: they come from files.
const MAX_BACKTRACKS: usize = 100_000;

/// Fields that add something to what a pair of matrices computes.
const REFUSED: [(&str, &str); 13] = [
    ("use_dora", "DoRA is not supported"),
    ("modules_to_save", "modules that are replaced whole are not supported"),
    ("lora_bias", "biases of adapters are not supported"),
    ("use_qalora", "QALoRA is not supported"),
    ("use_bdlora", "block-diagonal matrices are not supported"),
    ("trainable_token_indices", "adapters of token embeddings are not supported"),
    ("alora_invocation_tokens", "adapters that begin within a prompt are not supported"),
    ("layer_replication", "layers that are repeated are not supported"),
    ("target_parameters", "adapters of parameters, as experts' are, are not supported"),
    ("arrow_config", "Arrow is not supported"),
    ("kasa_config", "KaSA is not supported"),
    ("monteclora_config", "MonteCLoRA is not supported"),
    ("megatron_config", "adapters of Megatron are not supported"),
];
/// Ways of beginning that change the base, so that the adapter does not fit the base as it was.
const CHANGES_BASE: [&str; 5] = ["pissa", "olora", "corda", "loftq", "lora_ga"];

/// What the file says of an adapter's modules.
pub(super) struct LoraConfig {
    rank: usize,
    alpha: f64,
    rank_stabilised: bool,
    ranks: Vec<(Pattern, usize)>,
    alphas: Vec<(Pattern, f64)>,
    targets: Targets,
}

/// Which modules it names.
enum Targets {
    /// Those whose tensors there are.
    Any,
    /// Last parts of names.
    Names(Vec<String>),
    Pattern(Pattern),
}

/// A regular expression that a field holds.
struct Pattern {
    field: &'static str,
    text: String,
    regex: Regex,
}

impl Pattern {
    /// `around` makes the whole expression of `text`.
    fn new(field: &'static str, text: &str, around: [&str; 2]) -> Result<Self, Fault> {
        if text.len() > MAX_PATTERN_BYTES {
            let what = format!("a pattern of {} bytes; {MAX_PATTERN_BYTES} are read", text.len());
            return Err(Fault::field(field, what));
        }
        let whole = format!("{}{text}{}", around[0], around[1]);
        let regex = RegexBuilder::new(&whole).backtrack_limit(MAX_BACKTRACKS).build();
        let regex = regex.map_err(|error| {
            let error = error.to_string();
            Fault::field(field, format!("{text:?} is no pattern that is read here: {error}"))
        })?;
        Ok(Self { field, text: text.to_owned(), regex })
    }

    fn matches(&self, module: &str) -> Result<bool, Fault> {
        self.regex.is_match(module).map_err(|error| {
            Fault::field(self.field, format!("{:?} takes too long to match: {error}", self.text))
        })
    }
}

impl LoraConfig {
    pub(super) fn read(map: &Map<String, Value>) -> Result<Self, Fault> {
        let config = Config::new(map);
        let kind: String = config.require("peft_type")?;
        if kind != "LORA" {
            let what = format!("{kind:?} is not supported, only \"LORA\" is");
            return Err(Fault::field("peft_type", what));
        }
        refuse(&config)?;
        let alpha = finite("lora_alpha", config.get("lora_alpha")?.unwrap_or(8.0))?;
        Ok(Self {
            rank: in_range("r", config.require("r")?)?,
            alpha,
            rank_stabilised: config.get("use_rslora")?.unwrap_or(false),
            ranks: patterns(&config, "rank_pattern", in_range)?,
            alphas: patterns(&config, "alpha_pattern", finite)?,
            targets: targets(&config)?,
        })
    }

    /// Rank and scale of a module; `None` if the file does not name it.
    pub(super) fn module(&self, module: &str) -> Result<Option<(usize, f32)>, Fault> {
        let named = match &self.targets {
            Targets::Any => true,
            Targets::Names(names) => names.iter().any(|name| is_last_part(module, name)),
            Targets::Pattern(pattern) => pattern.matches(module)?,
        };
        if !named {
            return Ok(None);
        }
        let rank = first(&self.ranks, module)?.unwrap_or(self.rank);
        let alpha = first(&self.alphas, module)?.unwrap_or(self.alpha);
        let by = if self.rank_stabilised { (rank as f64).sqrt() } else { rank as f64 };
        Ok(Some((rank, (alpha / by) as f32)))
    }
}

/// Whether `module` is `name`, or ends in it after a dot.
fn is_last_part(module: &str, name: &str) -> bool {
    let before = module.strip_suffix(name);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn first<T: Copy>(patterns: &[(Pattern, T)], module: &str) -> Result<Option<T>, Fault> {
    for (pattern, value) in patterns {
        if pattern.matches(module)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

fn in_range(field: &str, rank: usize) -> Result<usize, Fault> {
    match rank {
        1..=MAX_RANK => Ok(rank),
        _ => Err(Fault::field(field, format!("{rank} is not between 1 and {MAX_RANK}"))),
    }
}

fn finite(field: &str, alpha: f64) -> Result<f64, Fault> {
    match (alpha as f32).is_finite() {
        true => Ok(alpha),
        false => Err(Fault::field(field, format!("{alpha} is not a number to scale with"))),
    }
}

fn refuse(config: &Config<'_>) -> Result<(), Fault> {
    for (field, what) in REFUSED {
        let is_set = match config.stands(field) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(all)) => !all.is_empty(),
            Some(Value::Object(all)) => !all.is_empty(),
            Some(_) => true,
        };
        if is_set {
            return Err(Fault::field(field, what));
        }
    }
    config.only("bias", "none".to_owned())?;
    config.only("task_type", "CAUSAL_LM".to_owned())?;
    if let Some(Value::String(way)) = config.stands("init_lora_weights")
        && CHANGES_BASE.iter().any(|begins| way.starts_with(begins))
    {
        let what = format!(
            "{way:?} changes the base: convert the adapter to plain LoRA when saving it \
             (`path_initial_model_for_weight_conversion`)"
        );
        return Err(Fault::field("init_lora_weights", what));
    }
    Ok(())
}

/// The object in `field`: a value for each pattern, in order of the file.
fn patterns<'a, T: serde::Deserialize<'a>>(
    config: &Config<'a>,
    field: &'static str,
    check: fn(&str, T) -> Result<T, Fault>,
) -> Result<Vec<(Pattern, T)>, Fault> {
    let Some(object) = config.object(field)? else { return Ok(Vec::new()) };
    few(field, object.fields().len(), MAX_PATTERNS)?;
    // A pattern's dots are no objects within objects.
    let one = |(key, value): (&'a String, &'a Value)| {
        let value = T::deserialize(value)
            .map_err(|error| Fault::field(field, format!("{}: {error}", Quoted(key))))?;
        let value = check(field, value)?;
        Ok((Pattern::new(field, key, [r"^(.*\.)?(", ")$"])?, value))
    };
    object.fields().iter().map(one).collect()
}

fn few(field: &str, num: usize, most: usize) -> Result<(), Fault> {
    match num <= most {
        true => Ok(()),
        false => Err(Fault::field(field, format!("{num} entries; {most} are read"))),
    }
}

fn targets(config: &Config<'_>) -> Result<Targets, Fault> {
    const FIELD: &str = "target_modules";
    match config.stands(FIELD) {
        None | Some(Value::Null) => Ok(Targets::Any),
        Some(Value::String(all)) if all == "all-linear" => Ok(Targets::Any),
        Some(Value::String(pattern)) => {
            Ok(Targets::Pattern(Pattern::new(FIELD, pattern, ["^(?:", ")$"])?))
        }
        Some(_) => {
            let names: Vec<String> = config.require(FIELD)?;
            few(FIELD, names.len(), MAX_NAMES)?;
            Ok(Targets::Names(names))
        }
    }
}

#[cfg(test)]
mod tests;

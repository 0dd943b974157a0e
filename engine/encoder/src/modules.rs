//! What sentence-transformers does after the transformer, as its files say: `modules.json`, and a
//! folder for each module.
//!
//! Invariant: a module that is not known is refused, never left out; without `modules.json` rows
//! are averaged, as sentence-transformers does then.

use engine_weights::{
    Fault, Files, LoadError, Tensor,
    config::Config,
    hugging_face::{read_json, read_object, require, tensors_of},
};
use serde_json::Value;

use crate::spec::{Activation, DenseSpec, Function, NormSpec, OutputSpec, Pooling, Stage};

/// The list of modules.
pub(crate) const MODULES: &str = "modules.json";
/// Far above any list known.
const MAX_MODULES: usize = 64;
/// What PyTorch's norms add to the variance.
const EPS: f32 = 1e-5;

/// The modules of an embedder.
#[derive(Debug)]
pub(crate) struct Modules {
    pub(crate) output: OutputSpec,
    /// Those of modules with weights, by canonical name.
    pub(crate) tensors: Vec<Tensor>,
    /// Whether an instruction's tokens are pooled as well.
    pub(crate) include_prompt: bool,
}

impl Default for Modules {
    fn default() -> Self {
        let output = OutputSpec { poolings: vec![Pooling::Mean], stages: Vec::new() };
        Self { output, tensors: Vec::new(), include_prompt: true }
    }
}

/// The names of poolings today, and as fields before.
const POOLINGS: [(&str, &str, Pooling); 6] = [
    ("cls", "pooling_mode_cls_token", Pooling::Cls),
    ("max", "pooling_mode_max_tokens", Pooling::Max),
    ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
    ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrtLen),
    ("weightedmean", "pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
    ("lasttoken", "pooling_mode_lasttoken", Pooling::Last),
];

/// Reads the modules.
pub(crate) fn read(files: &Files) -> Result<Modules, LoadError> {
    let Some(path) = files.get(MODULES) else { return Ok(Modules::default()) };
    let at_path = |fault: Fault| fault.at(path);
    let Value::Array(list) = read_json(path)? else {
        return Err(at_path(Fault::file("the JSON is not a list")));
    };
    if list.len() > MAX_MODULES {
        let what = format!("{} modules; {MAX_MODULES} are read", list.len());
        return Err(at_path(Fault::file(what)));
    }
    let mut modules = Modules { output: OutputSpec::default(), ..Modules::default() };
    for (i, module) in list.iter().enumerate() {
        let Value::Object(module) = module else {
            return Err(at_path(Fault::file(format!("module {i} is not an object"))));
        };
        let module = Config::new(module);
        let kind: String = module.require("type").map_err(at_path)?;
        let folder: String = module.get("path").map_err(at_path)?.unwrap_or_default();
        let pooled = !modules.output.poolings.is_empty();
        match (i, kind.rsplit('.').next().unwrap_or_default()) {
            (0, "Transformer") if folder.is_empty() => {}
            (_, "Dropout") => {}
            (1.., "Pooling") if !pooled => {
                of_folder(files, &folder, |config| pooling(config, &mut modules))?;
            }
            (_, "Normalize") if pooled => modules.output.stages.push(Stage::Normalize),
            (_, "Dense") if pooled => {
                let stage = of_folder(files, &folder, |config| dense(config, i))?;
                modules.add(stage, files, (&folder, "linear", i))?;
            }
            (_, "LayerNorm") if pooled => {
                let stage = of_folder(files, &folder, |config| norm(config, i))?;
                modules.add(stage, files, (&folder, "norm", i))?;
            }
            _ => {
                let what = format!(
                    "{kind:?} in {folder:?} as module {i}; supported are a Transformer beside \
                     this file, then Pooling, then Dense, LayerNorm and Normalize"
                );
                return Err(at_path(Fault::field("type", what)));
            }
        }
    }
    if modules.output.poolings.is_empty() {
        return Err(at_path(Fault::file("there is no Pooling among the modules")));
    }
    Ok(modules)
}

/// What `read` makes of the configuration in a module's folder.
fn of_folder<T>(
    files: &Files,
    folder: &str,
    read: impl FnOnce(&Config<'_>) -> Result<T, Fault>,
) -> Result<T, LoadError> {
    let path = require(files, &format!("{folder}/config.json"))?;
    read(&Config::new(&read_object(path)?)).map_err(|fault| fault.at(path))
}

impl Modules {
    /// Adds a stage, and its tensors, which its folder calls `theirs`.
    fn add(
        &mut self,
        stage: Stage,
        files: &Files,
        (folder, theirs, i): (&str, &str, usize),
    ) -> Result<(), LoadError> {
        self.output.stages.push(stage);
        let weights = require(files, &format!("{folder}/model.safetensors"))?;
        self.tensors.extend(adopt(tensors_of(weights)?, (folder, theirs, i)));
        Ok(())
    }
}

/// The canonical name of the weights of module `i`.
fn name(i: usize) -> String {
    format!("module.{i}")
}

/// Tensors of module `i` under canonical names; others stay, and are refused later.
fn adopt(
    tensors: Vec<Tensor>,
    (folder, theirs, i): (&str, &str, usize),
) -> impl Iterator<Item = Tensor> {
    tensors.into_iter().map(move |tensor| {
        let tensor = tensor.within(folder);
        match tensor.name().strip_prefix(theirs).map(|rest| format!("{}{rest}", name(i))) {
            Some(name) => tensor.renamed(name),
            None => tensor,
        }
    })
}

fn pooling(config: &Config<'_>, modules: &mut Modules) -> Result<(), Fault> {
    const FIELD: &str = "pooling_mode";
    modules.include_prompt = config.get("include_prompt")?.unwrap_or(true);
    let names: Option<Vec<String>> = match config.stands(FIELD) {
        Some(Value::String(one)) => Some(vec![one.clone()]),
        _ => config.get(FIELD)?,
    };
    let mut poolings = Vec::new();
    if let Some(names) = names {
        for name in names {
            match POOLINGS.iter().find(|(known, ..)| *known == name) {
                Some((.., pooling)) => poolings.push(*pooling),
                None => {
                    let known: Vec<_> = POOLINGS.iter().map(|(known, ..)| *known).collect();
                    let what = format!("{name:?}; supported are {}", known.join(", "));
                    return Err(Fault::field(FIELD, what));
                }
            }
        }
    } else {
        for (_, field, pooling) in POOLINGS {
            if config.get(field)?.unwrap_or(false) {
                poolings.push(pooling);
            }
        }
    }
    if poolings.is_empty() || poolings.len() > POOLINGS.len() {
        let what = format!("{} of them; 1 to {} are read", poolings.len(), POOLINGS.len());
        return Err(Fault::field(FIELD, what));
    }
    modules.output.poolings = poolings;
    Ok(())
}

fn dense(config: &Config<'_>, i: usize) -> Result<Stage, Fault> {
    const FUNCTION: &str = "activation_function";
    for field in ["module_input_name", "module_output_name"] {
        config.only(field, "sentence_embedding".to_owned())?;
    }
    let path = config.get::<String>(FUNCTION)?;
    let path = path.as_deref().unwrap_or("torch.nn.modules.activation.Tanh");
    let function = match path.rsplit('.').next() {
        Some("Identity") => Function::Identity,
        Some("Tanh") => Function::Tanh,
        Some("GELU") => Function::Activation(Activation::Gelu),
        Some("SiLU") => Function::Activation(Activation::Silu),
        Some("ReLU") => Function::Activation(Activation::Relu),
        _ => {
            let what = format!("{path:?}; supported are Identity, Tanh, GELU, SiLU and ReLU");
            return Err(Fault::field(FUNCTION, what));
        }
    };
    Ok(Stage::Dense(DenseSpec {
        name: name(i),
        rows: config.require("out_features")?,
        cols: config.require("in_features")?,
        bias: config.get("bias")?.unwrap_or(true),
        function,
    }))
}

fn norm(config: &Config<'_>, i: usize) -> Result<Stage, Fault> {
    let norm = NormSpec { eps: EPS, bias: true };
    Ok(Stage::Norm { name: name(i), width: config.require("dimension")?, norm })
}

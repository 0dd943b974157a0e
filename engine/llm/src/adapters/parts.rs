//! From an adapter's tensors to pairs of matrices for the projections that executors know.
//!
//! Invariant: every tensor of the file is used, has the rank that the configuration says and the
//! sizes of the base's matrix; rows of `B` are in the order of the base's rows.

use std::collections::{BTreeMap, HashMap};

use engine_weights::Fault;

use super::{AdapterBase, Role, config::LoraConfig};
use crate::{
    families,
    weights::{DType, Tensor, WeightsError},
};

/// What names of tensors begin with.
const PREFIX: &str = "base_model.model.";
const DOWN: &str = ".lora_A.weight";
const UP: &str = ".lora_B.weight";

/// `scale · B A`, for one projection of one layer.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) layer: usize,
    pub(super) role: Role,
    /// `[rank, inputs]`.
    pub(super) down: Tensor,
    /// `[outputs, rank]`.
    pub(super) up: Tensor,
    pub(super) scale: f32,
}

impl Part {
    pub(super) fn rank(&self) -> usize {
        self.down.shape()[0]
    }

    pub(super) fn inputs(&self) -> usize {
        self.down.shape()[1]
    }

    pub(super) fn outputs(&self) -> usize {
        self.up.shape()[0]
    }
}

/// Both tensors of a module, under the names of the file.
#[derive(Default)]
struct Module {
    down: Option<Tensor>,
    up: Option<Tensor>,
}

/// Takes an adapter's tensors apart.
pub(super) fn parts(
    base: &AdapterBase,
    config: &LoraConfig,
    tensors: Vec<Tensor>,
) -> Result<Vec<Part>, Fault> {
    let shapes: HashMap<_, _> = base.spec.tensor_shapes().into_iter().collect();
    let mut all = Vec::new();
    for (module, Module { down, up }) in modules(tensors)? {
        let missing = |suffix| Fault::tensor(&format!("{PREFIX}{module}{suffix}"), "is missing");
        let down = down.ok_or_else(|| missing(DOWN))?;
        let up = up.ok_or_else(|| missing(UP))?;
        let Some((rank, scale)) = config.module(&module)? else {
            let what = "`target_modules` does not name its module";
            return Err(Fault::tensor(down.name(), what));
        };
        for (tensor, at) in [(&down, 0), (&up, 1)] {
            check_rank(tensor, at, rank)?;
        }
        adopt(base, (&shapes, &module), (down, up, scale), &mut all)?;
    }
    if all.is_empty() {
        return Err(Fault::file("there is no tensor of an adapter"));
    }
    Ok(all)
}

fn modules(tensors: Vec<Tensor>) -> Result<BTreeMap<String, Module>, Fault> {
    let mut modules = BTreeMap::<String, Module>::new();
    for tensor in tensors {
        let name = tensor.name().to_owned();
        let Some(inner) = name.strip_prefix(PREFIX) else {
            let what = format!("its name does not begin with {PREFIX:?}, as PEFT's do");
            return Err(Fault::tensor(&name, what));
        };
        if let Some(module) = inner.strip_suffix(DOWN) {
            modules.entry(module.to_owned()).or_default().down = Some(tensor);
        } else if let Some(module) = inner.strip_suffix(UP) {
            modules.entry(module.to_owned()).or_default().up = Some(tensor);
        } else {
            return Err(Fault::tensor(&name, unknown(inner)));
        }
    }
    Ok(modules)
}

/// Why a tensor is not one of those that are read.
fn unknown(name: &str) -> &'static str {
    if name.contains("lora_magnitude_vector") {
        "DoRA is not supported"
    } else if name.contains("lora_embedding_") {
        "adapters of embeddings are not supported"
    } else if name.contains(".lora_B.bias") {
        "biases of adapters are not supported"
    } else {
        "is no `lora_A.weight` or `lora_B.weight` of a module"
    }
}

fn check_rank(tensor: &Tensor, at: usize, rank: usize) -> Result<(), Fault> {
    match tensor.shape() {
        [_, _] if tensor.shape()[at] == rank => Ok(()),
        [_, _] => {
            let found = tensor.shape()[at];
            let what = format!(
                "has rank {found}, but `r` (or `rank_pattern`) of the configuration says {rank}"
            );
            Err(Fault::tensor(tensor.name(), what))
        }
        shape => Err(Fault::tensor(tensor.name(), format!("shape {shape:?} is no matrix"))),
    }
}

/// Finds the base's projections of a module, and holds the matrices against them.
fn adopt(
    base: &AdapterBase,
    (shapes, module): (&HashMap<String, Vec<usize>>, &str),
    (down, up, scale): (Tensor, Tensor, f32),
    to: &mut Vec<Part>,
) -> Result<(), Fault> {
    let no_place = || {
        let what = format!("the base has no module {module:?} that adapters are supported for");
        Fault::tensor(down.name(), what)
    };
    let canonical = base.family.weight_name(module).ok_or_else(no_place)?;
    let (name, rows) = (up.name().to_owned(), up.shape()[0]);
    let place = (&base.spec, base.family, base.gguf);
    let parts = families::adopt_outputs(place, up.renamed(canonical))
        .map_err(|error| misfit(&name, rows, &error))?;
    for up in parts {
        let (layer, role) = role(base, up.name()).ok_or_else(no_place)?;
        // As those of a layer's dense feed-forward, where that is a mixture of experts.
        let Some([outputs, inputs]) = shapes.get(up.name()).map(Vec::as_slice) else {
            return Err(no_place());
        };
        if up.shape()[0] != *outputs {
            let what = format!("has {rows} outputs, the base's matrix {outputs}");
            return Err(Fault::tensor(&name, what));
        }
        if down.shape()[1] != *inputs {
            let what = format!("has {} inputs, the base's matrix {inputs}", down.shape()[1]);
            return Err(Fault::tensor(down.name(), what));
        }
        to.push(Part { layer, role, down: down.clone(), up, scale });
    }
    Ok(())
}

fn misfit(name: &str, rows: usize, error: &WeightsError) -> Fault {
    let what = match error {
        WeightsError::Shape { want, .. } => {
            format!("has {rows} outputs, the base's matrix {}", want[0])
        }
        other => other.to_string(),
    };
    Fault::tensor(name, what)
}

/// Layer and role of a canonical name, if adapters are computed there.
fn role(base: &AdapterBase, name: &str) -> Option<(usize, Role)> {
    let (layer, role) = name.strip_prefix("blk.")?.strip_suffix(".weight")?.split_once('.')?;
    let role = Role::of(role)?;
    let latent = base.spec.attention.latent.is_some();
    if latent && matches!(role, Role::Query | Role::Key | Role::Value) {
        return None;
    }
    Some((layer.parse().ok()?, role))
}

/// Pairs of made-up numbers for every projection of these shapes.
pub(super) fn made_up(shapes: &[(String, Vec<usize>)], rank: usize, mut seed: u64) -> Vec<Part> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        ((seed >> 40) as f32 / (1 << 23) as f32 - 1.0) * 0.01
    };
    let mut matrix = |name: &str, shape: [usize; 2]| {
        let numbers = (0..shape[0] * shape[1]).flat_map(|_| next().to_le_bytes());
        Tensor::new(name, DType::F32, &shape, numbers.collect::<Vec<_>>().into())
    };
    let mut parts = Vec::new();
    for (name, shape) in shapes {
        let place = name.strip_prefix("blk.").and_then(|rest| rest.strip_suffix(".weight"));
        let Some((layer, role)) = place.and_then(|place| place.split_once('.')) else { continue };
        let (Ok(layer), Some(role), [outputs, inputs]) =
            (layer.parse(), Role::of(role), &shape[..])
        else {
            continue;
        };
        let down = matrix(name, [rank, *inputs]);
        if let (Ok(down), Ok(up)) = (down, matrix(name, [*outputs, rank])) {
            parts.push(Part { layer, role, down, up, scale: 1.0 });
        }
    }
    parts
}

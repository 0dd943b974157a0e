//! Filling tensors row by row, on all cores.
//!
//! Invariant: a row's bytes depend on that row alone, so the number of threads changes nothing.

use std::sync::{Mutex, PoisonError};

use kernels::quant::DType;

use crate::error::Fault;
use crate::memory;
use crate::tensor::{Tensor, num_bytes};

/// Rows that are filled together: in some layouts their numbers lie side by side.
const TILE: usize = 32;
const MAX_THREADS: usize = 16;
/// Smaller tensors are not worth asking the system how much memory there is.
const LARGE: usize = 64 << 20;

/// A tensor of that shape; `fill` is given runs of whole rows with the number of the first.
pub(super) fn filled(
    name: &str,
    (dtype, shape): (DType, &[usize]),
    fill: &(dyn Fn(usize, &mut [u8]) + Sync),
) -> Result<Tensor, Fault> {
    let fault = |what: String| Fault::tensor(name, what);
    let (len, row) = num_bytes(dtype, shape)
        .zip(dtype.row_bytes(shape.last().copied().unwrap_or_default()))
        .ok_or_else(|| fault(format!("shape {shape:?} is not possible in {}", dtype.name())))?;
    // Systems that give more than they have would only say so when it is too late.
    if len >= LARGE
        && let Some(available) = memory::available().filter(|available| *available < len as u64)
    {
        return Err(fault(format!("takes {len} bytes of memory, and {available} are available")));
    }
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(len)
        .map_err(|_| fault(format!("there is no memory for {len} bytes")))?;
    bytes.resize(len, 0);
    let tiles = Mutex::new(bytes.chunks_mut(TILE * row).enumerate());
    let work = || {
        loop {
            // A lock is held for no longer than it takes to be given a tile.
            let tile = tiles.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((i, tile)) = tile else { break };
            fill(i * TILE, tile);
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(len / (TILE * row)) {
            scope.spawn(work);
        }
        work();
    });
    Tensor::new(name, dtype, shape, bytes.into()).map_err(|error| fault(error.to_string()))
}

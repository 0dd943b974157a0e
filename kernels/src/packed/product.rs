//! Products of packed matrices, spread over the threads of a pool.
//!
//! A task is a few panels times a chunk of rows. Few rows read the packed panel directly, once;
//! many unpack it into the thread's scratch memory first and come back to it from there.

use super::{
    Format, GROUP, Matrix, PANEL,
    activations::{Activations, BAND, BLOCK, Kind},
    bf16::BAND as BF16_BAND,
    group::UNPACKED_BYTES,
    panels::{Panels, activated_panels, gate_panels, product_panels},
    tile::NR,
};
use crate::{activation::Activation, isa::Isa, pool::Pool};

/// Up to so many rows a panel is read directly.
pub(super) const FEW_ROWS: usize = 4;
/// Bytes of activations that stay in a core's second-level cache beside the panels; processors with
/// a matrix unit have 2 MiB there.
const CHUNK_BYTES: usize = 512 << 10;
const BF16_CHUNK_BYTES: usize = 1 << 20;
/// Tasks for each thread when there are few rows: enough to even out, not too many to take.
const TASKS_PER_THREAD: usize = 6;

/// One product: `out[m][n]` over all rows `m` of the common activations.
#[derive(Debug)]
pub struct Product<'a> {
    /// The weights.
    pub weight: Matrix<'a>,
    /// `m × weight.rows`, row-major.
    pub out: &'a mut [f32],
    /// Whether to add to what `out` holds.
    pub accumulate: bool,
}

/// `f(gate · x, up · x)`, as activations for the next product.
pub struct GatedProduct<'a> {
    /// The gate's weights.
    pub gate: Matrix<'a>,
    /// The other's, of the same shape.
    pub up: Matrix<'a>,
    /// The function `f`.
    pub activation: Activation,
    /// As many columns as the matrices have rows.
    pub out: &'a mut Activations,
}

/// `f(W · x + b)`, as activations for the next product.
pub struct ActivatedProduct<'a> {
    /// The weights.
    pub weight: Matrix<'a>,
    /// The function `f`, which leaves zero alone.
    pub activation: Activation,
    /// As many columns as the matrix has rows.
    pub out: &'a mut Activations,
}

/// Memory of each thread, made once.
pub struct Scratch {
    /// Unpacked panels, one area for each thread.
    areas: Vec<u8>,
    area: usize,
}

impl Scratch {
    /// For matrices of at most `max_cols` inputs.
    pub fn new(threads: usize, max_cols: usize) -> Self {
        let area = area_bytes(max_cols);
        Self { areas: vec![0; threads * area], area }
    }
}

/// The panels of a gate and of what it gates; lines are best aligned to cache lines.
fn area_bytes(cols: usize) -> usize {
    2 * NR * cols.div_ceil(GROUP) * UNPACKED_BYTES + 64
}

/// The thread areas' base, shared by tasks that use only their own thread's.
#[derive(Clone, Copy)]
struct Areas {
    base: *mut u8,
    area: usize,
}

// SAFETY: each thread uses only the area of its own number.
unsafe impl Sync for Areas {}

impl Areas {
    fn of(&self, thread: usize) -> *mut u8 {
        let area = self.base.wrapping_add(thread * self.area);
        area.wrapping_add(area.align_offset(64))
    }
}

/// How a product is cut into tasks.
#[derive(Clone, Copy)]
struct Grid {
    panels: usize,
    panels_per_task: usize,
    rows_per_chunk: usize,
    chunks: usize,
}

impl Grid {
    fn new(weight: &Matrix<'_>, m: usize, threads: usize) -> Self {
        let panels = weight.num_panels();
        let (few, bytes, chunk, tile) = match weight.format {
            Format::Bf16 => (BF16_BAND, 4, BF16_CHUNK_BYTES, BF16_BAND),
            Format::Int16 => (FEW_ROWS, 2, CHUNK_BYTES, BAND),
            _ => (FEW_ROWS, 1, CHUNK_BYTES, BAND),
        };
        let panels_per_task = if m <= few {
            panels.div_ceil(threads * TASKS_PER_THREAD).next_multiple_of(NR)
        } else {
            NR
        };
        // Whole tiles of the widest kernel, and even chunks.
        let most = (chunk / (weight.cols.max(1) * bytes)).clamp(2 * tile, 4096);
        let chunks = m.div_ceil(most).max(1);
        let rows_per_chunk = m.div_ceil(chunks).next_multiple_of(tile);
        Self { panels, panels_per_task, rows_per_chunk, chunks: m.div_ceil(rows_per_chunk) }
    }

    fn num_tasks(&self) -> usize {
        self.panels.div_ceil(self.panels_per_task) * self.chunks
    }

    /// First panel, panels, first row and rows of a task.
    fn task(&self, i: usize, m: usize) -> (usize, usize, usize, usize) {
        let per_chunk = self.panels.div_ceil(self.panels_per_task);
        let (first, row) =
            (i % per_chunk * self.panels_per_task, i / per_chunk * self.rows_per_chunk);
        let panels = self.panels_per_task.min(self.panels - first);
        (first, panels, row, self.rows_per_chunk.min(m - row))
    }
}

/// An output that threads write in disjoint places.
struct Out<'a> {
    weight: Matrix<'a>,
    out: *mut f32,
    accumulate: bool,
    grid: Grid,
}

// SAFETY: each task writes only its own panels' columns of its own rows, and no two share any.
unsafe impl Sync for Out<'_> {}

/// The most products of one call.
const MAX_PRODUCTS: usize = 4;

/// Multiplies the first `m` rows of `x` with several matrices at once.
///
/// # Panics
/// If a shape does not fit, `x` does not keep the form that a matrix needs, there are more than
/// four products, or the machine lacks the instruction set.
pub fn products(
    (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
    x: &Activations,
    m: usize,
    all: &mut [Product<'_>],
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert!(all.iter().all(|product| runs(product.weight.format, isa)), "format without its unit");
    assert!(all.len() <= MAX_PRODUCTS, "too many products in one call");
    let threads = pool.threads();
    let mut outs: [Option<Out<'_>>; MAX_PRODUCTS] = [const { None }; MAX_PRODUCTS];
    for (product, to) in all.iter_mut().zip(&mut outs) {
        let weight = product.weight;
        check(&weight, x, m, scratch, threads);
        assert_eq!(product.out.len(), m * weight.rows, "output");
        *to = Some(Out {
            weight,
            out: product.out.as_mut_ptr(),
            accumulate: product.accumulate,
            grid: Grid::new(&weight, m, threads),
        });
    }
    let outs = &outs;
    let num_tasks = outs.iter().flatten().map(|out| out.grid.num_tasks()).sum();
    let (areas, view) = (scratch.areas(), x.view());
    pool.run(num_tasks, &|mut i, thread| {
        let Some(out) = outs.iter().flatten().find(|out| {
            let mine = i < out.grid.num_tasks();
            i -= if mine { 0 } else { out.grid.num_tasks() };
            mine
        }) else {
            return;
        };
        let (panel, num_panels, row, rows) = out.grid.task(i, m);
        let on_tiles = isa == Isa::Amx;
        let panels = Panels { first: panel, num: num_panels, row, rows, on_tiles };
        let to = (out.out, out.accumulate);
        // SAFETY: shapes were checked above, and the task's outputs and area are its own.
        unsafe { product_panels(isa, &out.weight, &view, (panels, areas.of(thread)), to) };
    });
}

/// Runs a product with a function over the first `m` rows of `x`.
///
/// # Panics
/// As [`products`].
pub fn activated_product(
    (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
    x: &Activations,
    m: usize,
    product: ActivatedProduct<'_>,
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    let ActivatedProduct { weight, activation, out } = product;
    assert!(runs(weight.format, isa), "format without its unit");
    check(&weight, x, m, scratch, pool.threads());
    assert!(out.max_rows() >= m && out.stride() >= weight.rows, "room for the output");
    let (out, grid) = (&*out, Grid::new(&weight, m, pool.threads()));
    let (areas, view) = (scratch.areas(), x.view());
    pool.run(grid.num_tasks(), &|i, thread| {
        let (panel, num, row, rows) = grid.task(i, m);
        let panels = Panels { first: panel, num, row, rows, on_tiles: isa == Isa::Amx };
        let work = (panels, areas.of(thread));
        // SAFETY: as in `products`; blocks of 32 outputs are whole pairs of panels.
        unsafe { activated_panels(isa, &weight, &view, work, ((activation, isa), out)) };
    });
}

/// Runs a gated product over the first `m` rows of `x`.
///
/// # Panics
/// As [`products`], and if the two matrices differ in shape or format.
pub fn gated_product(
    (isa, pool, scratch): (Isa, &mut Pool, &mut Scratch),
    x: &Activations,
    m: usize,
    product: GatedProduct<'_>,
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    let GatedProduct { gate, up, activation, out } = product;
    assert!(runs(gate.format, isa), "format without its unit");
    check(&gate, x, m, scratch, pool.threads());
    check(&up, x, m, scratch, pool.threads());
    assert!(gate.rows == up.rows && gate.format == up.format, "gate and up differ");
    assert!(out.max_rows() >= m && out.stride() >= gate.rows, "room for the output");
    let (out, grid) = (&*out, Grid::new(&gate, m, pool.threads()));
    let (areas, view) = (scratch.areas(), x.view());
    pool.run(grid.num_tasks(), &|i, thread| {
        let (panel, num_panels, row, rows) = grid.task(i, m);
        let on_tiles = isa == Isa::Amx;
        let panels = Panels { first: panel, num: num_panels, row, rows, on_tiles };
        // SAFETY: as in `products`; blocks of 32 outputs are whole pairs of panels.
        unsafe {
            gate_panels(
                isa,
                [&gate, &up],
                &view,
                (panels, areas.of(thread)),
                ((activation, isa), out),
            )
        };
    });
    const { assert!(NR * PANEL == BLOCK) };
}

impl Scratch {
    fn areas(&mut self) -> Areas {
        Areas { base: self.areas.as_mut_ptr(), area: self.area }
    }
}

/// Whether these instructions multiply this format.
fn runs(format: Format, isa: Isa) -> bool {
    format != Format::Bf16 || isa == Isa::Amx
}

fn check(weight: &Matrix<'_>, x: &Activations, m: usize, scratch: &Scratch, threads: usize) {
    assert!(m <= x.max_rows(), "more rows than there are");
    assert_eq!(x.stride(), weight.cols.next_multiple_of(GROUP), "columns of the activations");
    let kind = match weight.format.activations() {
        // What rounding left may be done without.
        Kind::Bf16 => Kind::RoundedBf16,
        kind => kind,
    };
    assert!(x.has(kind), "the form of the activations");
    assert!(weight.data.len() >= weight.byte_len(), "packed bytes");
    assert!(weight.bias.is_none_or(|bias| bias.len() == weight.rows), "bias");
    let fits = scratch.area >= area_bytes(weight.cols);
    assert!(fits && scratch.areas.len() >= threads * scratch.area, "scratch memory");
}

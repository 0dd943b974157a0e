//! Attention of one position and one group of heads on one thread.

use std::cell::RefCell;

use super::{Cache, Params, Query};
use crate::{
    exp::softmax,
    isa::Isa,
    simd::{LANES, Portable, Simd, sum},
};

/// The query heads of one key head at one position.
pub(super) struct Work<'a> {
    pub(super) query: Query<'a>,
    pub(super) kv_head: usize,
    /// `group × head_dim`.
    pub(super) q: &'a [f32],
}

/// Scratch memory of a thread; kept, so that steps do not allocate.
#[derive(Default)]
struct Scratch {
    /// Scores, `group × positions`.
    scores: Vec<f32>,
    /// Queries padded to whole vectors, `group × head_stride`.
    q: Vec<f32>,
    /// Outputs, likewise.
    out: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Runs one piece of work; `out` is `group × head_dim`.
pub(super) fn run(isa: Isa, cache: &Cache<'_>, params: &Params, work: &Work<'_>, out: &mut [f32]) {
    SCRATCH.with_borrow_mut(|scratch| {
        let dim = cache.layout.head_dim;
        scratch.q.clear();
        for head in work.q.chunks_exact(dim) {
            scratch.q.extend(head.iter().map(|q| q * params.scale));
            scratch.q.resize(scratch.q.len().next_multiple_of(LANES), 0.0);
        }
        scratch.out.clear();
        scratch.out.resize(scratch.q.len(), 0.0);
        match isa {
            // SAFETY: plain arrays run everywhere.
            Isa::Portable => unsafe { attend::<Portable>(cache, params, work, scratch) },
            // SAFETY: `attention_on` has checked that this machine has the instruction set.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 | Isa::Avx2Vnni => unsafe { avx2(cache, params, work, scratch) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => unsafe {
                avx512(cache, params, work, scratch)
            },
            #[cfg(not(target_arch = "x86_64"))]
            // SAFETY: plain arrays run everywhere.
            _ => unsafe { attend::<Portable>(cache, params, work, scratch) },
        }
        let padded = scratch.out.chunks_exact(cache.layout.head_stride());
        for (to, from) in out.chunks_exact_mut(dim).zip(padded) {
            to.copy_from_slice(&from[..dim]);
        }
    });
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2(cache: &Cache<'_>, params: &Params, work: &Work<'_>, scratch: &mut Scratch) {
    // SAFETY: the caller has checked the instruction set.
    unsafe { attend::<crate::simd::Avx2>(cache, params, work, scratch) };
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
fn avx512(cache: &Cache<'_>, params: &Params, work: &Work<'_>, scratch: &mut Scratch) {
    // SAFETY: the caller has checked the instruction set.
    unsafe { attend::<crate::simd::Avx512>(cache, params, work, scratch) };
}

/// Scores, softmax, weighted values.
///
/// # Safety
/// The machine has the instruction set of `S`.
#[inline(always)]
unsafe fn attend<S: Simd>(
    cache: &Cache<'_>,
    params: &Params,
    work: &Work<'_>,
    scratch: &mut Scratch,
) {
    let layout = cache.layout;
    let (stride, end) = (layout.head_stride(), work.query.position + 1);
    let first = params.window.map_or(0, |window| end.saturating_sub(window));
    let (len, group) = (end - first, scratch.q.len() / stride);
    scratch.scores.clear();
    scratch.scores.resize(group * len, 0.0);
    let at = |p: usize| {
        let block = work.query.blocks[p / layout.block_size];
        layout.index(block, work.kv_head, p % layout.block_size)
    };
    for p in first..end {
        let key = cache.keys[at(p)..at(p) + stride].as_ptr();
        for (head, q) in scratch.q.chunks_exact(stride).enumerate() {
            // SAFETY: key and query are both `stride` long, whole vectors.
            scratch.scores[head * len + p - first] = unsafe {
                let mut acc = S::zero();
                for d in (0..stride).step_by(LANES) {
                    acc = S::fma(S::load(q.as_ptr().add(d)), S::load(key.add(d)), acc);
                }
                sum::<S>(acc)
            };
        }
    }
    for scores in scratch.scores.chunks_exact_mut(len) {
        softmax(scores);
    }
    for p in first..end {
        let value = cache.values[at(p)..at(p) + stride].as_ptr();
        for (head, out) in scratch.out.chunks_exact_mut(stride).enumerate() {
            // SAFETY: value and output are both `stride` long, whole vectors.
            unsafe {
                let weight = S::splat(scratch.scores[head * len + p - first]);
                for d in (0..stride).step_by(LANES) {
                    let to = out.as_mut_ptr().add(d);
                    S::store(to, S::fma(weight, S::load(value.add(d)), S::load(to)));
                }
            }
        }
    }
}

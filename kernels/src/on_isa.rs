//! Plain loops, compiled for the instruction set that runs them.
//!
//! Invariant: the same operations in the same order on each, so the same results.

use crate::isa::Isa;

/// Runs plain loops compiled for the instruction set.
#[inline(always)]
pub(crate) fn on_isa(isa: Isa, body: impl FnOnce()) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn avx2(body: impl FnOnce()) {
            body();
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
        fn avx512(body: impl FnOnce()) {
            body();
        }
        match isa {
            Isa::Portable => {}
            // SAFETY: callers have checked that this machine has it.
            Isa::Avx2 | Isa::Avx2Vnni => return unsafe { avx2(body) },
            // SAFETY: as above.
            Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 => return unsafe { avx512(body) },
        }
    }
    let _ = isa;
    body();
}

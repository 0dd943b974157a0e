//! The loops of x86-64.

use std::{
    arch::{asm, x86_64::*},
    hint::black_box,
};

use super::{Peaks, STEPS, SUMS, rate};
use kernels::Isa;

/// A function that does `STEPS` times `SUMS` times `$step`, over sums that begin as `$zero`.
macro_rules! sums {
    ($name:ident, $features:literal, $zero:expr, $operand:expr, $step:expr) => {
        #[target_feature(enable = $features)]
        fn $name() {
            let operand = black_box($operand);
            let mut sums = [$zero; SUMS];
            for _ in 0..STEPS {
                for sum in &mut sums {
                    *sum = $step(*sum, operand);
                }
            }
            black_box(sums);
        }
    };
}

sums!(f32_avx2, "avx2,fma", _mm256_setzero_ps(), _mm256_set1_ps(0.5), |sum, x| _mm256_fmadd_ps(
    x, x, sum
));
sums!(f32_avx512, "avx512f", _mm512_setzero_ps(), _mm512_set1_ps(0.5), |sum, x| {
    _mm512_fmadd_ps(x, x, sum)
});
// The product goes in again, so that it is not computed only once.
sums!(int8_avx2, "avx2", _mm256_setzero_si256(), _mm256_set1_epi8(1), |sum, x| {
    _mm256_maddubs_epi16(x, sum)
});
sums!(int8_avx_vnni, "avx2,avxvnni", _mm256_setzero_si256(), _mm256_set1_epi8(1), |sum, x| {
    _mm256_dpbusd_avx_epi32(sum, x, x)
});
sums!(
    int8_avx512_vnni,
    "avx512f,avx512vnni",
    _mm512_setzero_si512(),
    _mm512_set1_epi8(1),
    |sum, x| _mm512_dpbusd_epi32(sum, x, x)
);
sums!(int16_avx2, "avx2", _mm256_setzero_si256(), _mm256_set1_epi16(1), |sum, x| {
    _mm256_madd_epi16(x, sum)
});
sums!(int16_avx_vnni, "avx2,avxvnni", _mm256_setzero_si256(), _mm256_set1_epi16(1), |sum, x| {
    _mm256_dpwssd_avx_epi32(sum, x, x)
});
sums!(
    int16_avx512_vnni,
    "avx512f,avx512vnni",
    _mm512_setzero_si512(),
    _mm512_set1_epi16(1),
    |sum, x| _mm512_dpwssd_epi32(sum, x, x)
);
sums!(
    bf16_avx512,
    "avx512f,avx512bf16",
    _mm512_setzero_ps(),
    _mm512_cvtneps_pbh_pair(_mm512_set1_ps(0.5)),
    |sum, x| _mm512_dpbf16_ps(sum, x, x)
);

/// As the others, of whole tiles: four sums of 16 rows and 16 columns in turn, 64 bytes of each.
macro_rules! tiles {
    ($name:ident, $step:literal) => {
        /// # Safety
        /// The machine has AMX, and the process was granted it.
        unsafe fn $name() {
            let config = TileConfig::whole();
            // SAFETY: the caller vouches; a configuration of eight whole tiles.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly));
                for _ in 0..STEPS * SUMS / 4 {
                    asm!(
                        concat!($step, " tmm0, tmm4, tmm6"),
                        concat!($step, " tmm1, tmm4, tmm7"),
                        concat!($step, " tmm2, tmm5, tmm6"),
                        concat!($step, " tmm3, tmm5, tmm7"),
                        options(nomem, nostack, preserves_flags)
                    );
                }
                asm!("tilerelease", options(nomem, nostack));
            }
        }
    };
}

tiles!(int8_amx, "tdpbssd");
tiles!(bf16_amx, "tdpbf16ps");

#[repr(align(64))]
struct TileConfig([u8; 64]);

impl TileConfig {
    /// Eight tiles of 16 rows of 64 bytes.
    fn whole() -> Self {
        let mut config = Self([0; 64]);
        config.0[0] = 1;
        for tile in 0..8 {
            (config.0[16 + 2 * tile], config.0[48 + tile]) = (64, 16);
        }
        config
    }
}

/// Thirty-two numbers in bfloat16.
#[target_feature(enable = "avx512f,avx512bf16")]
fn _mm512_cvtneps_pbh_pair(x: __m512) -> __m512bh {
    _mm512_cvtne2ps_pbh(x, x)
}

pub(super) fn peaks(isa: Isa) -> Peaks {
    // SAFETY: the machine has what `isa` names (the caller asked), and every loop needs no
    // more than that.
    unsafe {
        Peaks {
            int8: match isa {
                Isa::Portable | Isa::Neon | Isa::NeonDot => None,
                Isa::Avx2 | Isa::Avx512 => Some(rate(64, || int8_avx2())),
                Isa::Avx2Vnni => Some(rate(64, || int8_avx_vnni())),
                Isa::Avx512Vnni | Isa::Avx512Bf16 => Some(rate(128, || int8_avx512_vnni())),
                Isa::Amx => Some(rate(2 * 16 * 16 * 64, || int8_amx())),
            },
            int16: match isa {
                Isa::Portable | Isa::Neon | Isa::NeonDot => None,
                Isa::Avx2 | Isa::Avx512 => Some(rate(32, || int16_avx2())),
                Isa::Avx2Vnni => Some(rate(32, || int16_avx_vnni())),
                Isa::Avx512Vnni | Isa::Avx512Bf16 | Isa::Amx => {
                    Some(rate(64, || int16_avx512_vnni()))
                }
            },
            bf16: match isa {
                Isa::Avx512Bf16 => Some(rate(64, || bf16_avx512())),
                Isa::Amx => Some(rate(2 * 16 * 16 * 32, || bf16_amx())),
                _ => None,
            },
            f32: match isa {
                Isa::Portable | Isa::Neon | Isa::NeonDot => None,
                Isa::Avx2 | Isa::Avx2Vnni => Some(rate(16, || f32_avx2())),
                Isa::Avx512 | Isa::Avx512Vnni | Isa::Avx512Bf16 | Isa::Amx => {
                    Some(rate(32, || f32_avx512()))
                }
            },
        }
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn read(words: &[u64]) -> u64 {
    super::sum(words)
}

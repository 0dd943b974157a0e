//! Which instructions the kernels use on this machine.
//!
//! Invariant: [`Isa::detect`] answers the same for the life of the process, so every row of a
//! model is computed by one path.

use std::sync::OnceLock;

/// Instruction sets with a path of their own, plainest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust; what the compiler makes of it.
    Portable,
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// [`Isa::Avx2`] with dot products of bytes (AVX-VNNI).
    Avx2Vnni,
    /// 512-bit vectors.
    Avx512,
    /// [`Isa::Avx512`] with dot products of bytes (VNNI).
    Avx512Vnni,
    /// [`Isa::Avx512Vnni`] with dot products of bfloat16.
    Avx512Bf16,
    /// [`Isa::Avx512Vnni`] with products on tiles (AMX): of bytes, the same bit for bit, and of
    /// bfloat16.
    Amx,
    /// aarch64's 128-bit vectors.
    Neon,
    /// [`Isa::Neon`] with dot products of bytes (ARMv8.2's `dotprod`).
    NeonDot,
}

/// Forces a path: one of the names of [`Isa::name`].
const VARIABLE: &str = "AGENTBASE_ISA";

impl Isa {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Portable,
        Self::Avx2,
        Self::Avx2Vnni,
        Self::Avx512,
        Self::Avx512Vnni,
        Self::Avx512Bf16,
        Self::Amx,
        Self::Neon,
        Self::NeonDot,
    ];

    /// The fastest instruction set of this machine, or the one that the environment variable
    /// `AGENTBASE_ISA` names, if the machine has it.
    pub fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let available = Self::available();
            let forced = std::env::var(VARIABLE).ok();
            let forced = available.iter().find(|isa| Some(isa.name()) == forced.as_deref());
            forced.copied().unwrap_or_else(|| fastest(&available))
        })
    }

    /// Whether `AGENTBASE_ISA`, if it is set, names one that this machine has.
    ///
    /// # Errors
    /// A message for whoever set it.
    pub fn check_forced() -> Result<(), String> {
        let Ok(forced) = std::env::var(VARIABLE) else { return Ok(()) };
        let names: Vec<&str> = Self::available().into_iter().map(Self::name).collect();
        if forced.is_empty() || names.contains(&forced.as_str()) {
            return Ok(());
        }
        Err(format!("{VARIABLE} is `{forced}`; this machine has {}", names.join(", ")))
    }

    /// All instruction sets that this machine can run, plainest first.
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available()).collect()
    }

    /// As the environment variable names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx2Vnni => "avx2-vnni",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Amx => "amx",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dotprod",
        }
    }

    /// Whether this machine can run it.
    #[cfg(target_arch = "x86_64")]
    pub fn is_available(self) -> bool {
        let has_avx2 = || {
            is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
        };
        match self {
            Self::Portable => true,
            Self::Avx2 => has_avx2(),
            Self::Avx2Vnni => has_avx2() && is_x86_feature_detected!("avxvnni"),
            Self::Avx512 => {
                has_avx2()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            Self::Avx512Vnni => {
                Self::Avx512.is_available() && is_x86_feature_detected!("avx512vnni")
            }
            Self::Avx512Bf16 => {
                Self::Avx512Vnni.is_available() && is_x86_feature_detected!("avx512bf16")
            }
            Self::Amx => Self::Avx512Vnni.is_available() && crate::simd::amx::is_granted(),
            Self::Neon | Self::NeonDot => false,
        }
    }

    /// Whether this machine can run it.
    #[cfg(target_arch = "aarch64")]
    pub fn is_available(self) -> bool {
        use std::arch::is_aarch64_feature_detected as has;
        match self {
            Self::Portable => true,
            Self::Neon => has!("neon"),
            Self::NeonDot => has!("neon") && has!("dotprod"),
            _ => false,
        }
    }

    /// Whether this machine can run it.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub fn is_available(self) -> bool {
        self == Self::Portable
    }
}

/// The last one, but for Intel's bfloat16: its dot products outside the matrix unit take four
/// times as long as the multiply-adds they replace (Sapphire Rapids: 86 against 176 GFLOP/s).
fn fastest(available: &[Isa]) -> Isa {
    let slow = |isa: &Isa| *isa == Isa::Avx512Bf16 && is_intel();
    available.iter().rev().find(|isa| !slow(isa)).copied().unwrap_or(Isa::Portable)
}

#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let leaf = std::arch::x86_64::__cpuid(0);
    [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes).concat() == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_intel() -> bool {
    false
}

//! The formats by name, and their sizes.

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an `F32`.
    BF16,
    /// 8 bits; a scale per 32.
    Q8_0,
    /// 4 bits; a scale per 32.
    Q4_0,
    /// 4 bits; a scale and a minimum per 32.
    Q4_1,
    /// 5 bits; a scale per 32.
    Q5_0,
    /// 5 bits; a scale and a minimum per 32.
    Q5_1,
    /// 2 bits; 4-bit scales and minima per 16 within blocks of 256.
    Q2K,
    /// 3 bits; 6-bit scales per 16 within blocks of 256.
    Q3K,
    /// 4 bits; 6-bit scales and minima per 32 within blocks of 256.
    Q4K,
    /// 5 bits; 6-bit scales and minima per 32 within blocks of 256.
    Q5K,
    /// 6 bits; 8-bit scales per 16 within blocks of 256.
    Q6K,
    /// 8 of −1, 0, 1 in 11 bits, moved by an eighth either way; 3-bit scales per 32.
    IQ1S,
    /// The same, moved each 8; 3-bit scales per 16.
    IQ1M,
    /// 8 numbers in 8 bits and their signs in 7; 4-bit scales per 32.
    IQ2XXS,
    /// 8 numbers in 9 bits and their signs in 7; 4-bit scales per 16.
    IQ2XS,
    /// 8 numbers in 10 bits and their signs in 8; 4-bit scales per 16.
    IQ2S,
    /// 4 numbers in 8 bits, 8 signs in 7; 4-bit scales per 32.
    IQ3XXS,
    /// 4 numbers in 9 bits, 8 signs in 8; 4-bit scales per 64.
    IQ3S,
    /// 16 unevenly spaced numbers; a scale per 32.
    IQ4NL,
    /// The same; 6-bit scales per 32 within blocks of 256.
    IQ4XS,
    /// −1, 0 and 1, five in a byte; a scale per 256.
    TQ1_0,
    /// −1, 0 and 1, four in a byte; a scale per 256.
    TQ2_0,
    /// 4-bit floating-point numbers; a power of two per 32 (OCP Microscaling).
    MXFP4,
    /// 4-bit floating-point numbers; an 8-bit floating-point scale per 16.
    NVFP4,
    /// 8-bit floating-point numbers (`e4m3fn`); a single-precision scale per 32. Not of GGUF: what
    /// folders with scales beside their tensors become.
    F8Scaled,
    /// 8-bit floating-point numbers with 4 bits of exponent and no infinities, bare.
    F8E4M3,
    /// 8-bit floating-point numbers with 5 bits of exponent, bare.
    F8E5M2,
    /// Whole numbers, bare.
    I8,
    /// Whole numbers from 0, bare.
    U8,
    /// Whole numbers, bare; also what packs several smaller ones.
    I32,
    /// Whole numbers, bare.
    I64,
}

/// What is known of a format.
struct Known {
    name: &'static str,
    ggml: Option<u32>,
    /// Elements, bytes.
    block: (usize, usize),
}

const fn known(name: &'static str, ggml: Option<u32>, block: (usize, usize)) -> Known {
    Known { name, ggml, block }
}

impl DType {
    /// Every format.
    pub const ALL: [Self; 33] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::IQ1S,
        Self::IQ1M,
        Self::IQ2XXS,
        Self::IQ2XS,
        Self::IQ2S,
        Self::IQ3XXS,
        Self::IQ3S,
        Self::IQ4NL,
        Self::IQ4XS,
        Self::TQ1_0,
        Self::TQ2_0,
        Self::MXFP4,
        Self::NVFP4,
        Self::F8Scaled,
        Self::F8E4M3,
        Self::F8E5M2,
        Self::I8,
        Self::U8,
        Self::I32,
        Self::I64,
    ];

    /// Names and sizes as in ggml's `ggml-common.h`.
    const fn known(self) -> Known {
        match self {
            Self::F32 => known("F32", Some(0), (1, 4)),
            Self::F16 => known("F16", Some(1), (1, 2)),
            Self::BF16 => known("BF16", Some(30), (1, 2)),
            Self::Q8_0 => known("Q8_0", Some(8), (32, 34)),
            Self::Q4_0 => known("Q4_0", Some(2), (32, 18)),
            Self::Q4_1 => known("Q4_1", Some(3), (32, 20)),
            Self::Q5_0 => known("Q5_0", Some(6), (32, 22)),
            Self::Q5_1 => known("Q5_1", Some(7), (32, 24)),
            Self::Q2K => known("Q2_K", Some(10), (256, 84)),
            Self::Q3K => known("Q3_K", Some(11), (256, 110)),
            Self::Q4K => known("Q4_K", Some(12), (256, 144)),
            Self::Q5K => known("Q5_K", Some(13), (256, 176)),
            Self::Q6K => known("Q6_K", Some(14), (256, 210)),
            Self::IQ1S => known("IQ1_S", Some(19), (256, 50)),
            Self::IQ1M => known("IQ1_M", Some(29), (256, 56)),
            Self::IQ2XXS => known("IQ2_XXS", Some(16), (256, 66)),
            Self::IQ2XS => known("IQ2_XS", Some(17), (256, 74)),
            Self::IQ2S => known("IQ2_S", Some(22), (256, 82)),
            Self::IQ3XXS => known("IQ3_XXS", Some(18), (256, 98)),
            Self::IQ3S => known("IQ3_S", Some(21), (256, 110)),
            Self::IQ4NL => known("IQ4_NL", Some(20), (32, 18)),
            Self::IQ4XS => known("IQ4_XS", Some(23), (256, 136)),
            Self::TQ1_0 => known("TQ1_0", Some(34), (256, 54)),
            Self::TQ2_0 => known("TQ2_0", Some(35), (256, 66)),
            Self::MXFP4 => known("MXFP4", Some(39), (32, 17)),
            Self::NVFP4 => known("NVFP4", Some(40), (64, 36)),
            Self::F8Scaled => known("F8_SCALED", None, (32, 36)),
            Self::F8E4M3 => known("F8_E4M3", None, (1, 1)),
            Self::F8E5M2 => known("F8_E5M2", None, (1, 1)),
            Self::I8 => known("I8", None, (1, 1)),
            Self::U8 => known("U8", None, (1, 1)),
            Self::I32 => known("I32", None, (1, 4)),
            Self::I64 => known("I64", None, (1, 8)),
        }
    }

    /// Elements per block.
    pub const fn block_len(self) -> usize {
        self.known().block.0
    }

    /// Bytes per block.
    pub const fn block_bytes(self) -> usize {
        self.known().block.1
    }

    /// Bytes of `k` elements; `None` if `k` is not whole blocks or the number overflows.
    pub fn row_bytes(self, k: usize) -> Option<usize> {
        if !k.is_multiple_of(self.block_len()) {
            return None;
        }
        (k / self.block_len()).checked_mul(self.block_bytes())
    }

    /// The format that ggml numbers `id` (`enum ggml_type`), if it is one of ours.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.ggml_id() == Some(id))
    }

    /// ggml's number for this format (`enum ggml_type`); `None` if no weights in GGUF files have
    /// it.
    pub const fn ggml_id(self) -> Option<u32> {
        self.known().ggml
    }

    /// The usual spelling, as in "Q4_K".
    pub const fn name(self) -> &'static str {
        self.known().name
    }
}

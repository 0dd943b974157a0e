//! The matrix unit of Intel's server processors (AMX): registers of up to 16 rows of 64 bytes.
//!
//! Invariant: a thread's tiles are configured while a [`Configured`] of its lives, and only then.
//! Compiled code keeps nothing in tiles, so between blocks of assembly they hold what these left.

use std::{
    arch::{
        asm,
        x86_64::{__cpuid, __cpuid_count, _xgetbv},
    },
    marker::PhantomData,
    sync::OnceLock,
};

pub(crate) mod attention;
pub(crate) mod bf16;

/// Rows of activations in bytes that are multiplied at once: a band.
pub(crate) const ROWS: usize = 12;
/// Inputs that are multiplied at once: a block.
pub(crate) const INPUTS: usize = 32;
/// Bytes of a tile's row at most, and from one row to the next of what is stored.
pub(crate) const ROW_BYTES: usize = 64;

/// Whether the processor has products of bytes and of bfloat16 on tiles, the system keeps them for
/// threads, and this process was granted them, for which it is asked once.
pub(crate) fn is_granted() -> bool {
    static GRANTED: OnceLock<bool> = OnceLock::new();
    *GRANTED.get_or_init(|| has_tiles() && ask())
}

fn has_tiles() -> bool {
    const OSXSAVE: u32 = 1 << 27;
    /// Bytes, tiles themselves, bfloat16.
    const AMX: u32 = 1 << 25 | 1 << 24 | 1 << 22;
    /// Tile configuration and tile data are saved.
    const SAVED: u64 = 3 << 17;
    if __cpuid(0).eax < 7 || __cpuid(1).ecx & OSXSAVE == 0 {
        return false;
    }
    let features = __cpuid_count(7, 0).edx;
    // SAFETY: OSXSAVE says that the instruction is there.
    let saved = unsafe { xgetbv() };
    features & AMX == AMX && saved & SAVED == SAVED
}

/// # Safety
/// The processor has XSAVE.
#[target_feature(enable = "xsave")]
unsafe fn xgetbv() -> u64 {
    // SAFETY: the caller vouches.
    unsafe { _xgetbv(0) }
}

/// Asks for tile data, which a signal's frame has no room for unless it is asked for.
#[cfg(target_os = "linux")]
fn ask() -> bool {
    /// `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let mut status = ARCH_PRCTL;
    // SAFETY: a system call that touches no memory of ours; an older kernel answers an error.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") status,
            in("rdi") REQUEST,
            in("rsi") TILE_DATA,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    status == 0
}

#[cfg(not(target_os = "linux"))]
fn ask() -> bool {
    false
}

/// Shapes of the eight tiles.
#[repr(C, align(64))]
pub(crate) struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Config {
    /// Eight whole tiles of so many rows.
    const fn whole(num_rows: usize) -> Self {
        let (mut row_bytes, mut rows) = ([0; 16], [0; 16]);
        let mut tile = 0;
        while tile < 8 {
            (row_bytes[tile], rows[tile]) = (ROW_BYTES as u16, num_rows as u8);
            tile += 1;
        }
        Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
    }

    /// Of bytes: sums in tiles 0 to 3, activations in 4 and 5, weights in 6 and 7.
    pub(crate) const fn bytes() -> Self {
        let mut config = Self::whole(ROWS);
        let (inputs, quads) = (INPUTS as u16, INPUTS as u8 / 4);
        (config.row_bytes[4], config.row_bytes[5]) = (inputs, inputs);
        (config.rows[6], config.rows[7]) = (quads, quads);
        config
    }
}

/// The thread's tiles, configured until this is dropped.
pub(crate) struct Configured(PhantomData<*const ()>);

impl Configured {
    /// # Safety
    /// Tiles are [granted](is_granted), and the thread has no other `Configured`.
    pub(crate) unsafe fn new(config: &Config) -> Self {
        // SAFETY: the caller vouches; 64 bytes that make a configuration.
        unsafe { asm!("ldtilecfg [{}]", in(reg) config, options(readonly, nostack)) };
        Self(PhantomData)
    }
}

impl Drop for Configured {
    fn drop(&mut self) {
        // SAFETY: there are tiles, since they were configured. A thread that leaves them in use
        // has them saved whenever another takes its place.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }
}

/// Sums of a product: a row of sixteen for each row of activations.
#[repr(C, align(64))]
pub(crate) struct Sums(pub(crate) [[i32; ROW_BYTES / 4]; ROWS]);

/// Which of two pairs of sums: one is stored while the other is in the making.
#[derive(Clone, Copy)]
pub(crate) enum Pair {
    /// Tiles 0 and 1.
    Even,
    /// Tiles 2 and 3.
    Odd,
}

/// Rows of activations times [`INPUTS`] of two panels, all signed bytes, into a pair of sums.
///
/// # Safety
/// Tiles are configured, and activations (rows [`ROW_BYTES`] apart) and weights
/// (lines of four inputs of sixteen outputs) are readable.
#[inline(always)]
pub(crate) unsafe fn multiply(pair: Pair, x: *const i8, panels: [*const u8; 2]) {
    macro_rules! multiply {
        ($first:literal, $second:literal, $x:literal) => {
            asm!(
                concat!("tileloadd ", $x, ", [{x} + {stride}*1]"),
                "tileloadd tmm6, [{a} + {stride}*1]",
                "tileloadd tmm7, [{b} + {stride}*1]",
                concat!("tilezero ", $first),
                concat!("tilezero ", $second),
                concat!("tdpbssd ", $first, ", ", $x, ", tmm6"),
                concat!("tdpbssd ", $second, ", ", $x, ", tmm7"),
                x = in(reg) x,
                a = in(reg) panels[0],
                b = in(reg) panels[1],
                stride = in(reg) ROW_BYTES,
                options(nostack, preserves_flags, readonly)
            )
        };
    }
    // SAFETY: the caller vouches.
    unsafe {
        match pair {
            Pair::Even => multiply!("tmm0", "tmm1", "tmm4"),
            Pair::Odd => multiply!("tmm2", "tmm3", "tmm5"),
        }
    }
}

/// Writes a pair of sums, those of the first panel first.
///
/// # Safety
/// Tiles are configured, and `to` is writable.
#[inline(always)]
pub(crate) unsafe fn store(pair: Pair, to: *mut [Sums; 2]) {
    macro_rules! store {
        ($first:literal, $second:literal) => {
            asm!(
                concat!("tilestored [{to} + {stride}*1], ", $first),
                concat!("tilestored [{to} + {stride}*1 + {second}], ", $second),
                to = in(reg) to,
                stride = in(reg) ROW_BYTES,
                second = const size_of::<Sums>(),
                options(nostack, preserves_flags)
            )
        };
    }
    // SAFETY: the caller vouches; a tile has as many rows as there are sums.
    unsafe {
        match pair {
            Pair::Even => store!("tmm0", "tmm1"),
            Pair::Odd => store!("tmm2", "tmm3"),
        }
    }
}

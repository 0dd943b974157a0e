//! What a feed-forward layer does with its inner values.
//!
//! Each function is its own plain reference: loops simple enough for the compiler to vectorise.
//! Invariant: an element's result depends on that element only.

use crate::{
    elementwise::each_row,
    exp::exp,
    isa::Isa,
    pool::Pool,
    simd::{Dot, on_each_isa},
};

/// A function of a gate and of what it gates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `up · gate / (1 + e^-gate)` (SwiGLU, Shazeer 2020).
    Silu,
    /// `up · gate · Φ(gate)` (Hendrycks & Gimpel 2016).
    Gelu,
    /// The same by tanh.
    GeluTanh,
    /// `up · max(gate, 0)`.
    Relu,
    /// `(up + 1) · gate · sigmoid(1.702 · gate)`, gate and up held within a limit (gpt-oss).
    ClampedSwiglu {
        /// The limit: gates are at most it, what they gate is within it either way.
        limit: f32,
    },
}

/// One of them, for loops.
trait Gate: Copy {
    fn apply(self, gate: f32, up: f32) -> f32;
}

#[derive(Clone, Copy)]
struct Silu;
#[derive(Clone, Copy)]
struct Gelu;
#[derive(Clone, Copy)]
struct GeluTanh;
#[derive(Clone, Copy)]
struct Relu;
#[derive(Clone, Copy)]
struct ClampedSwiglu(f32);

impl Gate for Silu {
    #[inline(always)]
    fn apply(self, gate: f32, up: f32) -> f32 {
        gate / (1.0 + exp(-gate)) * up
    }
}

impl Gate for Gelu {
    #[inline(always)]
    fn apply(self, gate: f32, up: f32) -> f32 {
        0.5 * gate * (1.0 + erf(gate * std::f32::consts::FRAC_1_SQRT_2)) * up
    }
}

impl Gate for GeluTanh {
    #[inline(always)]
    fn apply(self, gate: f32, up: f32) -> f32 {
        const ROOT: f32 = 0.797_884_6; // sqrt(2 / π)
        let inner = ROOT * gate * (1.0 + 0.044_715 * gate * gate);
        // 0.5 · (1 + tanh(x)) is the sigmoid of 2 x.
        gate / (1.0 + exp(-2.0 * inner)) * up
    }
}

impl Gate for Relu {
    #[inline(always)]
    fn apply(self, gate: f32, up: f32) -> f32 {
        // A comparison that lets through what is not a number.
        (if gate < 0.0 { 0.0 } else { gate }) * up
    }
}

impl Gate for ClampedSwiglu {
    #[inline(always)]
    fn apply(self, gate: f32, up: f32) -> f32 {
        // Comparisons that let through what is not a number.
        let gate = if gate > self.0 { self.0 } else { gate };
        let up = if up > self.0 { self.0 } else { up };
        let up = if up < -self.0 { -self.0 } else { up };
        gate / (1.0 + exp(-1.702 * gate)) * (up + 1.0)
    }
}

/// `tanh(x)` to about 2·10⁻⁷.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * x))
}

/// `erf(x)` to 3·10⁻⁷ (Abramowitz & Stegun 7.1.26).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let t = 1.0 / 0.327_591_1_f32.mul_add(x.abs(), 1.0);
    let mut p = 1.061_405_4_f32;
    for c in [-1.453_152, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        p = p.mul_add(t, c);
    }
    (1.0 - p * t * exp(-x * x)).copysign(x)
}

/// `gates[i] = f(gates[i], ups[i])`.
#[inline(always)]
fn each<G: Gate>(gate: G, gates: &mut [f32], ups: &[f32]) {
    for (to, up) in gates.iter_mut().zip(ups) {
        *to = gate.apply(*to, *up);
    }
}

/// `ups[i] = f(gates[i], ups[i])`.
#[inline(always)]
fn each_up<G: Gate>(gate: G, gates: &[f32], ups: &mut [f32]) {
    for (gates, to) in gates.iter().zip(ups) {
        *to = gate.apply(*gates, *to);
    }
}

#[inline(always)]
fn each_alone<G: Gate>(gate: G, x: &mut [f32]) {
    for x in x {
        *x = gate.apply(*x, 1.0);
    }
}

/// `gate[i] = f(gate[i], up[i])`, rows of `width`.
///
/// # Panics
/// If the lengths differ.
pub fn glu(
    (isa, pool): (Isa, &mut Pool),
    activation: Activation,
    gate: &mut [f32],
    (up, width): (&[f32], usize),
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    assert_eq!(gate.len(), up.len(), "gate and up");
    each_row(pool, gate, width, &|i, gate| {
        let up = &up[i * width..(i + 1) * width];
        // SAFETY: checked above.
        unsafe { glu_row(isa, activation, gate, up) };
    });
}

/// `x[i] = f(x[i], 1)`, rows of `width`.
///
/// # Panics
/// If the machine lacks the instruction set.
pub fn activate(
    (isa, pool): (Isa, &mut Pool),
    activation: Activation,
    (x, width): (&mut [f32], usize),
) {
    assert!(isa.is_available(), "{isa:?} is not available");
    each_row(pool, x, width, &|_, row| {
        // SAFETY: checked above.
        unsafe { activate_row(isa, activation, row) };
    });
}

/// `x[i] = cap · tanh(x[i] / cap)`, rows of `width`.
///
/// # Panics
/// If the machine lacks the instruction set.
pub fn softcap((isa, pool): (Isa, &mut Pool), (x, width): (&mut [f32], usize), cap: f32) {
    assert!(isa.is_available(), "{isa:?} is not available");
    each_row(pool, x, width, &|_, row| {
        // SAFETY: checked above.
        unsafe { cap_row(isa, row, cap) };
    });
}

on_each_isa! {
    /// # Safety
    /// `isa` is available (so below).
    glu_row = glu_one(activation: Activation, gate: &mut [f32], up: &[f32])
}

on_each_isa! {
    /// # Safety
    /// As [`glu_row`].
    activate_row = activate_one(activation: Activation, x: &mut [f32])
}

/// # Safety
/// See [`glu_row`].
#[inline(always)]
unsafe fn glu_one<D: Dot>(activation: Activation, gate: &mut [f32], up: &[f32]) {
    match activation {
        Activation::Silu => each(Silu, gate, up),
        Activation::Gelu => each(Gelu, gate, up),
        Activation::GeluTanh => each(GeluTanh, gate, up),
        Activation::Relu => each(Relu, gate, up),
        Activation::ClampedSwiglu { limit } => each(ClampedSwiglu(limit), gate, up),
    }
}

on_each_isa! {
    /// # Safety
    /// As [`glu_row`].
    cap_row = cap_one(x: &mut [f32], cap: f32)
}

/// # Safety
/// See [`glu_row`].
#[inline(always)]
unsafe fn cap_one<D: Dot>(x: &mut [f32], cap: f32) {
    for x in x {
        *x = cap * tanh(*x / cap);
    }
}

on_each_isa! {
    /// Puts the gated values where those to be gated are.
    ///
    /// # Safety
    /// As [`glu_row`].
    gate_into = gate_into_one(activation: Activation, gates: &[f32], ups: &mut [f32])
}

/// # Safety
/// See [`glu_row`].
#[inline(always)]
unsafe fn gate_into_one<D: Dot>(activation: Activation, gates: &[f32], ups: &mut [f32]) {
    match activation {
        Activation::Silu => each_up(Silu, gates, ups),
        Activation::Gelu => each_up(Gelu, gates, ups),
        Activation::GeluTanh => each_up(GeluTanh, gates, ups),
        Activation::Relu => each_up(Relu, gates, ups),
        Activation::ClampedSwiglu { limit } => each_up(ClampedSwiglu(limit), gates, ups),
    }
}

/// # Safety
/// See [`glu_row`].
#[inline(always)]
unsafe fn activate_one<D: Dot>(activation: Activation, x: &mut [f32]) {
    match activation {
        Activation::Silu => each_alone(Silu, x),
        Activation::Gelu => each_alone(Gelu, x),
        Activation::GeluTanh => each_alone(GeluTanh, x),
        Activation::Relu => each_alone(Relu, x),
        Activation::ClampedSwiglu { limit } => each_alone(ClampedSwiglu(limit), x),
    }
}

#[cfg(test)]
mod tests;

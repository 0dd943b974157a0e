//! Activations against the mathematics in `f64`.

use super::*;

/// `erf` by its series, in `f64`.
fn erf_series(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

fn plain(activation: Activation, gate: f64, up: f64) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    match activation {
        Activation::Silu => gate * sigmoid(gate) * up,
        Activation::Gelu => gate * 0.5 * (1.0 + erf_series(gate / 2.0_f64.sqrt())) * up,
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (gate + 0.044715 * gate.powi(3));
            0.5 * gate * (1.0 + inner.tanh()) * up
        }
        Activation::Relu => gate.max(0.0) * up,
        Activation::ClampedSwiglu { limit } => {
            let limit = f64::from(limit);
            let (gate, up) = (gate.min(limit), up.clamp(-limit, limit));
            (up + 1.0) * gate * sigmoid(1.702 * gate)
        }
    }
}

#[test]
fn activations_are_close_to_the_mathematics_on_every_instruction_set() {
    let mut pool = Pool::new(2).expect("threads");
    let all = [
        Activation::Silu,
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::Relu,
        Activation::ClampedSwiglu { limit: 2.0 },
    ];
    let width = 41;
    let gates: Vec<f32> = (0..20 * width).map(|i| (i as f32 - 400.0) / 90.0).collect();
    let ups: Vec<f32> = (0..20 * width).map(|i| (i as f32 * 0.7).sin() * 4.0).collect();
    for isa in Isa::available() {
        for activation in all {
            let (mut gated, mut alone, mut into) = (gates.clone(), gates.clone(), ups.clone());
            glu((isa, &mut pool), activation, &mut gated, (&ups, width));
            activate((isa, &mut pool), activation, (&mut alone, width));
            // SAFETY: it is available.
            unsafe { gate_into(isa, activation, &gates, &mut into) };
            for i in 0..gates.len() {
                let (gate, up) = (f64::from(gates[i]), f64::from(ups[i]));
                let want = plain(activation, gate, up);
                for got in [gated[i], into[i]] {
                    let off = (f64::from(got) - want).abs();
                    assert!(off < 1e-6 * (1.0 + want.abs()), "{activation:?} {gate} {got}");
                }
                let off = (f64::from(alone[i]) - plain(activation, gate, 1.0)).abs();
                assert!(off < 2e-6, "{activation:?} of {gate}: {}", alone[i]);
            }
        }
    }
}

#[test]
fn tanh_is_close_to_the_library() {
    for i in -9000..9000 {
        let x = i as f32 / 100.0;
        assert!((tanh(x) - x.tanh()).abs() < 3e-7, "tanh({x}) = {}", tanh(x));
    }
}

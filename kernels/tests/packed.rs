//! Packed products against the dequantised mathematics, on every instruction set.

#[path = "support/packed.rs"]
mod support;

use kernels::{
    Isa,
    activation::Activation,
    packed::{
        ActivatedProduct, Activations, Format, GatedProduct, Kind, Product, Scratch,
        activated_product, gated_product, pack_panels, products, reference,
    },
    pool::Pool,
    quant::DType,
};
use support::{FLOATS, Packed, QUANTIZED, activations, error, noise, stored};

#[test]
fn products_are_close_to_the_dequantised_mathematics() {
    for dtype in QUANTIZED.into_iter().chain(FLOATS) {
        let (rows, cols, m) = (53, 768, 15);
        let packed = Packed::new(dtype, rows, cols);
        let x = noise(m * cols, 5);
        let want = reference::product(dtype, &packed.stored, cols, &x);
        for isa in Isa::available() {
            let error = error(&packed.run(isa, 2, &x, None), &want);
            // Bytes of activations: half a step of 1/127, in squares a twelfth of it; 14 bits of
            // inputs and of weights: of 1/8191.
            let most = if FLOATS.contains(&dtype) { 1.5e-4 } else { 0.006 };
            assert!(error < most, "{dtype:?} on {}: {error}", isa.name());
            assert!(error > 1e-7, "{dtype:?}: activations were not quantised");
        }
    }
}

/// With activations that are whole numbers up to 127, quantising them is exact; what is left is
/// the rounding of scales, minima and sums.
#[test]
fn whole_activations_leave_only_rounding() {
    for dtype in QUANTIZED {
        let (rows, cols, m) = (40, 256, 7);
        let packed = Packed::new(dtype, rows, cols);
        let mut x: Vec<f32> = noise(m * cols, 3).iter().map(|x| (x * 120.0).round()).collect();
        x.iter_mut().step_by(32).for_each(|x| *x = 127.0);
        let want = reference::product(dtype, &packed.stored, cols, &x);
        for isa in Isa::available() {
            let error = error(&packed.run(isa, 1, &x, None), &want);
            // Random minima are far from where quantising puts them, so bfloat16 costs more here.
            let most = if matches!(dtype, DType::Q4K | DType::Q5K) { 2.5e-3 } else { 5e-4 };
            assert!(error < most, "{dtype:?} on {}: {error}", isa.name());
        }
    }
}

#[test]
fn a_row_is_the_same_in_every_batch_and_on_any_number_of_threads() {
    for dtype in QUANTIZED.into_iter().chain(FLOATS) {
        let (rows, cols) = (70, 256);
        let packed = Packed::new(dtype, rows, cols);
        let x = noise(71 * cols, 11);
        for isa in Isa::available() {
            let all = packed.run(isa, 1, &x, None);
            for m in [1, 2, 3, 4, 5, 6, 7, 12, 13, 16, 17, 24, 31, 32, 33, 49, 64, 71] {
                let some = packed.run(isa, m % 3 + 1, &x[..m * cols], None);
                assert_eq!(some, all[..m * rows], "{dtype:?} {} {m}", isa.name());
            }
        }
    }
}

/// The matrix unit changes nothing: bands whole and in part, odd panels, all formats but bfloat16,
/// which is packed for it in another way.
#[test]
fn tiles_give_what_vectors_give() {
    if !Isa::Amx.is_available() {
        return;
    }
    for dtype in QUANTIZED.into_iter().chain([DType::F32, DType::F16]) {
        for (rows, cols, m) in [(16, 256, 5), (53, 768, 12), (80, 512, 43)] {
            let packed = Packed::new(dtype, rows, cols);
            let x = noise(m * cols, 13);
            let vectors = packed.run(Isa::Avx512Vnni, 1, &x, None);
            assert_eq!(packed.run(Isa::Amx, 2, &x, None), vectors, "{dtype:?} {rows} {cols} {m}");
        }
    }
}

#[test]
fn several_products_add_to_what_is_there_and_to_biases() {
    let cols = 128;
    let (a, b) = (Packed::new(DType::Q4_1, 20, cols), Packed::new(DType::Q8_0, 64, cols));
    let (x, bias) = (noise(5 * cols, 1), noise(20, 2));
    let acts = activations(&x, cols, &[Kind::Int8]);
    for isa in Isa::available() {
        let (mut out_a, mut out_b) = (vec![1.0; 100], vec![2.0; 320]);
        let mut pool = Pool::new(2).expect("threads");
        let mut scratch = Scratch::new(2, cols);
        let mut both = [
            Product { weight: a.matrix(isa, Some(&bias)), out: &mut out_a, accumulate: true },
            Product { weight: b.matrix(isa, None), out: &mut out_b, accumulate: true },
        ];
        products((isa, &mut pool, &mut scratch), &acts, 5, &mut both);
        let alone = a.run(isa, 1, &x, None);
        for (i, (got, alone)) in out_a.iter().zip(&alone).enumerate() {
            assert!((got - (alone + bias[i % 20] + 1.0)).abs() < 1e-4);
        }
        let alone = b.run(isa, 1, &x, None);
        assert!(out_b.iter().zip(&alone).all(|(got, alone)| (got - alone - 2.0).abs() < 1e-4));
    }
}

#[test]
fn a_gated_product_is_a_function_of_the_gate_times_the_other() {
    let silu = |g: f32| g / (1.0 + (-g).exp());
    let gelu = |g: f32| 0.5 * g * (1.0 + (0.797_884_6 * (g + 0.044_715 * g.powi(3))).tanh());
    for (dtype, m) in [(DType::Q4_1, 1), (DType::Q6K, 30), (DType::BF16, 27), (DType::F16, 5)] {
        let is_gelu = [30, 5].contains(&m);
        let activation = if is_gelu { Activation::GeluTanh } else { Activation::Silu };
        let (rows, cols) = (80, 256);
        let (gate, up) = (Packed::new(dtype, rows, cols), Packed::new(dtype, rows, cols));
        let x: Vec<f32> = noise(m * cols, 8).iter().map(|x| x * 0.3).collect();
        for isa in Isa::available() {
            let kinds = [Kind::F32, Kind::Int8, Kind::Int16, Kind::Bf16];
            let mut out = Activations::new(m, rows, &kinds);
            let acts = activations(&x, cols, &[gate.matrix(isa, None).format.activations()]);
            let mut pool = Pool::new(2).expect("threads");
            let mut scratch = Scratch::new(2, cols);
            let (gates, ups) = (gate.matrix(isa, None), up.matrix(isa, None));
            let product = GatedProduct { gate: gates, up: ups, activation, out: &mut out };
            gated_product((isa, &mut pool, &mut scratch), &acts, m, product);
            let (gates, ups) = (gate.run(isa, 1, &x, None), up.run(isa, 1, &x, None));
            let stride = out.stride();
            let got = out.as_f32(m);
            for (i, (g, u)) in gates.iter().zip(&ups).enumerate() {
                let want = u * if is_gelu { gelu(*g) } else { silu(*g) };
                let got = got[i / rows * stride + i % rows];
                assert!((got - want).abs() <= 1e-5 * want.abs().max(1.0), "{got} {want}");
            }
        }
    }
}

#[test]
fn an_activated_product_is_a_function_of_the_product() {
    for (dtype, m) in [(DType::Q4_1, 1), (DType::Q6K, 30), (DType::BF16, 37), (DType::F16, 5)] {
        let (rows, cols) = (85, 256);
        let packed = Packed::new(dtype, rows, cols);
        let bias: Vec<f32> = noise(rows, 3);
        let x: Vec<f32> = noise(m * cols, 8).iter().map(|x| x * 0.3).collect();
        for isa in Isa::available() {
            let weight = packed.matrix(isa, Some(&bias));
            let mut out = Activations::new(m, rows, &[Kind::F32, Kind::Int16]);
            let acts = activations(&x, cols, &[weight.format.activations()]);
            let mut pool = Pool::new(2).expect("threads");
            let mut scratch = Scratch::new(2, cols);
            let product = ActivatedProduct { weight, activation: Activation::Relu, out: &mut out };
            activated_product((isa, &mut pool, &mut scratch), &acts, m, product);
            let plain = packed.run(isa, 1, &x, Some(&bias));
            let stride = out.stride();
            let got = out.as_f32(m);
            for (i, x) in plain.iter().enumerate() {
                assert_eq!(got[i / rows * stride + i % rows], x.max(0.0), "{}", isa.name());
            }
        }
    }
}

#[test]
fn what_is_not_a_number_shows_in_its_row_and_in_no_other() {
    for dtype in [DType::Q4_1, DType::BF16] {
        let packed = Packed::new(dtype, 16, 128);
        let mut x = noise(3 * 128, 4);
        x[128 + 77] = f32::NAN;
        for isa in Isa::available() {
            let out = packed.run(isa, 1, &x, None);
            assert!(out[16..32].iter().all(|x| x.is_nan()), "{}", isa.name());
            assert!(out[..16].iter().chain(&out[32..]).all(|x| x.is_finite()), "{}", isa.name());
        }
    }
}

/// Large sums: all weights and inputs at their most, in every sign.
#[test]
fn sums_of_sixteen_bits_have_room() {
    let cols = 192;
    let signs: Vec<f32> = noise(cols, 6).iter().map(|x| x.signum()).collect();
    let stored: Vec<u8> = signs.iter().flat_map(|sign| (sign * 1.999).to_le_bytes()).collect();
    let packed = Packed::of(DType::F32, stored, [1, cols]);
    let x: Vec<f32> = (0..7).flat_map(|_| signs.iter().map(|sign| sign * 3.0)).collect();
    for isa in Isa::available() {
        for got in packed.run(isa, 1, &x, None) {
            let want = 1.999 * 3.0 * cols as f32;
            assert!((got - want).abs() < 1e-3 * want, "{}: {got}", isa.name());
        }
    }
}

/// Groups of nothing, of tiny and of huge values, and what is no number in a weight.
#[test]
fn weights_of_any_size_are_packed() {
    let (cols, x) = (64, [1.0_f32; 64]);
    let cases: [(&[f32], f32); 5] = [
        (&[0.0], 0.0),
        (&[1e-33, 2e-33], 3e-33),
        (&[1e30, -1e20], 1e30),
        (&[1.0, f32::NAN], f32::NAN),
        (&[f32::INFINITY], f32::NAN),
    ];
    for (values, want) in cases {
        let mut row = vec![0.0_f32; cols];
        row[..values.len()].copy_from_slice(values);
        let stored = row.iter().flat_map(|x| x.to_le_bytes()).collect();
        let packed = Packed::of(DType::F32, stored, [1, cols]);
        for isa in Isa::available() {
            let got = packed.run(isa, 1, &x, None)[0];
            let close = (got - want).abs() <= 1e-3 * want.abs();
            assert!(close || (got.is_nan() && want.is_nan()), "{}: {values:?}: {got}", isa.name());
        }
    }
}

/// Packs panels from `first` on into memory where something else was.
fn packed(how: (Isa, DType, Format), stored: &[u8], shape: [usize; 2], first: usize) -> Vec<u8> {
    let [rows, cols] = shape;
    let matrix = kernels::packed::Matrix { data: &[], format: how.2, rows, cols, bias: None };
    let mut bytes = vec![0xa5; (matrix.num_panels() - first) * matrix.panel_bytes()];
    pack_panels(how, stored, shape, first, &mut bytes);
    bytes
}

/// 14 bits and bfloat16 as one weight after another gives them: panels and groups whole and in
/// part, the last panels alone, and numbers of every size, ties and none among them.
#[test]
fn panels_of_pairs_are_the_plain_ones_on_every_instruction_set() {
    let any = |len: usize| -> Vec<u8> {
        let bits = noise(len / 2, 21).into_iter().map(|x| x.to_bits().wrapping_mul(0x9e37_79b9));
        bits.flat_map(|bits| [(bits >> 8) as u8, (bits >> 16) as u8]).collect()
    };
    for dtype in FLOATS {
        for [rows, cols] in
            [[1_usize, 1_usize], [16, 64], [53, 768], [35, 2304], [17, 333], [2, 129]]
        {
            if !cols.is_multiple_of(dtype.block_len()) {
                continue;
            }
            let len = rows * dtype.row_bytes(cols).expect("whole blocks");
            let mut ties: Vec<u8> = (0..rows * cols)
                .flat_map(|i| (if i % 64 == 0 { 4096.5_f32 } else { i as f32 / 2.0 }).to_le_bytes())
                .collect();
            ties.truncate(len);
            for stored in [stored(dtype, rows, cols), any(len), ties] {
                let want = reference::int16_panels(dtype, &stored, [rows, cols]);
                for isa in Isa::available() {
                    let got = packed((isa, dtype, Format::Int16), &stored, [rows, cols], 0);
                    assert!(got == want, "{dtype:?} {rows} {cols} {}", isa.name());
                    let last =
                        packed((isa, dtype, Format::Int16), &stored, [rows, cols], rows / 17);
                    assert!(want.ends_with(&last), "{dtype:?} {rows} {cols} {}", isa.name());
                    if dtype == DType::BF16 {
                        let want = reference::bf16_panels(&stored, [rows, cols]);
                        let got = packed((isa, dtype, Format::Bf16), &stored, [rows, cols], 0);
                        assert!(got == want, "{rows} {cols} {}", isa.name());
                    }
                }
            }
        }
    }
}

/// The others do not depend on what was in memory before.
#[test]
fn every_byte_of_a_panel_is_written() {
    for dtype in QUANTIZED {
        let clean = Packed::new(dtype, 35, 768);
        for isa in Isa::available() {
            let format = Format::of(dtype, isa).expect("it is packed");
            let got = packed((isa, dtype, format), &clean.stored, clean.shape, 0);
            assert!(got == clean.matrix(isa, None).data, "{dtype:?} {}", isa.name());
        }
    }
}

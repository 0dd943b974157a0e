//! Attention of short sequences to all of themselves, against the plain mathematics.

#[path = "support/packed.rs"]
mod support;

use kernels::{
    Isa,
    attention::{Heads, MAX_KEYS, Whole},
    norm::{Norm, NormKind, norm_vectors},
    packed::{Activations, Kind, norm_rows_in_place},
    pool::Pool,
};
use support::noise;

fn bf16(x: f32) -> f64 {
    half::bf16::from_f32(x).to_f64()
}

/// One head's output for a row of a sequence: softmax of scores, weighted values.
fn plain(
    heads: Heads,
    (first, len): (usize, usize),
    at: (usize, usize),
    x: &[Vec<f32>; 3],
) -> Vec<f64> {
    let (row, head) = at;
    let of = |x: &[f32], row: usize| -> Vec<f32> {
        x[((first + row) * heads.num + head) * heads.dim..][..heads.dim].to_vec()
    };
    let scale = heads.scale * std::f32::consts::LOG2_E;
    let q: Vec<f64> = of(&x[0], row).iter().map(|x| bf16(x * scale)).collect();
    let score =
        |key: usize| -> f64 { of(&x[1], key).iter().zip(&q).map(|(k, q)| bf16(*k) * q).sum() };
    let weights: Vec<f64> = (0..len).map(|key| score(key).exp2()).collect();
    let sum: f64 = weights.iter().sum();
    let mut out = vec![0.0; heads.dim];
    for (key, weight) in weights.iter().enumerate() {
        for (out, v) in out.iter_mut().zip(of(&x[2], key)) {
            *out += weight / sum * bf16(v);
        }
    }
    out
}

fn attend(
    heads: Heads,
    threads: usize,
    sequences: &[(usize, usize)],
    x: &[Vec<f32>; 3],
) -> Vec<f32> {
    let width = heads.num * heads.dim;
    let rows = x[0].len() / width;
    let mut out = Activations::new(rows, width, &[Kind::F32]);
    let mut pool = Pool::new(threads).expect("threads");
    let mut whole = Whole::new(threads, heads.dim);
    let [q, k, v] = x;
    whole.attend((Isa::Amx, &mut pool), heads, sequences, [q, k, v], &mut out);
    let stride = out.stride();
    out.as_f32(rows).chunks(stride).flat_map(|row| row[..width].to_vec()).collect()
}

#[test]
fn rows_attend_to_all_of_their_sequence_and_to_no_other() {
    for dim in [32, 64, 96] {
        if !Whole::takes(Isa::detect(), dim) {
            return;
        }
        let heads = Heads { num: 3, dim, scale: 2.0 / (dim as f32).sqrt() };
        let lens = [1, 15, 16, 17, 33, 64, 65, 200, MAX_KEYS];
        let mut first = 0;
        let sequences: Vec<(usize, usize)> = (lens.iter())
            .map(|len| {
                first += len;
                (first - len, *len)
            })
            .collect();
        let width = heads.num * dim;
        let x = [1, 2, 3].map(|seed| noise(first * width, seed));
        let together = attend(heads, 2, &sequences, &x);
        for (first, len) in sequences {
            let at = first * width..(first + len) * width;
            let mine = x.clone().map(|x| x[at.clone()].to_vec());
            let alone = attend(heads, 1, &[(0, len)], &mine);
            assert_eq!(together[at], alone, "{len} keys of {dim}");
            for (row, head) in [(0, 0), (len / 2, 1), (len - 1, 2)] {
                let want = plain(heads, (0, len), (row, head), &mine);
                let got = &alone[(row * heads.num + head) * dim..][..dim];
                for (got, want) in got.iter().zip(want) {
                    // Weights are rounded to eight bits.
                    assert!((f64::from(*got) - want).abs() < 2e-3, "{len} of {dim}: {got} {want}");
                }
            }
        }
    }
}

#[test]
fn what_is_not_a_number_stays_in_its_sequence() {
    if !Whole::takes(Isa::detect(), 32) {
        return;
    }
    let heads = Heads { num: 1, dim: 32, scale: 1.0 };
    let mut x = [1, 2, 3].map(|seed| noise(40 * 32, seed));
    x[1][25 * 32] = f32::NAN;
    let out = attend(heads, 2, &[(0, 20), (20, 20)], &x);
    assert!(out[..20 * 32].iter().all(|x| x.is_finite()));
    assert!(out[20 * 32..].iter().all(|x| x.is_nan()));
}

#[test]
fn rows_normed_in_place_are_activations_too() {
    let (rows, width) = (21, 72);
    let x = noise(rows * width, 5);
    let (weight, bias) = (noise(width, 6), noise(width, 7));
    let rule = Norm { kind: NormKind::Layer, weight: &weight, bias: Some(&bias), eps: 1e-5 };
    let mut pool = Pool::new(2).expect("threads");
    for isa in Isa::available() {
        let (mut want, mut got) = (x.clone(), x.clone());
        norm_vectors((isa, &mut pool), &mut want, (width, width), &rule);
        let mut out = Activations::new(rows, width, &[Kind::F32]);
        norm_rows_in_place((isa, &mut pool), &mut got, &rule, rows, &mut out);
        assert_eq!(got, want);
        let stride = out.stride();
        for (i, row) in out.as_f32(rows).chunks(stride).enumerate() {
            assert_eq!(row[..width], want[i * width..(i + 1) * width]);
        }
    }
}

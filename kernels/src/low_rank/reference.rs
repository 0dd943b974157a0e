//! The product in the plainest words, for tests.

/// `y[n] += scale · Σ_j b[n][j] · Σ_k a[j][k] · x[k]` of one row, summed in `f64`; `a` is
/// `rank × inputs`, `b` is `outputs × rank`.
///
/// # Panics
/// If shapes do not fit.
pub fn add_low_rank(x: &[f32], (a, b, rank): (&[f32], &[f32], usize), scale: f32, y: &mut [f32]) {
    let dot =
        |w: &[f32], x: &[f64]| -> f64 { w.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum() };
    let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let inner: Vec<f64> = a.chunks_exact(x.len()).map(|row| dot(row, &x)).collect();
    assert_eq!((inner.len(), b.len()), (rank, y.len() * rank), "numbers of the matrices");
    for (y, row) in y.iter_mut().zip(b.chunks_exact(rank)) {
        *y += (f64::from(scale) * dot(row, &inner)) as f32;
    }
}

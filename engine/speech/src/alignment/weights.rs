//! Where heads look, made comparable and smoothed.
//!
//! Each head's weights are a matrix of tokens and positions. It is normalised over the tokens, so
//! that positions which every token looks at count for nothing; a median over positions takes out
//! what stands alone; and the mean over heads is what tokens are found by.
//! Invariant: numbers are finite whatever the queries and keys are, and do not depend on the number
//! of threads.

use kernels::pool::Pool;

/// What a head looks for, and among what.
#[derive(Clone, Copy)]
pub(crate) struct Head<'a> {
    /// `[token][dim]`.
    pub(crate) queries: &'a [f32],
    /// `[position][hidden]`, of all heads of a layer.
    pub(crate) keys: &'a [f32],
    /// Which of them.
    pub(crate) head: usize,
    pub(crate) dim: usize,
    pub(crate) hidden: usize,
}

/// The mean of heads' weights in the making: `[token][position]`.
pub(crate) struct Weights {
    mean: Vec<f32>,
    num_positions: usize,
    num_heads: usize,
    median: usize,
}

impl Weights {
    /// Of so many tokens; the first `num_positions` of a window count.
    pub(crate) fn new(num_tokens: usize, num_positions: usize, median: usize) -> Self {
        let mean = vec![0.0; num_tokens * num_positions];
        Self { mean, num_positions, num_heads: 0, median }
    }

    /// Adds a head.
    pub(crate) fn add(&mut self, head: Head<'_>, pool: &mut Pool) {
        let Self { mean, num_positions, num_heads, median } = self;
        let mut weights = attended(head, *num_positions, pool);
        normalise(&mut weights, *num_positions);
        pool.run_chunks(mean, *num_positions, &|token, sum| {
            let row = &weights[token * *num_positions..][..*num_positions];
            add_median(row, *median, sum);
        });
        *num_heads += 1;
    }

    /// The mean, and the positions of a row.
    pub(crate) fn finish(mut self) -> (Vec<f32>, usize) {
        let by = self.num_heads.max(1) as f32;
        self.mean.iter_mut().for_each(|x| *x /= by);
        (self.mean, self.num_positions)
    }
}

/// How much of its sight each token gives to the first positions, of all.
fn attended(of: Head<'_>, num_positions: usize, pool: &mut Pool) -> Vec<f32> {
    let Head { queries, keys, head, dim, hidden } = of;
    let all = keys.len() / hidden;
    // `[dim][position]`: sums over positions beside each other.
    let mut columns = vec![0.0; dim * all];
    for (position, key) in keys.chunks_exact(hidden).enumerate() {
        for (i, x) in key[head * dim..][..dim].iter().enumerate() {
            columns[i * all + position] = *x;
        }
    }
    let scale = 1.0 / (dim as f32).sqrt();
    let mut weights = vec![0.0; queries.len() / dim * num_positions];
    pool.run_chunks(&mut weights, num_positions, &|token, out| {
        let mut scores = vec![0.0; all];
        for (q, column) in queries[token * dim..][..dim].iter().zip(columns.chunks_exact(all)) {
            let q = q * scale;
            scores.iter_mut().zip(column).for_each(|(score, k)| *score += q * k);
        }
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|score| *score = (*score - most).exp());
        let sum = scores.iter().map(|score| f64::from(*score)).sum::<f64>() as f32;
        out.iter_mut().zip(&scores).for_each(|(to, score)| *to = score / sum);
    });
    weights
}

/// To a mean of 0 and a deviation of 1 over the tokens, at each position.
fn normalise(weights: &mut [f32], num_positions: usize) {
    let num_tokens = (weights.len() / num_positions).max(1) as f64;
    let mut mean = vec![0.0_f64; num_positions];
    for row in weights.chunks_exact(num_positions) {
        mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x) / num_tokens);
    }
    let mut variance = vec![0.0_f64; num_positions];
    for row in weights.chunks_exact(num_positions) {
        for (sum, (x, mean)) in variance.iter_mut().zip(row.iter().zip(&mean)) {
            *sum += (f64::from(*x) - mean).powi(2) / num_tokens;
        }
    }
    for row in weights.chunks_exact_mut(num_positions) {
        for (x, (mean, variance)) in row.iter_mut().zip(mean.iter().zip(&variance)) {
            let value = ((f64::from(*x) - mean) / variance.sqrt()) as f32;
            // Where all tokens look alike there is nothing to go by.
            *x = if value.is_finite() { value } else { 0.0 };
        }
    }
}

/// Adds the median of `width` positions about each, mirrored at both ends.
fn add_median(row: &[f32], width: usize, sum: &mut [f32]) {
    let (half, last) = (width / 2, row.len() as isize - 1);
    if row.len() <= half {
        sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        return;
    }
    let mut near = vec![0.0; width];
    for (at, sum) in sum.iter_mut().enumerate() {
        for (i, x) in near.iter_mut().enumerate() {
            let from = (at as isize + i as isize - half as isize).abs();
            *x = row[from.min(2 * last - from) as usize];
        }
        *sum += *near.select_nth_unstable_by(half, f32::total_cmp).1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_takes_out_what_stands_alone() {
        for (row, width, want) in [
            (&[0.0, 9.0, 0.0, 0.0, 5.0, 6.0, 7.0][..], 3, &[9.0, 0.0, 0.0, 0.0, 5.0, 6.0, 6.0][..]),
            (&[3.0, 1.0, 2.0], 1, &[3.0, 1.0, 2.0]),
            // Mirrored: the first one's are 4 3 2 1 2 3 4.
            (&[1.0, 2.0, 3.0, 4.0], 7, &[3.0, 3.0, 2.0, 2.0]),
            // Too short to be mirrored.
            (&[1.0, 9.0, 1.0], 7, &[1.0, 9.0, 1.0]),
        ] {
            let mut sum = vec![0.0; row.len()];
            add_median(row, width, &mut sum);
            assert_eq!(sum, want, "{row:?}");
        }
    }

    #[test]
    fn what_all_tokens_look_at_counts_for_nothing() {
        let mut weights = [0.5, 0.1, 0.5, 0.3];
        normalise(&mut weights, 2);
        assert_eq!(weights.map(|x| (x * 1e5).round() / 1e5), [0.0, -1.0, 0.0, 1.0]);
        let mut odd = [f32::NAN, 1.0, 0.0, f32::INFINITY];
        normalise(&mut odd, 2);
        assert!(odd.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn a_head_looks_where_its_keys_are() {
        // Two positions, two heads of one number each; the second head is asked.
        let keys = [0.0, 1.0, 0.0, 1.0 + 3.0_f32.ln()];
        let head = Head { queries: &[1.0], keys: &keys, head: 1, dim: 1, hidden: 2 };
        let mut pool = Pool::new(1).unwrap();
        let weights = attended(head, 2, &mut pool);
        assert!((weights[0] - 0.25).abs() < 1e-6 && (weights[1] - 0.75).abs() < 1e-6);
        // The first position alone counts, but its weight is that among all.
        assert!((attended(head, 1, &mut pool)[0] - 0.25).abs() < 1e-6);
    }
}

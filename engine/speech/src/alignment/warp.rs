//! The way through tokens and positions that sees most: dynamic time warping.
//!
//! Invariant: each token has a position, none is before that of the token before it, and the first
//! is at the first.

/// How a place was come to.
#[derive(Clone, Copy)]
enum Step {
    /// From the token and the position before.
    Both,
    /// From the token before.
    Token,
    /// From the position before.
    Position,
}

/// The first position of each token, in `matrix`: `[token][position]`, the more the likelier.
pub(crate) fn warp(matrix: &[f32], num_positions: usize) -> Vec<usize> {
    if num_positions == 0 {
        return Vec::new();
    }
    let num_tokens = matrix.len() / num_positions;
    let mut steps = vec![Step::Position; num_tokens * num_positions];
    // Costs of a position's tokens, with one place before the first. As wide as transformers'.
    let mut before = vec![f32::INFINITY; num_tokens + 1];
    let mut here = before.clone();
    before[0] = 0.0;
    for position in 0..num_positions {
        for token in 0..num_tokens {
            let from = [before[token], here[token], before[token + 1]];
            let step = cheapest(from);
            let cost = from[step as usize];
            let at = token * num_positions + position;
            here[token + 1] = (f64::from(cost) - f64::from(matrix[at])) as f32;
            steps[at] = step;
        }
        std::mem::swap(&mut before, &mut here);
        here.fill(f32::INFINITY);
    }
    back(&steps, num_tokens, num_positions)
}

/// Both, or the token, only where that is less than all else.
fn cheapest([both, token, position]: [f32; 3]) -> Step {
    if both < token && both < position {
        Step::Both
    } else if token < both && token < position {
        Step::Token
    } else {
        Step::Position
    }
}

/// The way back from the last token at the last position.
fn back(steps: &[Step], num_tokens: usize, num_positions: usize) -> Vec<usize> {
    let mut first = vec![0; num_tokens];
    let (mut token, mut position) = (num_tokens, num_positions - 1);
    while token > 0 {
        first[token - 1] = position;
        match steps[(token - 1) * num_positions + position] {
            // The first position has nothing before it, whatever the numbers were.
            Step::Position if position > 0 => position -= 1,
            Step::Both => (token, position) = (token - 1, position.saturating_sub(1)),
            Step::Position | Step::Token => token -= 1,
        }
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_where_they_are_seen() {
        #[rustfmt::skip]
        let matrix = [
            1.0, 1.0, -1.0, -1.0, -1.0,
            -1.0, -1.0, 1.0, -1.0, -1.0,
            -1.0, -1.0, -1.0, 1.0, 1.0,
        ];
        assert_eq!(warp(&matrix, 5), [0, 2, 3]);
        // More tokens than positions: they share one.
        assert_eq!(warp(&[0.0; 6], 2), [0, 0, 0]);
        assert_eq!(warp(&[1.0, 2.0, 3.0], 3), [0]);
        assert_eq!((warp(&[], 4), warp(&[], 0)), (vec![], vec![]));
    }

    #[test]
    fn whatever_the_numbers_are_it_ends_and_goes_forward() {
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
            for at in 0..12 {
                let mut matrix = [0.5; 12];
                matrix[at] = odd;
                let first = warp(&matrix, 4);
                assert!(first.len() == 3 && first.is_sorted(), "{odd} at {at}: {first:?}");
            }
        }
    }
}

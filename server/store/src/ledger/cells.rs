//! Rows of texts and numbers, as they are read.
//!
//! Invariant: a row's texts come before its numbers in what a statement returns.

use server_metering::{Meter, Picos, Usage};
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type};

/// The columns of all meters, in their order.
pub(super) const METERS: &str = "input_tokens, cached_input_tokens, output_tokens,
    embedding_tokens, images, audio_millis, compute_millis, storage_byte_hours, provisioned_hours";
pub(super) const NUM_METERS: usize = Meter::ALL.len();
/// Places of meters that nearly all lines and sums have. What has others is rare: statements for
/// the usual do not tell those, since each column that is told costs more than what is in it.
pub(super) const USUAL: [usize; 4] = [0, 1, 2, 6];
/// The columns of a sum's cost; a line's is one of pico-units. Sums are of two, since the sum of an
/// organization may be more than 9.2 million of its currency, which is what 64 bits of pico-units
/// have.
pub(super) const COST: &str = "cost_micros, cost_picos";
pub(super) const PICOS_PER_MICRO: i64 = 1_000_000;
/// The columns of the usual meters, and of the others.
pub(super) fn meters_by_use() -> [String; 2] {
    let names = |is_usual: bool| {
        let all = METERS.split(',').map(str::trim).enumerate();
        let some = all.filter(|(place, _)| USUAL.contains(place) == is_usual);
        some.map(|(_, name)| name).collect::<Vec<_>>().join(", ")
    };
    [names(true), names(false)]
}

/// Whether meters have counted nothing but what is usual.
pub(super) fn is_usual(meters: &[i64]) -> bool {
    let others = meters.iter().enumerate().filter(|(place, _)| !USUAL.contains(place));
    others.into_iter().all(|(_, units)| *units == 0)
}

/// Meters and a sum's cost.
pub(super) const NUM_SUM: usize = NUM_METERS + 2;

/// A row that is read.
#[derive(Clone, Debug)]
pub(super) struct Cells<const T: usize, const N: usize> {
    pub(super) texts: [String; T],
    pub(super) numbers: [i64; N],
}

impl<'r, R: Row, const T: usize, const N: usize> FromRow<'r, R> for Cells<T, N>
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let (mut texts, mut numbers) = (std::array::from_fn(|_| String::new()), [0; N]);
        for (idx, text) in texts.iter_mut().enumerate() {
            *text = row.try_get(idx)?;
        }
        for (idx, number) in numbers.iter_mut().enumerate() {
            *number = row.try_get(T + idx)?;
        }
        Ok(Self { texts, numbers })
    }
}

/// What meters and a sum's cost say.
pub(super) fn sum_of(numbers: &[i64]) -> (Usage, Picos) {
    let usage = usage_of(numbers);
    let cost = |idx| i128::from(numbers.get(NUM_METERS + idx).copied().unwrap_or(0));
    (usage, Picos::new(cost(0) * i128::from(PICOS_PER_MICRO) + cost(1)))
}

/// What meters say.
pub(super) fn usage_of(numbers: &[i64]) -> Usage {
    // Nothing less than 0 is written.
    let units = numbers.iter().map(|units| u64::try_from(*units).unwrap_or(0));
    Meter::ALL.into_iter().zip(units).fold(Usage::NONE, |all, (meter, n)| all.with(meter, n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_meter_has_a_column_in_its_place() {
        let names: Vec<_> = METERS.split(',').map(str::trim).collect();
        assert_eq!(names, Meter::ALL.map(Meter::name));
        let [usual, others] = meters_by_use();
        assert_eq!(usual, "input_tokens, cached_input_tokens, output_tokens, compute_millis");
        assert_eq!(others.split(", ").count() + USUAL.len(), NUM_METERS);
        let only =
            |place: usize| std::array::from_fn::<_, NUM_METERS, _>(|at| i64::from(at == place));
        let usual: Vec<_> = (0..NUM_METERS).filter(|place| is_usual(&only(*place))).collect();
        assert_eq!(usual, USUAL);
    }
}

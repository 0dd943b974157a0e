//! A line of the ledger as it is written.

use std::borrow::Cow;

use server_metering::{Entry, Meter};

use super::batch::NUM_LINE;
use super::cells::{NUM_METERS, NUM_SUM, PICOS_PER_MICRO, is_usual};
use super::insert::Written;
use crate::sql::Bound;

/// A line as it is written.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) request: Cow<'a, str>,
    /// Its place among the names.
    pub(super) whose: usize,
    /// The place of what it has in common with others among all of that.
    pub(super) alike: usize,
    is_usual: bool,
    pub(super) ending: &'static str,
    pub(super) numbers: [i64; NUM_LINE],
}

impl<'a> Line<'a> {
    pub(super) fn new(entry: &'a Entry, whose: usize) -> Self {
        let Entry { opened, settled_at, usage, cost, ending } = entry;
        // What is admitted fits; a line that never did would keep all others waiting.
        let fit = |what: &'static str, value: i128| {
            i64::try_from(value).unwrap_or_else(|_| {
                tracing::error!(request = %opened.request, what, value, "it is cut to fit");
                i64::MAX
            })
        };
        let mut numbers = [0; NUM_LINE];
        numbers[0] = fit("time it was opened", opened.opened_at.0.into());
        numbers[1] = fit("time it was settled", settled_at.0.into());
        for (number, meter) in numbers[2..].iter_mut().zip(Meter::ALL) {
            *number = fit(meter.name(), usage.get(meter).into());
        }
        numbers[NUM_LINE - 1] = fit("cost in pico-units", cost.get());
        let (request, ending) = (opened.request.as_str().bound(), ending.name());
        let is_usual = is_usual(&numbers[2..2 + NUM_METERS]);
        Self { request, whose, alike: 0, is_usual, ending, numbers }
    }

    pub(super) fn kind(&self) -> (usize, &'static str, bool) {
        (self.alike, self.ending, self.is_usual)
    }

    pub(super) fn is_usual(&self) -> bool {
        self.is_usual
    }

    pub(super) fn request(&self) -> &str {
        &self.request
    }

    /// Whether they have in common what [`Batch::shared`] says.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }

    /// Whether they have all but their requests and numbers in common.
    pub(super) fn is_of_same(&self, other: &Self) -> bool {
        (self.kind(), self.whose) == (other.kind(), other.whose)
    }

    /// What it has alone among lines of one account.
    pub(super) fn alone(&self) -> Written<'_, 1, NUM_LINE> {
        ([&self.request], self.numbers)
    }

    pub(super) fn settled_at(&self) -> i64 {
        self.numbers[1]
    }

    /// Its meters, and its cost as sums have it.
    pub(super) fn sum(&self) -> [i64; NUM_SUM] {
        let mut sum = [0; NUM_SUM];
        sum[..NUM_METERS].copy_from_slice(&self.numbers[2..2 + NUM_METERS]);
        let cost = self.numbers[NUM_LINE - 1];
        sum[NUM_METERS] = cost.div_euclid(PICOS_PER_MICRO);
        sum[NUM_METERS + 1] = cost.rem_euclid(PICOS_PER_MICRO);
        sum
    }
}

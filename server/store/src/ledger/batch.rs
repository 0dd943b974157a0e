//! Lines of the ledger, and what they add to its sums.
//!
//! Invariant: rows are in the order of their keys, so writers that come at once take locks in one
//! order and none waits for another in a circle. No two rows have one key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use server_metering::{Entry, Meter, Period, UnixMillis};

use super::cells::{Cells, NUM_METERS, NUM_SUM, PICOS_PER_MICRO, Written};
use super::filter::MILLIS_PER_HOUR;
use crate::sql::Bound;

/// When it was opened and settled, its meters and its cost.
const NUM_LINE: usize = 2 + NUM_METERS + 1;

/// A line as it is written. Its texts are as they are bound: two that are the same there are one
/// key.
#[derive(Debug)]
pub(super) struct Line<'a> {
    request: Cow<'a, str>,
    organization: Cow<'a, str>,
    project: Cow<'a, str>,
    key: Cow<'a, str>,
    model: Cow<'a, str>,
    tier: Cow<'a, str>,
    endpoint: Cow<'a, str>,
    tag: Cow<'a, str>,
    ending: &'static str,
    numbers: [i64; NUM_LINE],
}

/// Each request once.
pub(super) fn lines(entries: &[Entry]) -> Vec<Line<'_>> {
    let mut lines: Vec<_> = entries.iter().map(Line::new).collect();
    lines.sort_by(|a, b| a.request.cmp(&b.request));
    lines.dedup_by(|later, first| later.request == first.request);
    lines
}

impl<'a> Line<'a> {
    fn new(entry: &'a Entry) -> Self {
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
        Self {
            request: opened.request.as_str().bound(),
            organization: opened.path.organization.as_str().bound(),
            project: opened.path.project.as_str().bound(),
            key: opened.path.key.as_str().bound(),
            model: opened.model.as_str().bound(),
            tier: opened.tier.as_str().bound(),
            endpoint: opened.endpoint.as_str().bound(),
            tag: opened.tag.as_ref().map_or("", |tag| tag.as_str()).bound(),
            ending: ending.name(),
            numbers,
        }
    }

    pub(super) fn request(&self) -> &str {
        &self.request
    }

    /// What the ledger has of it.
    pub(super) fn row(&self) -> Written<'_, 9, NUM_LINE> {
        let texts = [
            &self.request,
            &self.organization,
            &self.project,
            &self.key,
            &self.model,
            &self.tier,
            &self.endpoint,
            &self.tag,
            self.ending,
        ];
        (texts, self.numbers)
    }

    fn settled_at(&self) -> i64 {
        self.numbers[1]
    }

    /// Its meters, and its cost as sums have it.
    fn sum(&self) -> [i64; NUM_SUM] {
        let mut sum = [0; NUM_SUM];
        sum[..NUM_METERS].copy_from_slice(&self.numbers[2..2 + NUM_METERS]);
        let cost = self.numbers[NUM_LINE - 1];
        sum[NUM_METERS] = cost.div_euclid(PICOS_PER_MICRO);
        sum[NUM_METERS + 1] = cost.rem_euclid(PICOS_PER_MICRO);
        sum
    }
}

/// What lines add to each hour: the hour, the number of requests, and their sum.
pub(super) fn hours<'a>(lines: &[&'a Line<'_>]) -> Vec<Written<'a, 7, { 2 + NUM_SUM }>> {
    let mut hours = BTreeMap::<_, [i64; 2 + NUM_SUM]>::new();
    for line in lines {
        let hour = line.settled_at() / MILLIS_PER_HOUR;
        let texts: [&str; 7] = [
            &line.organization,
            &line.project,
            &line.key,
            &line.model,
            &line.tier,
            &line.endpoint,
            &line.tag,
        ];
        let numbers = hours.entry((texts, hour)).or_default();
        numbers[0] = hour;
        numbers[1] += 1;
        add(&mut numbers[2..], &line.sum());
    }
    hours.into_iter().map(|((texts, _), numbers)| (texts, numbers)).collect()
}

/// What lines add to the day's sum of each account and model: the day, and their sum.
pub(super) fn days<'a>(lines: &[&'a Line<'_>]) -> Vec<Written<'a, 6, { 1 + NUM_SUM }>> {
    let mut days = BTreeMap::<_, [i64; 1 + NUM_SUM]>::new();
    for line in lines {
        let sum = line.sum();
        let number = number(Period::Day, UnixMillis(line.settled_at().unsigned_abs()));
        let (organization, project): (&str, &str) = (&line.organization, &line.project);
        let day = name(Period::Day);
        for texts in [
            [organization, "", "", "", "", day],
            [organization, project, "", "", "", day],
            [organization, project, &line.key, "", "", day],
            [organization, "", "", &line.model, &line.tier, day],
        ] {
            let numbers = days.entry((texts, number)).or_default();
            numbers[0] = number;
            add(&mut numbers[1..], &sum);
        }
    }
    days.into_iter().map(|((texts, _), numbers)| (texts, numbers)).collect()
}

/// Sums of days, as those of their months and of all time.
pub(super) fn months_and_totals(
    days: &[Cells<6, { 1 + NUM_SUM }>],
) -> Vec<Written<'_, 6, { 1 + NUM_SUM }>> {
    let mut sums = BTreeMap::<_, [i64; 1 + NUM_SUM]>::new();
    for Cells { texts, numbers } in days {
        let at = start_of_day(numbers[0]);
        for period in [Period::Month, Period::Total] {
            let mut texts = texts.each_ref().map(String::as_str);
            texts[5] = name(period);
            let number = number(period, at);
            let sum = sums.entry((texts, number)).or_default();
            sum[0] = number;
            add(&mut sum[1..], &numbers[1..]);
        }
    }
    sums.into_iter().map(|((texts, _), numbers)| (texts, numbers)).collect()
}

/// Its first moment.
pub(super) fn start_of_day(day: i64) -> UnixMillis {
    UnixMillis(day.saturating_mul(24 * MILLIS_PER_HOUR).unsigned_abs())
}

/// Which day or month a moment is in, as a column has it.
pub(crate) fn number(period: Period, at: UnixMillis) -> i64 {
    i64::try_from(period.number(at)).unwrap_or(i64::MAX)
}

/// What the table of sums calls a period.
pub(crate) fn name(period: Period) -> &'static str {
    match period {
        Period::Day => "day",
        Period::Month => "month",
        Period::Total => "total",
    }
}

/// As the database adds: what does not fit stays at the largest.
fn add(to: &mut [i64], more: &[i64]) {
    for (to, more) in to.iter_mut().zip(more) {
        *to = to.saturating_add(*more);
    }
}

//! Lines of the ledger, and what they add to its sums.
//!
//! Invariant: rows are in the order of their keys, lines in that of what they have in common, then
//! of whose they are and then of their requests; so writers that come at once take locks in one
//! order and none waits for another in a circle. No two rows have one key.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use server_metering::{Entry, Period, UnixMillis};

use super::cells::{Cells, NUM_METERS, NUM_SUM};
use super::counted::COUNTED;
use super::filter::MILLIS_PER_HOUR;
use super::insert::Written;
use super::line::Line;
use crate::sql::Bound;

/// When it was opened and settled, its meters and its cost.
pub(super) const NUM_LINE: usize = 2 + NUM_METERS + 1;
/// Organization, project, key, model, tier, endpoint and tag.
pub(super) const NUM_NAMES: usize = 7;
/// The first of them are those of an account. The rest, and how a line ended, lines of many
/// accounts have in common.
const NUM_OF_ACCOUNT: usize = 3;
pub(super) const NUM_SHARED: usize = NUM_NAMES - NUM_OF_ACCOUNT + 1;
/// A line's request, and whose it is.
pub(super) const NUM_OWN: usize = 1 + NUM_OF_ACCOUNT;
const HOURS_PER_DAY: i64 = 24;

/// What hours are summed by.
type Names<'a> = [&'a str; NUM_NAMES];

/// Lines, each request once, and whose they are.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// As they are bound: two that are the same there are one. In order.
    names: Vec<[Cow<'a, str>; NUM_NAMES]>,
    lines: Vec<Line<'a>>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(entries: &'a [Entry]) -> Self {
        // By where they lie: whoever read the entries keeps each name once. What lies in two places
        // is found to be the same when it is sorted.
        let (mut known, mut found) = (HashMap::<[_; NUM_NAMES], usize>::new(), Vec::new());
        let mut lines: Vec<_> = entries.iter().map(|entry| Line::new(entry, 0)).collect();
        for (entry, line) in entries.iter().zip(&mut lines) {
            let names = names(entry);
            // A load's are often those of the one before.
            line.whose = match found.last() {
                Some(last) if *last == names => found.len() - 1,
                _ => *known.entry(names.map(str::as_ptr)).or_insert_with(|| {
                    found.push(names);
                    found.len() - 1
                }),
            };
        }
        // They come nearly in this order.
        lines.sort_by(|a, b| a.request.cmp(&b.request));
        lines.dedup_by(|later, first| later.request == first.request);
        let bound = |names: &Names<'a>| names.map(Bound::bound);
        let mut sorted: Vec<_> = found.iter().map(bound).enumerate().collect();
        sorted.sort_by(|(_, a), (_, b)| a.cmp(b));
        let (mut places, mut names) = (vec![0; sorted.len()], Vec::with_capacity(sorted.len()));
        for (idx, bound) in sorted {
            if names.last() != Some(&bound) {
                names.push(bound);
            }
            places[idx] = names.len() - 1;
        }
        let mut common: Vec<_> = names.iter().map(|names| &names[NUM_OF_ACCOUNT..]).collect();
        common.sort_unstable();
        common.dedup();
        let alike = |names: &[_]| common.partition_point(|it| *it < &names[NUM_OF_ACCOUNT..]);
        let alike: Vec<_> = names.iter().map(|names| alike(names)).collect();
        for line in &mut lines {
            line.whose = places[line.whose];
            line.alike = alike[line.whose];
        }
        lines.sort_by_key(|line| (line.kind(), line.whose));
        Self { names, lines }
    }

    pub(super) fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// What a line has in common with others of its account and kind.
    pub(super) fn shared_by_one(&self, line: &Line<'_>) -> [&str; NUM_NAMES + 1] {
        let names = &self.names[line.whose];
        std::array::from_fn(|idx| names.get(idx).map_or(line.ending, |name| name.as_ref()))
    }

    /// What a line has in common with others of its kind.
    pub(super) fn shared(&self, line: &Line<'_>) -> [&str; NUM_SHARED] {
        let names = &self.names[line.whose][NUM_OF_ACCOUNT..];
        std::array::from_fn(|idx| names.get(idx).map_or(line.ending, |name| name.as_ref()))
    }

    /// What it has alone among those.
    pub(super) fn own<'b>(&'b self, line: &'b Line<'_>) -> Written<'b, NUM_OWN, NUM_LINE> {
        let names = &self.names[line.whose];
        let text = |idx: usize| if idx == 0 { &*line.request } else { &*names[idx - 1] };
        (std::array::from_fn(text), line.numbers)
    }

    /// All that the ledger has of a line.
    pub(super) fn row<'b>(
        &'b self,
        line: &'b Line<'_>,
    ) -> Written<'b, { NUM_OWN + NUM_SHARED }, NUM_LINE> {
        let ((own, numbers), shared) = (self.own(line), self.shared(line));
        let text = |idx: usize| own.get(idx).copied().unwrap_or_else(|| shared[idx - NUM_OWN]);
        (std::array::from_fn(text), numbers)
    }

    /// What lines add to each hour: the hour, the number of requests, their sum.
    pub(super) fn hours(&self, lines: &[&Line<'_>]) -> Vec<Written<'_, 7, { 2 + NUM_SUM }>> {
        let mut hours = BTreeMap::<_, [i64; 2 + NUM_SUM]>::new();
        for line in lines {
            let hour = line.settled_at() / MILLIS_PER_HOUR;
            let numbers = hours.entry((line.whose, hour)).or_default();
            numbers[0] = hour;
            // What is billed by the clock is no request.
            let [.., endpoint, _] = &self.names[line.whose];
            numbers[1] += i64::from(!COUNTED.contains(&&**endpoint));
            add(&mut numbers[2..], &line.sum());
        }
        let texts = |whose: usize| self.names[whose].each_ref().map(|name| &**name);
        hours.into_iter().map(|((whose, _), numbers)| (texts(whose), numbers)).collect()
    }
}

fn names(entry: &Entry) -> Names<'_> {
    let opened = &entry.opened;
    [
        opened.path.organization.as_str(),
        opened.path.project.as_str(),
        opened.path.key.as_str(),
        opened.model.as_str(),
        opened.tier.as_str(),
        opened.endpoint.as_str(),
        opened.tag.as_ref().map_or("", |tag| tag.as_str()),
    ]
}

/// What hours, in their order, add to days: the day, the number of requests, their sum.
pub(super) fn days<'a>(
    hours: &[Written<'a, 7, { 2 + NUM_SUM }>],
) -> Vec<Written<'a, 7, { 2 + NUM_SUM }>> {
    let mut days = Vec::<Written<'a, 7, { 2 + NUM_SUM }>>::new();
    for (texts, numbers) in hours {
        let day = numbers[0] / HOURS_PER_DAY;
        match days.last_mut() {
            Some((last, sum)) if last == texts && sum[0] == day => {
                add(&mut sum[1..], &numbers[1..])
            }
            _ => {
                let mut sum = *numbers;
                sum[0] = day;
                days.push((*texts, sum));
            }
        }
    }
    days
}

/// What days add to the day's sum of each account and model: the day, and their sum.
pub(super) fn sums<'a>(
    days: &[Written<'a, 7, { 2 + NUM_SUM }>],
) -> Vec<Written<'a, 6, { 1 + NUM_SUM }>> {
    let mut sums = BTreeMap::<_, [i64; 1 + NUM_SUM]>::new();
    for ([organization, project, key, model, tier, ..], numbers) in days {
        let (number, day) = (numbers[0], name(Period::Day));
        for texts in [
            [organization, "", "", "", "", day],
            [organization, project, "", "", "", day],
            [organization, project, key, "", "", day],
            [organization, "", "", model, tier, day],
        ] {
            let sum = sums.entry((number, texts)).or_default();
            sum[0] = number;
            add(&mut sum[1..], &numbers[2..]);
        }
    }
    sums.into_iter().map(|((_, texts), numbers)| (texts, numbers)).collect()
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
            let sum = sums.entry((number, texts)).or_default();
            sum[0] = number;
            add(&mut sum[1..], &numbers[1..]);
        }
    }
    sums.into_iter().map(|((_, texts), numbers)| (texts, numbers)).collect()
}

/// Its first moment.
pub(super) fn start_of_day(day: i64) -> UnixMillis {
    UnixMillis(day.saturating_mul(HOURS_PER_DAY * MILLIS_PER_HOUR).unsigned_abs())
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

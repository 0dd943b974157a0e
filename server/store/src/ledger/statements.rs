//! What the ledger and its sums are written by.
//!
//! Invariant: a statement that tells the usual meters only writes what one for all would.

use std::sync::LazyLock;

use super::batch::{NUM_LINE, NUM_NAMES, NUM_OWN, NUM_SHARED};
use super::cells::{COST, METERS, NUM_METERS, NUM_SUM, USUAL, is_usual, meters_by_use};
use super::insert::{Insert, Written};

/// Whose a line is, and what it has in common with others.
const OWN: &str = "request_id, organization_id, project_id, key_id";
const SHARED: &str = "model, tier, endpoint, tag, ending";
const ONCE: &str = " ON CONFLICT (request_id) DO NOTHING";
/// Lines of any sort.
pub(super) static LINES: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(into_ledger(), ONCE.to_owned()));
/// Lines of one account with all else in common, by whether they have usual meters only.
pub(super) static LINES_OF_ONE: LazyLock<[Insert; 2]> = LazyLock::new(|| sharing(1, NUM_NAMES + 1));
/// Lines of any account with all else in common.
pub(super) static LINES_ALIKE: LazyLock<[Insert; 2]> =
    LazyLock::new(|| sharing(NUM_OWN, NUM_SHARED));
/// Lines some of which may be there.
pub(super) static NEW_LINES: LazyLock<Insert> =
    LazyLock::new(|| Insert::new(into_ledger(), format!("{ONCE} RETURNING request_id")));
pub(super) static HOURS: LazyLock<Sums> = LazyLock::new(|| {
    let key = "organization_id, project_id, key_id, model, tier, endpoint, tag, hour";
    Sums::new("usage_hours", key, "num_requests, ", 2)
});
pub(super) static DAYS: LazyLock<Sums> = LazyLock::new(|| {
    let key = "organization_id, project_id, key_id, model, tier, endpoint, tag, day";
    Sums::new("usage_days", key, "num_requests, ", 2)
});
pub(super) static SUMS: LazyLock<Sums> = LazyLock::new(|| {
    let key = "organization_id, project_id, key_id, model, tier, period, number";
    Sums::new("usage_sums", key, "", 1)
});

/// How rows are added to those of a table of sums.
#[derive(Debug)]
pub(super) struct Sums {
    any: Insert,
    /// Of usual meters only.
    usual: Insert,
    /// Before a row's meters come so many numbers.
    num_before: usize,
}

impl Sums {
    /// `before` are the columns of counts that come before meters, and a row has so many numbers
    /// before those.
    fn new(table: &str, key: &str, before: &str, num_before: usize) -> Self {
        let [usual, others] = meters_by_use();
        let any = upsert(table, key, &format!("{before}{METERS}, {COST}"), "");
        let usual = upsert(table, key, &format!("{before}{usual}, {COST}"), &format!(", {others}"));
        let num_zeros = NUM_METERS - USUAL.len();
        let usual = usual.telling(told(num_before, num_before + NUM_SUM), num_zeros);
        Self { any, usual, num_before }
    }

    /// The statement for some rows.
    pub(super) fn of<const T: usize, const N: usize>(&self, rows: &[Written<'_, T, N>]) -> &Insert {
        let meters = self.num_before..self.num_before + NUM_METERS;
        match rows.iter().all(|(_, numbers)| is_usual(&numbers[meters.clone()])) {
            true => &self.usual,
            false => &self.any,
        }
    }
}

/// Which of a row's numbers a statement for the usual tells, where meters come after some.
fn told(num_before: usize, num: usize) -> Vec<usize> {
    let meters = USUAL.map(|place| num_before + place);
    (0..num_before).chain(meters).chain(num_before + NUM_METERS..num).collect()
}

/// Lines of which each has some texts of its own, and shares some: of any meters, and of the usual.
fn sharing(num_own: usize, num_shared: usize) -> [Insert; 2] {
    let into = |told: Vec<usize>| {
        // What is not told is a 0 in the columns, too.
        let number = |place| told.iter().position(|it| *it == place);
        let row = |num: usize| format!("rows.column{num}");
        let own = (1..=num_own).map(row);
        let shared = (1..=num_shared).map(|num| format!("shared.column{num}"));
        let numbers = (0..NUM_LINE)
            .map(|place| number(place).map_or("0".to_owned(), |at| row(num_own + 1 + at)));
        let columns: Vec<_> = own.chain(shared).chain(numbers).collect();
        Insert::with_shared(into_ledger(), columns.join(", "), ONCE.to_owned()).telling(told, 0)
    };
    [into((0..NUM_LINE).collect()), into(told(2, NUM_LINE))]
}

fn into_ledger() -> String {
    format!("INSERT INTO ledger ({OWN}, {SHARED}, opened_at, settled_at, {METERS}, cost)")
}

/// A statement that adds its rows to those that are there, with more columns of which there is
/// nothing to add. What does not fit stays at the largest, on both databases: one row must not stop
/// the ledger.
fn upsert(table: &str, key: &str, counts: &str, nothing: &str) -> Insert {
    let max = i64::MAX;
    let sum = |column: &str| {
        let column = column.trim();
        let (old, new) = (format!("{table}.{column}"), format!("excluded.{column}"));
        format!("{column} = CASE WHEN {old} > {max} - {new} THEN {max} ELSE {old} + {new} END")
    };
    let sums: Vec<_> = counts.split(',').map(sum).collect();
    Insert::new(
        format!("INSERT INTO {table} ({key}, {counts}{nothing})"),
        format!(" ON CONFLICT ({key}) DO UPDATE SET {}", sums.join(", ")),
    )
}

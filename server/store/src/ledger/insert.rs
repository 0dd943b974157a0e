//! Statements that write many rows.
//!
//! Invariant: a row's texts come before its numbers, in a statement's columns too. A statement's
//! text depends on the number of its rows only, and there are few numbers: what is prepared is
//! found again.

use std::fmt::Write;
use std::sync::OnceLock;

use sqlx::query::Query;
use sqlx::{Arguments, AssertSqlSafe, Database, Encode, IntoArguments, SqlSafeStr, SqlStr, Type};

/// Rows of one statement.
const CHUNKS: [usize; 5] = [256, 64, 16, 4, 1];

/// A row that is written.
pub(crate) type Written<'a, const T: usize, const N: usize> = ([&'a str; T], [i64; N]);

/// A query of either database.
pub(super) type Writing<DB> = Query<'static, DB, <DB as Database>::Arguments>;

/// `INSERT` of rows of texts and numbers.
#[derive(Debug)]
pub(crate) struct Insert {
    head: String,
    /// What is selected of `rows` and `shared`, where rows have texts in common.
    shared: Option<String>,
    tail: String,
    /// Which of a row's numbers it tells, if not all, and how many columns behind those are 0.
    some: Option<(Vec<usize>, usize)>,
    /// By whether places have numbers, and by the number of rows.
    texts: [[OnceLock<String>; CHUNKS.len()]; 2],
}

impl Insert {
    /// `head VALUES (…), (…) tail`.
    pub(crate) fn new(head: String, tail: String) -> Self {
        Self { head, shared: None, tail, some: None, texts: Default::default() }
    }

    /// `head SELECT columns FROM (VALUES (…), (…)) AS rows CROSS JOIN (VALUES (…)) AS shared tail`:
    /// what rows have in common is sent once.
    pub(super) fn with_shared(head: String, columns: String, tail: String) -> Self {
        Self { head, shared: Some(columns), tail, some: None, texts: Default::default() }
    }

    /// The same that tells only some numbers of a row, and writes 0 into so many columns behind.
    pub(super) fn telling(self, places: Vec<usize>, num_zeros: usize) -> Self {
        Self { some: Some((places, num_zeros)), ..self }
    }

    /// The query that writes rows, as many as [`chunks`] has at once; `shared` is of the statement.
    ///
    /// # Errors
    /// If a value cannot be sent.
    pub(super) fn query<DB, const T: usize, const N: usize>(
        &'static self,
        rows: &[Written<'_, T, N>],
        shared: &[&str],
    ) -> Result<Writing<DB>, sqlx::Error>
    where
        DB: Database<Arguments: IntoArguments<DB>>,
        for<'q> &'q str: Encode<'q, DB> + Type<DB>,
        i64: for<'q> Encode<'q, DB> + Type<DB>,
    {
        let mut arguments = DB::Arguments::default();
        let is_numbered = is_numbered(&arguments);
        let (places, num_zeros) = match &self.some {
            Some((places, num_zeros)) => (Some(places), *num_zeros),
            None => (None, 0),
        };
        let num_numbers = places.map_or(N, Vec::len);
        arguments.reserve(rows.len() * (T + num_numbers) + shared.len(), 0);
        let mut add = || {
            for (texts, numbers) in rows {
                texts.iter().try_for_each(|text| arguments.add(*text))?;
                match places {
                    Some(places) => places.iter().try_for_each(|at| arguments.add(numbers[*at]))?,
                    None => numbers.iter().try_for_each(|number| arguments.add(*number))?,
                }
            }
            shared.iter().try_for_each(|text| arguments.add(*text))
        };
        add().map_err(sqlx::Error::Encode)?;
        let sql = self.text(is_numbered, rows.len(), [T + num_numbers, num_zeros, shared.len()]);
        Ok(sqlx::query_with(sql, arguments))
    }

    /// `widths` are those of a row, its zeros, and what rows share.
    fn text(&'static self, is_numbered: bool, num_rows: usize, widths: [usize; 3]) -> SqlStr {
        let [width, num_zeros, num_shared] = widths;
        let write = || {
            let mut sql = self.head.clone();
            let mut num = 0;
            if let Some(columns) = &self.shared {
                let _ = write!(sql, " SELECT {columns} FROM (");
            }
            values(&mut sql, &mut num, is_numbered, [num_rows, width, num_zeros]);
            if self.shared.is_some() {
                sql += ") AS rows CROSS JOIN (";
                values(&mut sql, &mut num, is_numbered, [1, num_shared, 0]);
                // Without a condition SQLite takes what follows for one of the join.
                sql += ") AS shared WHERE 1 = 1";
            }
            sql + &self.tail
        };
        match CHUNKS.iter().position(|chunk| *chunk == num_rows) {
            Some(place) => {
                let text = self.texts[usize::from(is_numbered)][place].get_or_init(write);
                SqlStr::from_static(text)
            }
            // Nobody asks for another number; it would be right, too.
            None => AssertSqlSafe(write()).into_sql_str(),
        }
    }
}

/// `VALUES (?, …, 0), (?, …, 0)`: so many rows, places in each, and zeros behind them.
fn values(sql: &mut String, num: &mut usize, is_numbered: bool, sizes: [usize; 3]) {
    let [num_rows, width, num_zeros] = sizes;
    for row in 0..num_rows {
        *sql += if row == 0 { " VALUES (" } else { "), (" };
        for column in 0..width {
            *num += 1;
            *sql += if column == 0 { "" } else { ", " };
            // SQLite looks for a place that has a name among all names each time that it is bound.
            let _ = if is_numbered { write!(sql, "${num}") } else { write!(sql, "?") };
        }
        (0..num_zeros).for_each(|_| *sql += ", 0");
    }
    sql.push(')');
}

/// Whether places have numbers, as those of PostgreSQL have.
fn is_numbered(arguments: &impl Arguments) -> bool {
    let mut place = String::new();
    let _ = arguments.format_placeholder(&mut place);
    place != "?"
}

/// The rows of one statement after the other.
pub(super) fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let num = CHUNKS.into_iter().find(|num| *num <= rows.len())?;
        let (chunk, rest) = rows.split_at(num);
        rows = rest;
        Some(chunk)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_all_of_it_in_few_sizes() {
        let rows: Vec<_> = (0..343).collect();
        let sizes: Vec<_> = chunks(&rows).map(<[i32]>::len).collect();
        assert_eq!(sizes, [256, 64, 16, 4, 1, 1, 1]);
        assert_eq!(chunks(&rows).flatten().copied().collect::<Vec<_>>(), rows);
    }
}

//! Lists in columns, as wide as what is in them.

use anyhow::Result;

/// Rows under headings; nothing but `empty` where there are none.
pub(crate) struct Table<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(headings: [&'static str; N]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: [String; N]) {
        // One line each, whatever a name has in it.
        self.rows.push(row.map(|cell| cell.replace(char::is_control, " ")));
    }

    /// Writes it out.
    pub(crate) fn print(&self, empty: &str) -> Result<()> {
        if self.rows.is_empty() {
            return outln!("{empty}");
        }
        let width = |column: usize| {
            let cells = self.rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.headings[column].len()]).max().unwrap_or(0)
        };
        let widths: [usize; N] = std::array::from_fn(width);
        let line = |cells: [&str; N]| {
            let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        outln!("{}", line(self.headings))?;
        for row in &self.rows {
            outln!("{}", line(row.each_ref().map(String::as_str)))?;
        }
        Ok(())
    }
}

//! Lists, a page at a time.

use futures_util::{Stream, StreamExt};

use crate::StoreError;

/// What a page comes to in memory, unless its first row alone is larger.
const MAX_PAGE_BYTES: usize = 16 << 20;

/// Which page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageQuery {
    /// The last thing of the page before.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
    /// Newest first.
    pub descending: bool,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on it, in the order that was asked for.
    pub rows: Vec<T>,
    /// Whether there is another page.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Of rows that are read with [`PageQuery::num_read`] as their limit. A page of large rows is
    /// short.
    pub(crate) async fn read(
        mut stream: impl Stream<Item = Result<T, sqlx::Error>> + Unpin,
        query: &PageQuery,
        num_bytes: impl Fn(&T) -> usize,
    ) -> Result<Self, StoreError> {
        let (mut rows, mut total) = (Vec::new(), 0);
        while let Some(row) = stream.next().await {
            let row = row?;
            total += num_bytes(&row);
            let is_full = rows.len() >= query.limit as usize || total > MAX_PAGE_BYTES;
            if is_full && !rows.is_empty() {
                return Ok(Self { rows, has_more: true });
            }
            rows.push(row);
        }
        Ok(Self { rows, has_more: false })
    }

    /// Of what `read` makes of the rows.
    pub(crate) fn map<U>(self, read: impl FnMut(T) -> U) -> Page<U> {
        Page { rows: self.rows.into_iter().map(read).collect(), has_more: self.has_more }
    }

    /// Of what `read` makes of the rows, if it can.
    pub(crate) fn try_map<U>(
        self,
        read: impl FnMut(T) -> Result<U, StoreError>,
    ) -> Result<Page<U>, StoreError> {
        let rows = self.rows.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { rows, has_more: self.has_more })
    }
}

impl PageQuery {
    /// One more than wanted, which says whether there are more.
    pub(crate) fn num_read(&self) -> i64 {
        i64::from(self.limit) + 1
    }
}

//! Reading a table of any length in order of its key, a page at a time.

use std::vec;

use store::AnyConnection;

use crate::Result;

/// Rows of a page. Whatever reads the whole book holds a few pages at a time.
pub(crate) const PAGE: i64 = 2_000;

/// Fetches at most [`PAGE`] rows with a key over the given one, in order of the key.
type Fetch<T, K> = fn(&mut AnyConnection, K) -> Result<Vec<T>>;

pub(crate) struct Pages<T, K> {
    fetch: Fetch<T, K>,
    key: fn(&T) -> K,
    /// Key of the last row fetched.
    last: K,
    page: vec::IntoIter<T>,
    ended: bool,
}

impl<T, K: Copy> Pages<T, K> {
    pub(crate) fn after(start: K, key: fn(&T) -> K, fetch: Fetch<T, K>) -> Self {
        Self { fetch, key, last: start, page: Vec::new().into_iter(), ended: false }
    }

    pub(crate) fn peek(&mut self, conn: &mut AnyConnection) -> Result<Option<&T>> {
        if self.page.as_slice().is_empty() && !self.ended {
            let page = (self.fetch)(conn, self.last)?;
            self.last = page.last().map_or(self.last, self.key);
            self.ended = (page.len() as i64) < PAGE;
            self.page = page.into_iter();
        }
        Ok(self.page.as_slice().first())
    }

    pub(crate) fn next(&mut self, conn: &mut AnyConnection) -> Result<Option<T>> {
        self.peek(conn)?;
        Ok(self.page.next())
    }

    /// The next row if it satisfies the condition.
    pub(crate) fn next_if(
        &mut self,
        conn: &mut AnyConnection,
        condition: impl FnOnce(&T) -> bool,
    ) -> Result<Option<T>> {
        let found = self.peek(conn)?.is_some_and(condition);
        Ok(if found { self.page.next() } else { None })
    }
}

/// `(first, second) > (a, b)` in the order of a composite index, which Diesel cannot say itself.
macro_rules! row_after {
    ($row:literal, $first:ty = $a:expr, $second:ty = $b:expr) => {
        diesel::dsl::sql::<diesel::sql_types::Bool>(concat!("(", $row, ") > ("))
            .bind::<$first, _>($a)
            .sql(", ")
            .bind::<$second, _>($b)
            .sql(")")
    };
}
pub(crate) use row_after;

//! Pages: oldest first, with an opaque cursor that stays right while new rows come.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::{Code, Problem, Result};

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;

/// Which page.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows of a page, 1 to 100; 20 if not named.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The same, understood: `K` is what orders the rows.
#[derive(Clone, Copy, Debug)]
pub struct PageOf<K> {
    limit: i64,
    /// The last row of the page before.
    pub after: Option<K>,
}

impl PageQuery {
    pub fn of<K: FromStr>(&self) -> Result<PageOf<K>> {
        let bad = |detail| Problem::new(Code::InvalidQuery).detail(detail);
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(bad("`limit` is 1 to 100"));
        }
        let after = self.cursor.as_deref().map(|cursor| {
            let text = hex::decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let key = text.and_then(|text| text.parse().ok());
            key.ok_or_else(|| bad("`cursor` is not one of ours"))
        });
        Ok(PageOf { limit, after: after.transpose()? })
    }
}

impl<K: ToString> PageOf<K> {
    /// What to ask the database for: one row more, to know whether there is a next page.
    pub fn rows(&self) -> i64 {
        self.limit + 1
    }

    pub fn page<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> K) -> Page<T> {
        let has_more = rows.len() > self.limit();
        rows.truncate(self.limit());
        let last = rows.last().filter(|_| has_more).map(key);
        self.until(rows, last)
    }

    /// A page of which the query itself says where the next one starts.
    pub fn until<T>(&self, rows: Vec<T>, next: Option<K>) -> Page<T> {
        let next_cursor = next.map(|key| hex::encode(key.to_string()));
        Page { data: rows, has_more: next_cursor.is_some(), next_cursor }
    }

    /// The most rows of the page.
    pub fn limit(&self) -> usize {
        usize::try_from(self.limit).unwrap_or_default()
    }
}

/// One page of a list, oldest first.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub has_more: bool,
    /// For `?cursor=`, if there is more.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Page<U> {
        let data = self.data.into_iter().map(shape).collect();
        Page { data, has_more: self.has_more, next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other() {
        let rows = |page: &PageOf<i32>| {
            let from = page.after.map_or(0, |after| after + 1);
            (from..45).take(usize::try_from(page.rows()).unwrap()).collect::<Vec<_>>()
        };
        let (mut cursor, mut seen) = (None, Vec::new());
        loop {
            let query = PageQuery { limit: None, cursor };
            let asked = query.of::<i32>().unwrap();
            let page = asked.page(rows(&asked), |row| *row);
            seen.extend(page.data);
            cursor = page.next_cursor;
            assert_eq!(page.has_more, cursor.is_some());
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, (0..45).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (limit, cursor) in [(Some(0), None), (Some(101), None), (None, Some("zz".to_owned()))] {
            assert!(PageQuery { limit, cursor }.of::<i32>().is_err());
        }
    }
}

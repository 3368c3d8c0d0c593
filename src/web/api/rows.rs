//! The rows of a collection: from a list in memory, or from a large table that is read in slices.
//!
//! Invariant: a large table is never in memory as a whole. A reader that stops early has read at most one slice too
//! many.

use super::error::ApiError;
use super::query::{Op, OrderKey, Query};
use crate::store::{Scan, StoreError};

/// The smallest slice that is worth a call.
const SLICE_MIN: usize = 16;
/// The largest slice: about 512 KiB of builds.
const SLICE_MAX: usize = 512;

/// Rows in some order.
pub struct Rows<'a, R> {
    pub rows: Box<dyn Iterator<Item = Result<R, ApiError>> + 'a>,
    /// Whether they are in the order that the query asks for.
    pub sorted: bool,
}

impl<'a, R: 'a> Rows<'a, R> {
    /// A list in memory, in the default order of its kind.
    pub fn list(rows: Vec<R>, query: &Query) -> Self {
        Self { rows: Box::new(rows.into_iter().map(Ok)), sorted: query.order.is_empty() }
    }

    /// No rows.
    pub fn none() -> Self {
        Self { rows: Box::new(std::iter::empty()), sorted: true }
    }
}

/// The rows of these names, by an index of names; in order of their ids, each once.
pub fn named<R, Id: Ord>(
    names: Vec<String>,
    find: impl Fn(&str) -> Result<Option<R>, StoreError>,
    id: impl Fn(&R) -> Id,
) -> Result<Vec<R>, ApiError> {
    let mut rows = Vec::new();
    for name in names {
        rows.extend(find(&name)?);
    }
    rows.sort_by_key(&id);
    rows.dedup_by(|left, right| id(left) == id(right));
    Ok(rows)
}

/// How a large table can be read: by a number that each row has.
pub struct Index<'q> {
    /// The field that holds the number.
    pub key: &'static str,
    /// Fields that grow together with it: ids are given out in the order of time.
    pub alike: &'q [&'static str],
    /// The usual direction.
    pub descending: bool,
}

/// Reads a table by one of its indexes: in the order that the query asks for, if the index has it, and only the range
/// that the filters leave.
pub fn scan<'a, T: 'a>(
    query: &Query,
    index: &Index<'_>,
    number: impl Fn(&T) -> u64 + 'a,
    mut fetch: impl FnMut(Scan) -> Result<Vec<T>, StoreError> + 'a,
) -> Rows<'a, T> {
    let direction = direction(&query.order, index);
    let descending = direction.unwrap_or(index.descending);
    let (low, high) = query.bounds().range(index.key);
    let after = if descending { high.checked_add(1) } else { low.checked_sub(1) };
    let limit = slice(query);
    let mut next = Some(Scan { after, descending, limit });
    let mut slice = Vec::new().into_iter();
    let rows = std::iter::from_fn(move || {
        loop {
            if let Some(row) = slice.next() {
                let at = number(&row);
                if at < low || at > high {
                    next = None;
                    return None;
                }
                return Some(Ok(row));
            }
            let scan = next.take()?;
            match fetch(scan) {
                Err(error) => return Some(Err(error.into())),
                Ok(rows) => {
                    if rows.len() == scan.limit {
                        let after = rows.last().map(&number);
                        next = Some(Scan { after, limit: (scan.limit * 2).min(SLICE_MAX), ..scan });
                    }
                    slice = rows.into_iter();
                }
            }
        }
    });
    Rows { rows: Box::new(rows), sorted: direction.is_some() }
}

/// The direction in which the index has the requested order; none if it does not.
fn direction(order: &[OrderKey], index: &Index<'_>) -> Option<bool> {
    match order {
        [] => Some(index.descending),
        // The key is unique, so what follows it does not matter.
        [first, ..] if first.field == index.key => Some(first.descending),
        [only] if index.alike.contains(&only.field) => Some(only.descending),
        [first, second, ..] if index.alike.contains(&first.field) && second.field == index.key => {
            (first.descending == second.descending).then_some(first.descending)
        }
        _ => None,
    }
}

/// How much to read first: the page, if nothing is filtered out.
fn slice(query: &Query) -> usize {
    let filtered = query.filters.iter().any(|filter| filter.op != Op::Eq);
    match query.limit {
        Some(limit) if !filtered => (limit.saturating_add(query.offset)).clamp(SLICE_MIN, SLICE_MAX),
        Some(_) => SLICE_MIN * 4,
        None => SLICE_MAX,
    }
}

/// Several lists that are each in order of `key` (or of what grows with it), as one.
pub fn merge<'a, T: 'a>(
    mut lists: Vec<Rows<'a, T>>,
    query: &Query,
    key: &'static str,
    number: impl Fn(&T) -> u64 + 'a,
) -> Rows<'a, T> {
    if lists.len() == 1 {
        return lists.remove(0);
    }
    // An order that exists in one list only (the numbers of one builder) does not hold across lists.
    let spans = query.order.first().is_none_or(|first| first.field != "number" || key == "number");
    let sorted = spans && lists.iter().all(|list| list.sorted);
    let descending = query.order.first().is_some_and(|first| first.descending);
    let mut heads: Vec<_> = lists.into_iter().map(|list| list.rows.peekable()).collect();
    let rows = std::iter::from_fn(move || {
        let mut best: Option<(usize, u64)> = None;
        for (at, head) in heads.iter_mut().enumerate() {
            match head.peek() {
                None => {}
                Some(Err(_)) => return head.next(),
                Some(Ok(row)) => {
                    let number = number(row);
                    let wins = best.is_none_or(|(_, other)| if descending { number > other } else { number < other });
                    if wins {
                        best = Some((at, number));
                    }
                }
            }
        }
        best.and_then(|(at, _)| heads[at].next())
    });
    Rows { rows: Box::new(rows), sorted }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell as Counter;

    use super::super::cell::Cell;
    use super::super::kind::{Column, Kind, Resource, Type, fields, is};
    use super::super::query::Shape;
    use super::*;
    use crate::web::request::pairs;

    const COLUMNS: &[Column<Number>] = &[
        is("id", Type::Int, |number, _| Cell::number(number.0)),
        is("at", Type::Time, |number, _| Cell::number(number.0)),
        is("odd", Type::Bool, |number, _| (number.0 % 2 == 1).into()),
    ];

    static NUMBER: Kind =
        Kind { name: "number", plural: "numbers", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: true };

    struct Number(u64);

    impl Resource for Number {
        const KIND: &'static Kind = &NUMBER;
        const COLUMNS: &'static [Column<Self>] = COLUMNS;
    }

    const MILLION: u64 = 1_000_000;
    const INDEX: Index<'static> = Index { key: "id", alike: &["at"], descending: false };

    /// What a query gives from a table of the numbers from 1 to a million, whether it came in order, and how
    /// many rows were read for it.
    fn ask(text: &str) -> (Vec<u64>, bool, usize) {
        let query = Query::parse(&NUMBER, Shape::Many, &pairs(text.as_bytes())).unwrap();
        let read = Counter::new(0);
        let rows = scan(
            &query,
            &INDEX,
            |number: &Number| number.0,
            |part| {
                let rows: Vec<Number> = table(part).map(Number).collect();
                read.set(read.get() + rows.len());
                Ok(rows)
            },
        );
        let sorted = rows.sorted;
        let taken = rows.rows.map(Result::unwrap).filter(|row| query.takes(row));
        let page: Vec<u64> = taken.skip(query.offset).take(query.limit.unwrap_or(5)).map(|row| row.0).collect();
        (page, sorted, read.get())
    }

    fn table(part: Scan) -> Box<dyn Iterator<Item = u64>> {
        if part.descending {
            let newest = part.after.map_or(MILLION, |after| after.min(MILLION + 1).saturating_sub(1));
            Box::new((1..=newest).rev().take(part.limit))
        } else {
            Box::new((part.after.unwrap_or(0) + 1..=MILLION).take(part.limit))
        }
    }

    #[test]
    fn a_page_of_a_large_table_reads_little_more_than_the_page() {
        for (text, page, most) in [
            ("order=-id&limit=3", vec![1_000_000, 999_999, 999_998], 16),
            ("order=-at&limit=2", vec![1_000_000, 999_999], 16),
            ("limit=2&offset=30", vec![31, 32], 32),
            ("order=-id&odd=true&limit=2", vec![999_999, 999_997], 16),
            ("order=-id&id__lt=500&limit=2", vec![499, 498], 64),
            ("id__gt=999998", vec![999_999, 1_000_000], 2),
            ("id__ge=10&id__le=11", vec![10, 11], 512),
            ("order=-id&id__ge=10&id__le=11", vec![11, 10], 512),
            ("limit=0", vec![], 0),
        ] {
            let (found, sorted, read) = ask(text);
            assert_eq!((found, sorted), (page, true), "{text}");
            assert!(read <= most, "{text}: {read} rows read");
        }
    }

    #[test]
    fn an_order_that_the_index_lacks_is_owned_up_to() {
        for text in ["order=odd", "order=at&order=odd", "order=-at&order=id", "order=odd&order=id"] {
            assert!(!ask(&format!("{text}&limit=1")).1, "{text}");
        }
        for text in ["order=id&order=odd", "order=-at&order=-id", ""] {
            assert!(ask(&format!("{text}&limit=1")).1, "{text}");
        }
    }

    #[test]
    fn several_lists_become_one_in_order() {
        let list = |numbers: &[u64]| Rows {
            rows: Box::new(Vec::from(numbers).into_iter().map(|number| Ok(Number(number)))),
            sorted: true,
        };
        let merged = |text: &str, lists: Vec<Rows<'static, Number>>| {
            let query = Query::parse(&NUMBER, Shape::Many, &pairs(text.as_bytes())).unwrap();
            let rows = merge(lists, &query, "id", |number: &Number| number.0);
            rows.rows.map(|row| row.unwrap().0).collect::<Vec<_>>()
        };
        assert_eq!(merged("", vec![list(&[1, 4, 6]), list(&[]), list(&[2, 3, 7])]), [1, 2, 3, 4, 6, 7]);
        assert_eq!(merged("order=-id", vec![list(&[6, 4, 1]), list(&[7, 3, 2])]), [7, 6, 4, 3, 2, 1]);
        assert_eq!(merged("", Vec::new()), [0; 0]);
    }
}

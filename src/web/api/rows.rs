//! Where the rows of a collection come from: a list at hand, or a large table read slice by slice.
//!
//! Invariant: a large table is never in memory as a whole; a reader that stops early has read at most one
//! slice too many.

use super::error::ApiError;
use super::query::{Op, OrderKey, Query};
use crate::store::{Scan, StoreError};

/// The smallest slice that is worth a call.
const SLICE_MIN: usize = 16;
/// The largest: some 512 KiB of builds.
const SLICE_MAX: usize = 512;

/// Rows in some order.
pub struct Rows<'a, R> {
    pub rows: Box<dyn Iterator<Item = Result<R, ApiError>> + 'a>,
    /// Whether they come in the order that the query wants.
    pub sorted: bool,
}

impl<'a, R: 'a> Rows<'a, R> {
    /// A list at hand, in the kind's usual order.
    pub fn list(rows: Vec<R>, query: &Query) -> Self {
        Self { rows: Box::new(rows.into_iter().map(Ok)), sorted: query.order.is_empty() }
    }

    /// Nothing.
    pub fn none() -> Self {
        Self { rows: Box::new(std::iter::empty()), sorted: true }
    }
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

/// Reads a table by one of its indexes, in the order that the query wants if the index has it, and only the
/// range that its filters leave.
pub fn scan<'a, T: 'a>(
    query: &Query,
    index: &Index<'_>,
    number: impl Fn(&T) -> u64 + 'a,
    mut fetch: impl FnMut(Scan) -> Result<Vec<T>, StoreError> + 'a,
) -> Rows<'a, T> {
    let direction = direction(&query.order, index);
    let descending = direction.unwrap_or(index.descending);
    let (low, high) = query.range(index.key);
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

/// The direction in which the index gives the wanted order; none if it cannot.
fn direction(order: &[OrderKey], index: &Index<'_>) -> Option<bool> {
    match order {
        [] => Some(index.descending),
        // The key tells all rows apart, so what comes after it is of no account.
        [first, ..] if first.field == index.key => Some(first.descending),
        [only] if index.alike.contains(&only.field) => Some(only.descending),
        [first, second, ..] if index.alike.contains(&first.field) && second.field == index.key => {
            (first.descending == second.descending).then_some(first.descending)
        }
        _ => None,
    }
}

/// What will probably be needed at once: the page, if nothing is filtered out.
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
    // An order by something that only one list's index knows (a builder's own numbers) does not span lists.
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

//! The query language (docs/reference/rest-api-v2.md#query): parses a query, and matches one row against it.
//!
//! Pure. Does not know where rows come from.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Field, Kind, Resource, Type};
use super::view::View;
use crate::base::nearest;

/// A query, checked against a kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Fields to keep, sorted by name.
    pub fields: Vec<&'static Field>,
    pub filters: Vec<Filter>,
    pub order: Vec<OrderKey>,
    pub limit: Option<usize>,
    pub offset: usize,
    pub view: View,
}

/// One key to sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderKey {
    pub field: &'static str,
    pub descending: bool,
}

/// A condition on one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub field: &'static str,
    pub op: Op,
    pub values: Vec<FilterValue>,
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Equal to any.
    Eq,
    /// Equal to none.
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// Has any as a part or element.
    Contains,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterValue {
    Bool(bool),
    Int(i64),
    Text(String),
}

/// Whether the path leads to one resource or to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    One,
    Many,
}

impl Query {
    /// Reads the parameters of a request.
    pub fn parse(kind: &'static Kind, shape: Shape, pairs: &[(String, String)]) -> Result<Self, ApiError> {
        let values = |name: &str| -> Vec<&str> {
            pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
        };
        let mut query = Self {
            fields: fields(kind, &values("field"))?,
            view: view(&values("property")),
            limit: number(&values("limit"), "limit")?.and_then(|limit| usize::try_from(limit).ok()),
            offset: number(&values("offset"), "offset")?.and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0),
            ..Self::default()
        };
        let mut seen: Vec<&str> = Vec::new();
        for (name, _) in pairs {
            if matches!(name.as_str(), "field" | "order" | "limit" | "offset" | "property")
                || seen.contains(&name.as_str())
            {
                continue;
            }
            seen.push(name);
            if let Some(filter) = filter(kind, shape, name, &values(name))? {
                query.filters.push(filter);
            }
        }
        if shape == Shape::Many {
            query.order = values("order").into_iter().map(|order| order_key(kind, order)).collect::<Result<_, _>>()?;
        }
        query.check_selection()?;
        Ok(query)
    }

    fn check_selection(&self) -> Result<(), ApiError> {
        if !self.filters.iter().all(|filter| self.shows(filter.field)) {
            return Err(ApiError::bad("cannot filter on un-selected fields"));
        }
        if !self.order.iter().all(|key| self.shows(key.field)) {
            return Err(ApiError::bad("cannot order on un-selected fields"));
        }
        Ok(())
    }

    /// Whether a row passes all filters.
    pub fn takes<R: Resource>(&self, row: &R) -> bool {
        self.filters.iter().all(|filter| filter.takes(&row.cell(filter.field, &View::Plain), R::KIND.paged))
    }

    /// Whether a field was selected. Nobody filters or sorts by another one.
    pub fn shows(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name)
    }

    /// What the filters say of single fields.
    pub fn bounds(&self) -> Bounds<'_> {
        Bounds(&self.filters)
    }
}

/// What the filters of a query say of single fields, for whoever chooses how to read a table.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<'q>(&'q [Filter]);

impl Bounds<'_> {
    /// The values that `field` must be equal to, if it has such a filter.
    fn equal(&self, field: &str) -> Option<&[FilterValue]> {
        self.0.iter().find(|f| f.field == field && f.op == Op::Eq).map(|f| f.values.as_slice())
    }

    /// The numbers that `field` is bound to, each once and in order.
    pub fn numbers(&self, field: &str) -> Option<Vec<u64>> {
        self.equal(field).map(|values| {
            let mut numbers: Vec<u64> = values
                .iter()
                .filter_map(
                    |value| if let FilterValue::Int(number) = value { u64::try_from(*number).ok() } else { None },
                )
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        })
    }

    /// The texts that `field` is bound to.
    pub fn texts(&self, field: &str) -> Option<Vec<String>> {
        let text = |value: &FilterValue| if let FilterValue::Text(text) = value { Some(text.clone()) } else { None };
        self.equal(field).map(|values| values.iter().filter_map(text).collect())
    }

    /// The boolean that `field` must be equal to, if it has such a filter.
    pub fn truth(&self, field: &str) -> Option<bool> {
        match self.equal(field)? {
            [FilterValue::Bool(yes)] => Some(*yes),
            _ => None,
        }
    }

    /// The range that the filters leave for a number; both ends are included.
    pub fn range(&self, field: &str) -> (u64, u64) {
        let (mut low, mut high) = (0, u64::MAX);
        for filter in self.0.iter().filter(|filter| filter.field == field) {
            let numbers: Vec<u64> = filter
                .values
                .iter()
                .filter_map(|v| if let FilterValue::Int(n) = v { Some(u64::try_from(*n).unwrap_or(0)) } else { None })
                .collect();
            let (Some(least), Some(most)) = (numbers.iter().min().copied(), numbers.iter().max().copied()) else {
                continue;
            };
            match filter.op {
                Op::Eq => {
                    low = low.max(least);
                    high = high.min(most);
                }
                Op::Lt => high = high.min(most.saturating_sub(1)),
                Op::Le => high = high.min(most),
                Op::Gt => low = low.max(least.saturating_add(1)),
                Op::Ge => low = low.max(least),
                Op::Ne | Op::Contains => {}
            }
        }
        (low, high)
    }
}

impl Filter {
    fn takes(&self, cell: &Cell<'_>, paged: bool) -> bool {
        let any = |holds: &dyn Fn(&FilterValue) -> bool| self.values.iter().any(holds);
        match (cell, self.op) {
            (Cell::Null, op) => op == Op::Ne && !paged,
            (_, Op::Eq) => any(&|wanted| equal(cell, wanted)),
            (_, Op::Ne) => !any(&|wanted| equal(cell, wanted)),
            (_, Op::Contains) => any(&|wanted| contains(cell, wanted, paged)),
            // Repeated comparisons never get here: they are dropped when the query is parsed.
            (_, Op::Lt) => any(&|wanted| compare(cell, wanted).is_some_and(std::cmp::Ordering::is_lt)),
            (_, Op::Le) => any(&|wanted| compare(cell, wanted).is_some_and(std::cmp::Ordering::is_le)),
            (_, Op::Gt) => any(&|wanted| compare(cell, wanted).is_some_and(std::cmp::Ordering::is_gt)),
            (_, Op::Ge) => any(&|wanted| compare(cell, wanted).is_some_and(std::cmp::Ordering::is_ge)),
        }
    }
}

/// The order of two values of one field: null first; lists by their elements.
pub fn cell_order(left: &Cell<'_>, right: &Cell<'_>) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    match (left, right) {
        (Cell::Null, Cell::Null) => Ordering::Equal,
        (Cell::Null, _) => Ordering::Less,
        (_, Cell::Null) => Ordering::Greater,
        (Cell::Bool(l), Cell::Bool(r)) => l.cmp(r),
        (Cell::Int(l), Cell::Int(r)) => l.cmp(r),
        (Cell::Float(l), Cell::Float(r)) => l.total_cmp(r),
        (Cell::Text(l), Cell::Text(r)) => l.cmp(r),
        (Cell::List(l), Cell::List(r)) => {
            l.iter().zip(r).map(|(l, r)| cell_order(l, r)).find(|o| o.is_ne()).unwrap_or_else(|| l.len().cmp(&r.len()))
        }
        _ => Ordering::Equal,
    }
}

fn fields(kind: &'static Kind, names: &[&str]) -> Result<Vec<&'static Field>, ApiError> {
    for name in names {
        if kind.field(name).is_none() {
            return Err(ApiError::bad(format!("no such field '{name}'")));
        }
    }
    let mut chosen: Vec<&'static Field> =
        kind.fields.iter().filter(|field| names.is_empty() || names.contains(&field.name)).collect();
    chosen.sort_by_key(|field| field.name);
    Ok(chosen)
}

fn view(names: &[&str]) -> View {
    if names.is_empty() {
        View::Plain
    } else if names.contains(&"*") {
        View::All
    } else {
        View::Named(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

/// The first value counts.
fn number(values: &[&str], name: &str) -> Result<Option<i64>, ApiError> {
    values.first().map(|text| text.trim().parse().map_err(|_| ApiError::bad(format!("invalid {name}")))).transpose()
}

fn order_key(kind: &'static Kind, text: &str) -> Result<OrderKey, ApiError> {
    let (descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
    let field = kind.field(name).ok_or_else(|| ApiError::bad(format!("no such field '{name}'")))?;
    if matches!(field.kind, Type::Json | Type::Props | Type::Inner(_) | Type::Inners(_)) {
        return Err(ApiError::bad(format!("cannot order by '{name}': its values have no order")));
    }
    Ok(OrderKey { field: field.name, descending })
}

fn filter(kind: &'static Kind, shape: Shape, param: &str, values: &[&str]) -> Result<Option<Filter>, ApiError> {
    let (field, op) = match (kind.field(param), param.rsplit_once("__")) {
        (Some(field), _) => (field, Op::Eq),
        (None, Some((name, op))) => match (kind.field(name), operator(op)) {
            (Some(field), Some(op)) => (field, op),
            // Dashboards written for other versions send these. They have always been ignored silently.
            _ => return Ok(None),
        },
        (None, None) => return Err(ApiError::bad(unrecognized(kind, param))),
    };
    if shape == Shape::One {
        return Err(ApiError::bad("this is not a collection"));
    }
    let refuse = || ApiError::bad(format!("invalid filter value for {param}"));
    let values: Vec<FilterValue> =
        values.iter().map(|text| wanted(field.kind, text).ok_or_else(refuse)).collect::<Result<_, _>>()?;
    let compares = matches!(op, Op::Lt | Op::Le | Op::Gt | Op::Ge);
    Ok((!compares || values.len() == 1).then_some(Filter { field: field.name, op, values }))
}

fn unrecognized(kind: &Kind, param: &str) -> String {
    let fields = kind.fields.iter().map(|field| field.name).chain(["field", "order", "limit", "offset", "property"]);
    match nearest(param, fields.clone()) {
        Some(near) => format!("unrecognized query parameter '{param}': did you mean '{near}'?"),
        None => format!("unrecognized query parameter '{param}': known are {}", fields.collect::<Vec<_>>().join(", ")),
    }
}

fn operator(text: &str) -> Option<Op> {
    Some(match text {
        "eq" | "in" => Op::Eq,
        "ne" | "notin" => Op::Ne,
        "lt" => Op::Lt,
        "le" => Op::Le,
        "gt" => Op::Gt,
        "ge" => Op::Ge,
        "contains" => Op::Contains,
        _ => return None,
    })
}

fn wanted(kind: Type, text: &str) -> Option<FilterValue> {
    match kind {
        Type::Int | Type::Time | Type::Ints => text.trim().parse().ok().map(FilterValue::Int),
        Type::Bool => match text.to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" => Some(FilterValue::Bool(true)),
            "off" | "false" | "no" | "0" => Some(FilterValue::Bool(false)),
            _ => None,
        },
        Type::Ident | Type::Text | Type::Texts => Some(FilterValue::Text(text.to_owned())),
        Type::Binary | Type::Json | Type::Props | Type::Inner(_) | Type::Inners(_) => None,
    }
}

/// Whether a text is an identifier, which can be part of a path.
pub fn is_ident(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '-'))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn equal(cell: &Cell<'_>, wanted: &FilterValue) -> bool {
    match (cell, wanted) {
        (Cell::Bool(l), FilterValue::Bool(r)) => l == r,
        (Cell::Int(l), FilterValue::Int(r)) => l == r,
        (Cell::Text(l), FilterValue::Text(r)) => l == r,
        _ => false,
    }
}

fn compare(cell: &Cell<'_>, wanted: &FilterValue) -> Option<std::cmp::Ordering> {
    match (cell, wanted) {
        (Cell::Bool(l), FilterValue::Bool(r)) => Some(l.cmp(r)),
        (Cell::Int(l), FilterValue::Int(r)) => Some(l.cmp(r)),
        (Cell::Text(l), FilterValue::Text(r)) => Some(l.as_ref().cmp(r.as_str())),
        _ => None,
    }
}

fn contains(cell: &Cell<'_>, wanted: &FilterValue, paged: bool) -> bool {
    match (cell, wanted) {
        (Cell::List(items), wanted) => items.iter().any(|item| equal(item, wanted)),
        (Cell::Text(text), FilterValue::Text(part)) if paged => {
            text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
        }
        (Cell::Text(text), FilterValue::Text(part)) => text.contains(part.as_str()),
        _ => false,
    }
}

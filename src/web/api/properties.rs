//! Properties: as one object (`…/properties`) and as a list (`…/property_list`).

use super::ask::{Answered, Ask};
use super::cell::{Cell, to_json};
use super::kind::{Column, Kind, Resource, Type, fields, is};
use super::query::{Query, Shape};
use crate::model::{Properties, Property};

/// The one object; it has no fields of its own.
pub static PROPERTIES: Kind = Kind { name: "sourcedproperties", plural: "properties", fields: &[], paged: false };

const COLUMNS: &[Column<PropertyRow>] = &[
    is("name", Type::Text, |row, _| Cell::from(row.name.as_str())),
    is("source", Type::Text, |row, _| Cell::from(row.property.source.as_str())),
    is("value", Type::Text, |row, _| Cell::from(to_json(&Cell::value(&row.property.value)))),
];

pub static PROPERTY: Kind =
    Kind { name: "_property", plural: "_properties", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: true };

/// One property of a list.
#[derive(Clone, Debug)]
pub struct PropertyRow {
    name: String,
    property: Property,
}

impl Resource for PropertyRow {
    const KIND: &'static Kind = &PROPERTY;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn of_build(ask: &mut Ask<'_>) -> Answered {
    let properties = ask.parent_build()?.map(|build| build.properties);
    object(ask, properties)
}

pub fn of_buildset(ask: &mut Ask<'_>) -> Answered {
    let properties = ask.buildset()?.map(|set| set.properties);
    object(ask, properties)
}

pub fn of_request(ask: &mut Ask<'_>) -> Answered {
    let properties = ask.request()?.map(|request| request.properties);
    object(ask, properties)
}

pub fn list_of_build(ask: &mut Ask<'_>) -> Answered {
    let properties = ask.parent_build()?.map(|build| build.properties);
    list(ask, properties)
}

pub fn list_of_buildset(ask: &mut Ask<'_>) -> Answered {
    let properties = ask.buildset()?.map(|set| set.properties);
    list(ask, properties)
}

pub fn list_of_change(ask: &mut Ask<'_>) -> Answered {
    let properties = ask.change()?.map(|change| change.data.properties);
    list(ask, properties)
}

/// An unknown owner has no properties, which is not an error.
fn object(ask: &Ask<'_>, properties: Option<Properties>) -> Answered {
    Query::parse(&PROPERTIES, Shape::One, ask.pairs)?;
    let properties = properties.unwrap_or_default();
    Ok(ask.one_written(&PROPERTIES, |writer| writer.cell(&Cell::properties(&properties))))
}

fn list(ask: &mut Ask<'_>, properties: Option<Properties>) -> Answered {
    let properties = properties.unwrap_or_default().0;
    ask.list(properties.into_iter().map(|(name, property)| PropertyRow { name, property }).collect())
}

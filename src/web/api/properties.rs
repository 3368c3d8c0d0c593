//! Properties: as one object (`…/properties`) and as a list (`…/property_list`).

use super::cell::{Cell, to_json};
use super::kind::{Column, Kind, Resource, Type, fields, is};
use super::query::{Query, Shape};
use super::read_request::{ReadRequest, ReadResult};
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

pub fn of_build(read: &mut ReadRequest<'_>) -> ReadResult {
    let properties = read.parent_build()?.map(|build| build.properties);
    object(read, properties)
}

pub fn of_buildset(read: &mut ReadRequest<'_>) -> ReadResult {
    let properties = read.buildset()?.map(|set| set.properties);
    object(read, properties)
}

pub fn of_request(read: &mut ReadRequest<'_>) -> ReadResult {
    let properties = read.request()?.map(|request| request.properties);
    object(read, properties)
}

pub fn list_of_build(read: &mut ReadRequest<'_>) -> ReadResult {
    let properties = read.parent_build()?.map(|build| build.properties);
    list(read, properties)
}

pub fn list_of_buildset(read: &mut ReadRequest<'_>) -> ReadResult {
    let properties = read.buildset()?.map(|set| set.properties);
    list(read, properties)
}

pub fn list_of_change(read: &mut ReadRequest<'_>) -> ReadResult {
    let properties = read.change()?.map(|change| change.data.properties);
    list(read, properties)
}

/// An unknown owner has no properties, which is not an error.
fn object(read: &ReadRequest<'_>, properties: Option<Properties>) -> ReadResult {
    Query::parse(&PROPERTIES, Shape::One, read.pairs)?;
    let properties = properties.unwrap_or_default();
    Ok(read.one_written(&PROPERTIES, |writer| writer.cell(&Cell::properties(&properties))))
}

fn list(read: &mut ReadRequest<'_>, properties: Option<Properties>) -> ReadResult {
    let properties = properties.unwrap_or_default().0;
    read.list(properties.into_iter().map(|(name, property)| PropertyRow { name, property }).collect())
}

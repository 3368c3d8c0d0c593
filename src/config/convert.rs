//! Between Starlark's values and the model's.

use std::collections::BTreeMap;

use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::float::StarlarkFloat;
use starlark::values::list::{AllocList, ListRef};
use starlark::values::structs::StructRef;
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, UnpackValue, Value as Star, ValueLike};

use super::marks::plain;
use super::template::Template;
use super::values::secret::TextValue;
use crate::model::{Text, Value};

/// Depth of nesting of values that leave a script: deeper ones are a mistake, and would exhaust the stack.
const DEPTH_MAX: usize = 64;

/// The model's form of plain data; what is wrong with it otherwise.
pub(super) fn to_model(value: Star<'_>) -> Result<Value, String> {
    deep(value, 0)
}

fn deep(value: Star<'_>, depth: usize) -> Result<Value, String> {
    if depth > DEPTH_MAX {
        return Err(format!("is nested more than {DEPTH_MAX} deep"));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Some(yes) = value.unpack_bool() {
        return Ok(Value::Bool(yes));
    }
    if let Some(text) = value.unpack_str() {
        return plain(text).map(|text| Value::Str(text.to_owned()));
    }
    if value.get_type() == "int" {
        let number = i64::unpack_value(value).ok().flatten();
        return number.map(Value::Int).ok_or_else(|| format!("is too large a number: {value}"));
    }
    if let Some(number) = value.downcast_ref::<StarlarkFloat>() {
        return Ok(Value::Float(number.0));
    }
    if let Some(items) = items_of(value) {
        return items.iter().map(|item| deep(*item, depth + 1)).collect::<Result<_, _>>().map(Value::List);
    }
    if let Some(entries) = DictRef::from_value(value) {
        let entries = entries.iter().map(|(key, value)| {
            let key = key.unpack_str().ok_or_else(|| format!("has a key that is not a text: {key}"))?;
            Ok((key.to_owned(), deep(value, depth + 1)?))
        });
        return entries.collect::<Result<_, String>>().map(Value::Map);
    }
    if let Some(fields) = StructRef::from_value(value) {
        let fields = fields.iter().map(|(name, value)| Ok((name.as_str().to_owned(), deep(value, depth + 1)?)));
        return fields.collect::<Result<_, String>>().map(Value::Map);
    }
    Err(format!("is of type `{}`, which is not plain data", value.get_type()))
}

/// The elements of a list or tuple.
pub(super) fn items_of(value: Star<'_>) -> Option<&[Star<'_>]> {
    ListRef::from_value(value).map(ListRef::content).or_else(|| TupleRef::from_value(value).map(TupleRef::content))
}

/// A text that may hold secrets.
pub(super) fn to_text(value: Star<'_>) -> Result<Text, String> {
    if let Some(text) = value.downcast_ref::<TextValue>() {
        return Ok(text.0.clone());
    }
    if Template::from_value(value).is_some() {
        return Err("depends on the build, and is needed before there is one: a template cannot stand here".to_owned());
    }
    match value.unpack_str() {
        Some(text) => plain(text).map(Text::plain),
        None => Err(format!("must be a text, not {}", kind_of(value))),
    }
}

/// The type of a value, in words.
pub(super) fn kind_of(value: Star<'_>) -> String {
    match value.get_type() {
        "NoneType" => "None".to_owned(),
        "string" => "a text".to_owned(),
        "int" => format!("the number {value}"),
        "float" => format!("the number {value}"),
        "bool" => value.to_string(),
        "list" => "a list".to_owned(),
        "dict" => "a dict".to_owned(),
        "tuple" => "a tuple".to_owned(),
        "struct" => "a record".to_owned(),
        "function" | "native_function" => "a function".to_owned(),
        "template" => "a template".to_owned(),
        "secret_text" => "a secret".to_owned(),
        "step" => "a step".to_owned(),
        "result" => "the result of a command".to_owned(),
        other => format!("a value of type `{other}`"),
    }
}

/// Starlark's form of plain data.
pub(super) fn to_starlark<'v>(value: &Value, heap: Heap<'v>) -> Star<'v> {
    match value {
        Value::Null => Star::new_none(),
        Value::Bool(yes) => Star::new_bool(*yes),
        Value::Int(number) => heap.alloc(*number),
        Value::Float(number) => heap.alloc(*number),
        Value::Str(text) => heap.alloc(text.as_str()),
        Value::List(items) => heap.alloc(AllocList(items.iter().map(|item| to_starlark(item, heap)))),
        Value::Map(entries) => map_to_starlark(entries, heap),
    }
}

fn map_to_starlark<'v>(entries: &BTreeMap<String, Value>, heap: Heap<'v>) -> Star<'v> {
    heap.alloc(AllocDict(entries.iter().map(|(key, value)| (key.as_str(), to_starlark(value, heap)))))
}

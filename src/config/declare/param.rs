//! `param`: a field of a force scheduler's form.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;

use super::super::args::Call;
use super::super::signature::{Native, optional, required};
use super::super::values::filter::ParamValue;
use crate::model::{ForceParam, ForceParamKind, Value};

pub(super) static PARAM: Native = Native {
    name: "param",
    doc: "Declares a field of a force scheduler's form. Its value becomes a property of the build.",
    example: "load(\"@stdlib//schedulers.star\", \"force\")\nlevel = param(\"level\", \"choice\", choices = [\"quick\", \"full\"])",
    positional: 2,
    kinds: &[],
    params: &[
        required("name", "text", "The property that it sets."),
        optional("kind", "\"text\", \"textarea\", \"int\", \"bool\", \"choice\" or \"fixed\"", "\"text\"", "Its type."),
        optional("label", "text", "the name", "The text beside the field."),
        optional("tooltip", "text", "\"\"", "A longer explanation."),
        optional("default", "plain data", "by the type", "Its default value."),
        optional("required", "bool", "False", "The field must not be left empty."),
        optional("multiple", "bool", "False", "The field accepts several values; the property is a list."),
        optional("regex", "regular expression", "None", "A pattern that the value must match from its start."),
        optional("length_max", "whole number", "None", "Maximum number of characters."),
        optional("hidden", "bool", "False", "The form does not show the field."),
        optional("rows", "whole number", "8", "Height of a text area."),
        optional("columns", "whole number", "80", "Width of a text area."),
        optional("choices", "list of text", "[]", "The values to choose from."),
        optional("strict", "bool", "True", "Whether only the values in `choices` are accepted."),
    ],
};

/// The word of a kind.
const KINDS: [(&str, u8); 6] = [("text", 0), ("textarea", 1), ("int", 2), ("bool", 3), ("choice", 4), ("fixed", 5)];

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn param<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<ParamValue> {
        let mut call = Call::open(&PARAM, args, eval)?;
        let name = call.subject("parameter");
        let kind = kind(&call);
        let multiple = call.boolean("multiple", false);
        let default = default(&call, &kind, multiple);
        Ok(ParamValue(ForceParam {
            label: call.string("label").unwrap_or_else(|| name.clone()),
            name,
            tooltip: call.string("tooltip").unwrap_or_default(),
            kind,
            default,
            required: call.boolean("required", false),
            multiple,
            regex: call.regex("regex"),
            length_max: call.count_of("length_max", 1),
            hidden: call.boolean("hidden", false),
        }))
    }
}

fn kind(call: &Call<'_, '_, '_, '_, '_>) -> ForceParamKind {
    let word = call.word("kind", &KINDS).unwrap_or(0);
    let size = |name, usual| call.count_of(name, 1).unwrap_or(usual);
    match word {
        1 => ForceParamKind::TextArea { rows: size("rows", 8), columns: size("columns", 80) },
        2 => ForceParamKind::Int,
        3 => ForceParamKind::Bool,
        4 => {
            let choices = call.some_strings("choices");
            if call.value("choices").is_none() {
                call.wrong("kind", "\"choice\" needs `choices`", None);
            }
            ForceParamKind::Choice { choices, strict: call.boolean("strict", true) }
        }
        5 => ForceParamKind::Fixed,
        _ => ForceParamKind::Text,
    }
}

fn default(call: &Call<'_, '_, '_, '_, '_>, kind: &ForceParamKind, multiple: bool) -> Value {
    let Some(given) = call.data("default") else {
        return if multiple { Value::List(Vec::new()) } else { usual(kind) };
    };
    let fits = |value: &Value| match (kind, value) {
        (ForceParamKind::Int, Value::Int(_)) | (ForceParamKind::Bool, Value::Bool(_)) | (ForceParamKind::Fixed, _) => {
            true
        }
        (ForceParamKind::Choice { choices, strict }, Value::Str(text)) => !strict || choices.contains(text),
        (ForceParamKind::Text | ForceParamKind::TextArea { .. }, Value::Str(_)) => true,
        _ => false,
    };
    let right = match &given {
        Value::List(items) if multiple => items.iter().all(fits),
        one => fits(one) && !multiple,
    };
    if !right {
        let hint = match kind {
            ForceParamKind::Choice { choices, .. } => Some(format!("the choices are: {}", choices.join(", "))),
            _ if multiple => Some("it is a list, because of `multiple`".to_owned()),
            _ => None,
        };
        call.wrong("default", &format!("does not fit: {given}"), hint);
    }
    given
}

fn usual(kind: &ForceParamKind) -> Value {
    match kind {
        ForceParamKind::Int => Value::Int(0),
        ForceParamKind::Bool => Value::Bool(false),
        ForceParamKind::Choice { choices, .. } => choices.first().map_or(Value::Null, |first| first.as_str().into()),
        ForceParamKind::Text | ForceParamKind::TextArea { .. } | ForceParamKind::Fixed => "".into(),
    }
}

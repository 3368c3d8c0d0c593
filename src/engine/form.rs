//! The form of a force scheduler: what a person gave becomes properties, or errors for all fields at once.

use std::collections::BTreeMap;

use regex::Regex;

use crate::model::{ForceParam, ForceParamKind, Value, check_property};

/// What is wrong, by field.
pub(super) type Errors = BTreeMap<String, String>;

/// The values of all parameters, or what is wrong with each. Parameters that the form does not have are left out.
pub(super) fn read(params: &[ForceParam], given: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Errors> {
    let (mut values, mut errors) = (BTreeMap::new(), Errors::new());
    for param in params {
        match read_param(param, given.get(&param.name)) {
            Ok(value) => {
                values.insert(param.name.clone(), value);
            }
            Err(error) => {
                errors.insert(param.name.clone(), error);
            }
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

fn read_param(param: &ForceParam, given: Option<&Value>) -> Result<Value, String> {
    if param.kind == ForceParamKind::Fixed {
        return Ok(param.default.clone());
    }
    let items: Vec<Value> = match given {
        Some(Value::List(items)) => items.iter().filter(|item| !is_blank(item)).cloned().collect(),
        Some(value) if !is_blank(value) => vec![value.clone()],
        Some(_) | None => Vec::new(),
    };
    if items.is_empty() {
        // An unticked box is an answer.
        return match (&param.kind, param.required) {
            (ForceParamKind::Bool, _) => Ok(given.map_or_else(|| param.default.clone(), |_| Value::Bool(false))),
            (_, true) => Err(format!("'{}' needs to be specified", param.label)),
            (_, false) => Ok(param.default.clone()),
        };
    }
    let values: Result<Vec<Value>, String> = items.iter().map(|item| read_item(param, item)).collect();
    let mut values = values?;
    match (param.multiple, values.pop()) {
        (true, last) => {
            values.extend(last);
            Ok(Value::List(values))
        }
        (false, Some(last)) if values.is_empty() => Ok(last),
        (false, _) => Err(format!("'{}' takes one value, not several", param.label)),
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Str(text) => text.trim().is_empty(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => false,
    }
}

fn read_item(param: &ForceParam, item: &Value) -> Result<Value, String> {
    let label = &param.label;
    let text = item.to_string();
    if let Some(pattern) = &param.regex {
        let regex = Regex::new(&format!("^(?:{pattern})")).map_err(|error| format!("'{label}': {error}"))?;
        if !regex.is_match(&text) {
            return Err(format!("'{label}': `{text}` does not match the pattern `{pattern}`"));
        }
    }
    let length = text.chars().count();
    if let Some(max) = param.length_max.filter(|max| usize::try_from(*max).is_ok_and(|max| length > max)) {
        return Err(format!("'{label}' is {length} characters long, at most {max} are allowed"));
    }
    if let Err(why) = check_property(&param.name, item, 0) {
        return Err(format!("'{label}' {why}"));
    }
    match &param.kind {
        ForceParamKind::Text | ForceParamKind::TextArea { .. } | ForceParamKind::Fixed => Ok(Value::Str(text)),
        ForceParamKind::Int => match item {
            Value::Int(number) => Ok(Value::Int(*number)),
            _ => text.trim().parse().map(Value::Int).map_err(|_| format!("'{label}': `{text}` is no whole number")),
        },
        // The command line has only texts.
        ForceParamKind::Bool => Ok(Value::Bool(*item == Value::Bool(true) || text.eq_ignore_ascii_case("true"))),
        ForceParamKind::Choice { choices, strict } => {
            if *strict && !choices.contains(&text) {
                return Err(format!("'{label}': `{text}` is none of {}", in_quotes(choices)));
            }
            Ok(Value::Str(text))
        }
    }
}

fn in_quotes(choices: &[String]) -> String {
    choices.iter().map(|choice| format!("`{choice}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &str, kind: ForceParamKind) -> ForceParam {
        ForceParam {
            name: name.into(),
            label: format!("The {name}"),
            tooltip: String::new(),
            kind,
            default: Value::Null,
            required: false,
            multiple: false,
            regex: None,
            length_max: None,
            hidden: false,
        }
    }

    fn read_one(param: &ForceParam, value: Value) -> Result<Value, String> {
        read(std::slice::from_ref(param), &BTreeMap::from([(param.name.clone(), value)]))
            .map(|mut values| values.remove(&param.name).unwrap())
            .map_err(|mut errors| errors.remove(&param.name).unwrap())
    }

    #[test]
    fn blank_text_is_the_default_unless_it_is_required() {
        let mut level = param("level", ForceParamKind::Text);
        level.default = "low".into();
        assert_eq!(read_one(&level, "  ".into()), Ok("low".into()));
        assert_eq!(read_one(&level, Value::Null), Ok("low".into()));
        level.required = true;
        assert_eq!(read_one(&level, "".into()), Err("'The level' needs to be specified".into()));
    }

    #[test]
    fn whole_numbers_may_be_decimal_text() {
        let count = param("count", ForceParamKind::Int);
        assert_eq!(read_one(&count, Value::Int(5)), Ok(Value::Int(5)));
        assert_eq!(read_one(&count, " 7 ".into()), Ok(Value::Int(7)));
        assert!(read_one(&count, "seven".into()).unwrap_err().contains("`seven`"));
    }

    #[test]
    fn a_choice_is_strict_or_free_and_single_or_multiple() {
        let choices = vec!["a".to_owned(), "b".to_owned()];
        let mut choice = param("c", ForceParamKind::Choice { choices: choices.clone(), strict: true });
        assert_eq!(read_one(&choice, "a".into()), Ok("a".into()));
        assert!(read_one(&choice, "x".into()).unwrap_err().contains("`a`, `b`"));
        assert!(read_one(&choice, Value::List(vec!["a".into(), "b".into()])).is_err());
        choice.multiple = true;
        let both = Value::List(vec!["a".into(), "b".into()]);
        assert_eq!(read_one(&choice, both.clone()), Ok(both));
        choice.kind = ForceParamKind::Choice { choices, strict: false };
        assert_eq!(read_one(&choice, "x".into()), Ok(Value::List(vec!["x".into()])));
    }

    #[test]
    fn a_box_is_ticked_by_true_only_and_a_fixed_value_cannot_be_changed() {
        let tick = param("t", ForceParamKind::Bool);
        assert_eq!(read_one(&tick, Value::Bool(true)), Ok(Value::Bool(true)));
        assert_eq!(read_one(&tick, "yes".into()), Ok(Value::Bool(false)));
        let mut fixed = param("f", ForceParamKind::Fixed);
        fixed.default = "as is".into();
        assert_eq!(read_one(&fixed, "other".into()), Ok("as is".into()));
    }

    #[test]
    fn patterns_and_lengths_are_checked_and_all_errors_told_together() {
        let mut word = param("word", ForceParamKind::Text);
        word.regex = Some("[a-z]+$".into());
        let mut short = param("short", ForceParamKind::Text);
        short.length_max = Some(3);
        let given = BTreeMap::from([("word".to_owned(), "A1".into()), ("short".to_owned(), "four".into())]);
        let errors = read(&[word, short], &given).unwrap_err();
        assert!(errors["word"].contains("[a-z]+$"), "{errors:?}");
        assert!(errors["short"].contains("at most 3"), "{errors:?}");
    }
}

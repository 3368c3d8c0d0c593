//! The form of a force scheduler: what a person gave becomes properties, or errors for all fields at once.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use crate::base::nearest;
use crate::model::{
    BuilderPlan, ForceParam, ForceParamKind, Plan, SchedulerPlan, StampSpec, Value, check_property, full_name,
};

/// Letters of a wrong value that a message repeats.
const SHOWN_MAX: usize = 60;

/// What is wrong, by field.
pub(super) type Errors = BTreeMap<String, String>;

/// Words that tick a box, and words that do not.
const YES: [&str; 4] = ["true", "yes", "on", "1"];
const NO: [&str; 4] = ["false", "no", "off", "0"];

/// What a form's answers came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Answers {
    pub values: BTreeMap<String, Value>,
    pub priority: Option<i64>,
}

/// The values of all parameters and the priority, or what is wrong with each. This is the one judge of a form, whoever
/// fills it in: a browser, a script, the command line.
pub(super) fn read(
    params: &[ForceParam],
    given: &BTreeMap<String, Value>,
    priority: Option<&Value>,
) -> Result<Answers, Errors> {
    let (mut answers, mut errors) = (Answers::default(), unknown_fields(params, given));
    for param in params {
        match read_param(param, given.get(&param.name)) {
            Ok(value) => {
                answers.values.insert(param.name.clone(), value);
            }
            Err(error) => {
                errors.insert(param.name.clone(), error);
            }
        }
    }
    match read_priority(priority) {
        Ok(priority) => answers.priority = priority,
        Err(error) => drop(errors.insert("priority".to_owned(), error)),
    }
    if errors.is_empty() { Ok(answers) } else { Err(errors) }
}

/// The branches and revisions that would have no effect because no step of the builders uses their codebase. Nothing is
/// refused while a builder's codebases are unknown, or if other builders get the sources afterwards.
pub(super) fn unused_sources(
    plan: &Plan,
    scheduler: &SchedulerPlan,
    builders: &[String],
    stamps: &[StampSpec],
) -> Errors {
    let plans: Vec<&BuilderPlan> = builders.iter().filter_map(|name| plan.builders.get(name)).collect();
    if plans.is_empty() || plan.has_dependents(&scheduler.name) {
        return Errors::new();
    }
    let mut errors = Errors::new();
    let usual = |stamp: &StampSpec| scheduler.codebases.iter().find(|usual| usual.stamp.codebase == stamp.codebase);
    for stamp in stamps.iter().filter(|stamp| plans.iter().all(|builder| builder.ignores(&stamp.codebase))) {
        let usual = usual(stamp).map(|usual| &usual.stamp);
        let fields = [
            ("branch", &stamp.branch, usual.and_then(|usual| usual.branch.as_ref())),
            ("revision", &stamp.revision, usual.and_then(|usual| usual.revision.as_ref())),
        ];
        for (name, given, usual) in fields {
            if given.as_ref().is_some_and(|given| usual != Some(given)) {
                let error = unused_source(scheduler, &plans, &stamp.codebase, name);
                errors.insert(full_name(&stamp.codebase, name), error);
            }
        }
    }
    errors
}

fn unused_source(scheduler: &SchedulerPlan, builders: &[&BuilderPlan], codebase: &str, field: &str) -> String {
    let names = builders.iter().map(|builder| format!("`{}`", builder.name)).collect::<Vec<_>>().join(", ");
    let used: BTreeSet<&str> =
        builders.iter().flat_map(|builder| builder.codebases.iter().map(String::as_str)).collect();
    let is_declared = |name: &&str| scheduler.codebases.iter().any(|known| known.stamp.codebase == **name);
    let declared: Vec<&str> = used.iter().copied().filter(is_declared).collect();
    let give = |codebases: &mut dyn Iterator<Item = &str>| {
        codebases.map(|codebase| format!("`{}`", full_name(codebase, field))).collect::<Vec<_>>().join(" or ")
    };
    let what = format!("the {field} would have no effect: no step of {names} uses the codebase `{codebase}`");
    if !declared.is_empty() {
        return format!("{what}; give {} instead", give(&mut declared.into_iter()));
    }
    let uses = in_quotes(&used.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let write = used.iter().map(|name| format!("\"{name}\": {{}}")).collect::<Vec<_>>().join(", ");
    let give = give(&mut used.into_iter());
    let by = &scheduler.name;
    format!("{what}, but {uses}; write `codebases = {{{write}}}` in force scheduler `{by}`, and give {give}")
}

/// The priority that somebody wants; none as usual.
pub(super) fn read_priority(given: Option<&Value>) -> Result<Option<i64>, String> {
    let given = given.filter(|given| !is_blank(given));
    given
        .map(|given| whole(given).ok_or_else(|| format!("'priority': {} is not a whole number", shown(given))))
        .transpose()
}

fn unknown_fields(params: &[ForceParam], given: &BTreeMap<String, Value>) -> Errors {
    let names = || params.iter().map(|param| param.name.as_str());
    let strangers = given.keys().filter(|name| !names().any(|known| known == name.as_str()));
    let tell = |name: &String| match nearest(name, names()) {
        Some(near) => (name.clone(), format!("the form has no field `{name}`; did you mean `{near}`?")),
        None => (name.clone(), format!("the form has no field `{name}`")),
    };
    strangers.map(tell).collect()
}

fn read_param(param: &ForceParam, given: Option<&Value>) -> Result<Value, String> {
    let label = label(param);
    let items: Vec<Value> = match given {
        Some(Value::List(items)) => items.iter().filter(|item| !is_blank(item)).cloned().collect(),
        Some(value) if !is_blank(value) => vec![value.clone()],
        Some(_) | None => Vec::new(),
    };
    if param.kind == ForceParamKind::Fixed {
        let fixed = items.iter().all(|item| item.to_string() == param.default.to_string());
        return if fixed { Ok(param.default.clone()) } else { Err(format!("'{label}' cannot be changed")) };
    }
    if items.is_empty() {
        // What nobody mentions is as configured; what somebody leaves blank is an answer.
        let mentioned = given.is_some_and(|given| *given != Value::Null);
        return if param.required && (mentioned || is_blank(&param.default)) {
            Err(format!("'{label}' needs to be specified"))
        } else {
            Ok(param.default.clone())
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
        (false, _) => Err(format!("'{label}' takes one value, not several")),
    }
}

/// What people know a parameter by.
fn label(param: &ForceParam) -> &str {
    if param.label.is_empty() { &param.name } else { &param.label }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Str(text) => text.trim().is_empty(),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => false,
    }
}

fn read_item(param: &ForceParam, item: &Value) -> Result<Value, String> {
    let label = label(param);
    if matches!(item, Value::List(_) | Value::Map(_)) {
        return Err(format!("'{label}': {} is not a text, number or truth value", shown(item)));
    }
    let text = item.to_string();
    if let Some(pattern) = &param.regex {
        let regex = Regex::new(&format!("^(?:{pattern})")).map_err(|error| format!("'{label}': {error}"))?;
        if !regex.is_match(&text) {
            return Err(format!("'{label}': {} does not match the pattern `{pattern}`", shown(item)));
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
        ForceParamKind::Int => {
            whole(item).map(Value::Int).ok_or_else(|| format!("'{label}': {} is not a whole number", shown(item)))
        }
        ForceParamKind::Bool => truth(item)
            .map(Value::Bool)
            .ok_or_else(|| format!("'{label}': {} is neither yes nor no; write true or false", shown(item))),
        ForceParamKind::Choice { choices, strict } => {
            if *strict && !choices.contains(&text) {
                return Err(format!("'{label}': {} is none of {}", shown(item), in_quotes(choices)));
            }
            Ok(Value::Str(text))
        }
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Str(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Float(_) | Value::List(_) | Value::Map(_) => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    let word = match value {
        Value::Bool(yes) => return Some(*yes),
        Value::Int(_) | Value::Str(_) => value.to_string().trim().to_ascii_lowercase(),
        Value::Null | Value::Float(_) | Value::List(_) | Value::Map(_) => return None,
    };
    let is_in = |words: [&str; 4]| words.contains(&word.as_str());
    if is_in(YES) { Some(true) } else { is_in(NO).then_some(false) }
}

/// A value in a message, not longer than a line.
fn shown(value: &Value) -> String {
    format!("`{}`", super::words::ellipsized(&value.to_string(), SHOWN_MAX))
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
        read(std::slice::from_ref(param), &BTreeMap::from([(param.name.clone(), value)]), None)
            .map(|mut answers| answers.values.remove(&param.name).unwrap())
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
    fn a_required_parameter_that_nobody_mentions_takes_its_default() {
        let mut version = param("version", ForceParamKind::Text);
        version.required = true;
        let none = BTreeMap::new();
        let errors = read(std::slice::from_ref(&version), &none, None).unwrap_err();
        assert_eq!(errors["version"], "'The version' needs to be specified");
        version.default = "1.0".into();
        assert_eq!(read(&[version], &none, None).unwrap().values["version"], "1.0".into());
    }

    #[test]
    fn a_field_that_the_form_does_not_have_is_refused_with_the_nearest() {
        let version = param("version", ForceParamKind::Text);
        let given = BTreeMap::from([("verison".to_owned(), Value::from("1"))]);
        let errors = read(&[version], &given, None).unwrap_err();
        assert_eq!(errors["verison"], "the form has no field `verison`; did you mean `version`?");
    }

    #[test]
    fn a_priority_is_a_whole_number() {
        assert_eq!(read_priority(None), Ok(None));
        assert_eq!(read_priority(Some(&" ".into())), Ok(None));
        assert_eq!(read_priority(Some(&"-3".into())), Ok(Some(-3)));
        for wrong in [Value::from("nope"), Value::Bool(true), Value::Float(1.5), "99999999999999999999".into()] {
            assert!(read_priority(Some(&wrong)).unwrap_err().contains("whole number"), "{wrong:?}");
        }
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
    fn a_box_takes_words_for_yes_and_no_and_nothing_else() {
        let tick = param("t", ForceParamKind::Bool);
        for yes in [Value::Bool(true), Value::Int(1), "yes".into(), "On".into(), " TRUE ".into(), "1".into()] {
            assert_eq!(read_one(&tick, yes.clone()), Ok(Value::Bool(true)), "{yes:?}");
        }
        for no in [Value::Bool(false), Value::Int(0), "no".into(), "off".into(), "False".into(), "0".into()] {
            assert_eq!(read_one(&tick, no.clone()), Ok(Value::Bool(false)), "{no:?}");
        }
        for wrong in [Value::from("maybe"), Value::Int(2), Value::Float(1.0), "y".into(), Value::Map(BTreeMap::new())] {
            assert!(read_one(&tick, wrong.clone()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_fixed_value_cannot_be_changed() {
        let mut fixed = param("f", ForceParamKind::Fixed);
        fixed.default = "as is".into();
        assert_eq!(read_one(&fixed, "as is".into()), Ok("as is".into()));
        assert_eq!(read_one(&fixed, "".into()), Ok("as is".into()));
        assert_eq!(read_one(&fixed, "other".into()), Err("'The f' cannot be changed".into()));
    }

    #[test]
    fn a_text_is_not_a_list_or_map() {
        let word = param("w", ForceParamKind::Text);
        assert_eq!(read_one(&word, Value::Int(7)), Ok("7".into()));
        assert!(read_one(&word, Value::Map(BTreeMap::new())).is_err());
        assert!(read_one(&word, Value::List(vec![Value::List(vec!["a".into()])])).is_err());
    }

    #[test]
    fn patterns_and_lengths_are_checked_and_all_errors_told_together() {
        let mut word = param("word", ForceParamKind::Text);
        word.regex = Some("[a-z]+$".into());
        let mut short = param("short", ForceParamKind::Text);
        short.length_max = Some(3);
        let given = BTreeMap::from([("word".to_owned(), "A1".into()), ("short".to_owned(), "four".into())]);
        let errors = read(&[word, short], &given, Some(&"high".into())).unwrap_err();
        assert!(errors["word"].contains("[a-z]+$"), "{errors:?}");
        assert!(errors["short"].contains("at most 3"), "{errors:?}");
        assert!(errors["priority"].contains("`high`"), "{errors:?}");
    }
}

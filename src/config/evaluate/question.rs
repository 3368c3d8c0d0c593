//! Questions of the engine and templates of messages: short calls of user functions without a build.

use starlark::environment::Module;
use starlark::eval::Evaluator;
use starlark::values::list::AllocList;
use starlark::values::structs::StructRef;
use starlark::values::{Heap, UnpackValue as _, Value as Star};

use super::super::check::{CHANGE, Field, OBJECT, REQUEST, USER, WORKER};
use super::super::convert::{kind_of, to_model, to_starlark};
use super::super::fault::problem_of;
use super::super::limits::QUESTION;
use super::super::scripts::{Cancel, Scripts};
use super::super::template::{Template, message_text};
use super::{Printer, facts};
use crate::model::{FnId, Question, ScriptError, Value, check_property};

/// Asks a user function.
pub(in crate::config) fn decide(scripts: &Scripts, function: FnId, question: &Question) -> Result<Value, ScriptError> {
    call(scripts, function, |heap| arguments(question, heap), |answer| answer_of(question, answer))
        .map_err(|error| with_fields(question, error))
}

/// Says what the records have, if the function wanted something else of them.
fn with_fields(question: &Question, error: ScriptError) -> ScriptError {
    if !error.message.contains("has no attribute") {
        return error;
    }
    let records: &[(&str, &[Field])] = match question {
        Question::Filter(_) | Question::Important(_) | Question::Properties { .. } => &[("change", &CHANGE)],
        Question::Collapse { .. } | Question::NextBuild { .. } => &[("request", &REQUEST)],
        Question::NextWorker { .. } | Question::CanStart { .. } => &[("worker", &WORKER), ("request", &REQUEST)],
        Question::Rights { .. } => &[("user", &USER), ("object", &OBJECT)],
        Question::Priority { .. } => &[],
    };
    let list = |(name, fields): &(&str, &[Field])| {
        let fields: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
        format!("\n`{name}` has: {}", fields.join(", "))
    };
    let lists: String = records.iter().map(list).collect();
    ScriptError { message: format!("{}{lists}", error.message) }
}

/// Has a function make plain data of plain data.
pub(in crate::config) fn compute(scripts: &Scripts, function: FnId, facts: &Value) -> Result<Value, ScriptError> {
    let read = |answer: Star<'_>| to_model(answer).map_err(|why| format!("what it returns {why}"));
    call(scripts, function, |heap| vec![to_starlark(facts, heap)], read)
}

/// Asks a template for its text.
pub(in crate::config) fn render(scripts: &Scripts, function: FnId, facts: &Value) -> Result<String, ScriptError> {
    call(
        scripts,
        function,
        |heap| vec![to_starlark(facts, heap)],
        |answer| match answer.unpack_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("a template must return a text, not {}", kind_of(answer))),
        },
    )
}

fn call<T>(
    scripts: &Scripts,
    function: FnId,
    arguments: impl for<'v> FnOnce(Heap<'v>) -> Vec<Star<'v>>,
    read: impl for<'v> FnOnce(Star<'v>) -> Result<T, String>,
) -> Result<T, ScriptError> {
    let missing = || ScriptError { message: format!("the configuration has no function {function}") };
    let function = scripts.function(function).ok_or_else(missing)?;
    Module::with_temp_heap(|module| {
        let mut eval = Evaluator::new(&module);
        QUESTION.apply(&mut eval, Cancel::default());
        eval.set_print_handler(&Printer);
        let heap = module.heap();
        let arguments = arguments(heap);
        let function = heap.access_owned_frozen_value(function);
        let answer = match (Template::from_value(function), arguments.first()) {
            (Some(template), Some(facts)) => {
                message_text(template, *facts, &mut eval).map(|text| heap.alloc(text.masked()))
            }
            _ => eval.eval_function(function, &arguments, &[]),
        };
        let answer = answer.map_err(|error| {
            let problem = problem_of(&error, QUESTION);
            ScriptError { message: problem.to_string().trim_start_matches("error: ").to_owned() }
        })?;
        read(answer).map_err(|why| {
            let name = function.function_name().unwrap_or("the function");
            ScriptError { message: format!("`{name}`: {why}") }
        })
    })
}

fn arguments<'v>(question: &Question, heap: Heap<'v>) -> Vec<Star<'v>> {
    let text = |text: &str| heap.alloc(text);
    match question {
        Question::Filter(change) | Question::Important(change) => vec![facts::change(change, heap)],
        Question::Collapse { builder, first, second } => {
            vec![text(builder), facts::request(first, heap), facts::request(second, heap)]
        }
        Question::Priority { builder, properties } => vec![text(builder), facts::properties(properties, heap)],
        Question::NextBuild { builder, requests } => {
            let requests = requests.iter().map(|request| facts::request(request, heap));
            vec![text(builder), heap.alloc(AllocList(requests))]
        }
        Question::NextWorker { builder, workers, request } => {
            let workers = workers.iter().map(|worker| facts::candidate(worker, heap));
            vec![text(builder), heap.alloc(AllocList(workers)), facts::request(request, heap)]
        }
        Question::CanStart { builder, worker, request } => {
            vec![text(builder), facts::candidate(worker, heap), facts::request(request, heap)]
        }
        Question::Properties { of, properties, changes } => {
            let changes = changes.iter().map(|change| facts::change(change, heap));
            vec![text(of), facts::properties(properties, heap), heap.alloc(AllocList(changes))]
        }
        Question::Rights { user, action, object } => {
            vec![facts::user(user, heap), text(action.word()), facts::object(object, user, heap)]
        }
    }
}

/// The answer in the form that the question wants.
fn answer_of(question: &Question, answer: Star<'_>) -> Result<Value, String> {
    match question {
        Question::Filter(_) | Question::Important(_) | Question::Collapse { .. } | Question::CanStart { .. } => answer
            .unpack_bool()
            .map(Value::Bool)
            .ok_or_else(|| format!("must return True or False, not {}", kind_of(answer))),
        Question::Rights { .. } if answer.is_none() => Ok(Value::Null),
        Question::Rights { .. } => answer
            .unpack_bool()
            .map(Value::Bool)
            .ok_or_else(|| format!("must return True, False or None, not {}", kind_of(answer))),
        Question::Priority { .. } => match to_model(answer) {
            Ok(Value::Int(number)) => Ok(Value::Int(number)),
            _ => Err(format!("must return a whole number, not {}", kind_of(answer))),
        },
        Question::NextBuild { requests, .. } => choice(answer, requests.len(), |chosen| {
            let id = i64::unpack_value(field(chosen, "id")?).ok().flatten()?;
            requests.iter().position(|request| i64::try_from(request.id.0) == Ok(id))
        }),
        Question::NextWorker { workers, .. } => choice(answer, workers.len(), |chosen| {
            let name = field(chosen, "name").unwrap_or(chosen).unpack_str()?;
            workers.iter().position(|worker| worker.name == name)
        }),
        Question::Properties { .. } => match to_model(answer)? {
            Value::Map(properties) => {
                let mut bytes = 0;
                for (name, value) in &properties {
                    check_property(name, value, bytes).map_err(|why| format!("property `{name}` {why}"))?;
                    bytes += name.len() + value.bytes();
                }
                Ok(Value::Map(properties))
            }
            Value::Null => Ok(Value::Map(std::collections::BTreeMap::new())),
            _ => Err(format!("must return a dict of properties, not {}", kind_of(answer))),
        },
    }
}

fn field<'v>(record: Star<'v>, name: &str) -> Option<Star<'v>> {
    let fields = StructRef::from_value(record)?;
    fields.iter().find(|(field, _)| field.as_str() == name).map(|(_, value)| value)
}

/// The place of what was chosen: given as such, or as the element itself; null for none.
fn choice(answer: Star<'_>, length: usize, place: impl FnOnce(Star<'_>) -> Option<usize>) -> Result<Value, String> {
    if answer.is_none() {
        return Ok(Value::Null);
    }
    let number = if answer.get_type() == "int" { i64::unpack_value(answer).ok().flatten() } else { None };
    let index = number.and_then(|number| usize::try_from(number).ok()).or_else(|| place(answer));
    match index.filter(|index| *index < length) {
        Some(index) => Ok(Value::Int(i64::try_from(index).unwrap_or(i64::MAX))),
        None => Err(format!("must return one of those it was given, its place, or None; not {}", kind_of(answer))),
    }
}

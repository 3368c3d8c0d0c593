//! What the library's `interpolate` and `resolve` are made of.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::dict::DictRef;
use starlark::values::none::NoneType;
use starlark::values::tuple::UnpackTuple;

use super::author_text::AuthorText;
use super::check::{command_problem, input_problem};
use super::fill::text_of;
use super::parse::{Given, parse};
use super::value::Template;
use crate::config::collect::Collector;
use crate::config::evaluate::line_of;
use crate::config::place::{ArgRef, CallSite};
use crate::config::values::secret::TextValue;

/// Notes a problem at the user's line; in a build, where nobody collects them, it ends the script.
fn note(
    eval: &Evaluator<'_, '_, '_>,
    argument: Option<ArgRef>,
    message: String,
    hint: Option<String>,
) -> anyhow::Result<()> {
    let Some(collector) = Collector::of(eval) else {
        let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
        anyhow::bail!("{message}{hint}");
    };
    let site = CallSite::of_call(eval);
    collector.note(argument.map_or_else(|| site.clone(), |argument| site.at(argument)), message, hint);
    Ok(())
}

#[starlark_module]
pub(in crate::config) fn template_functions(builder: &mut GlobalsBuilder) {
    /// A template of a text and what is given with it.
    fn _template<'v>(
        #[starlark(require = pos)] text: &str,
        #[starlark(require = pos)] positions: UnpackTuple<Value<'v>>,
        #[starlark(require = pos)] names: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Template<'v>> {
        let named: Vec<(String, Value<'v>)> = DictRef::from_value(names)
            .map(|entries| entries.iter().map(|(name, value)| (name.to_str(), value)).collect())
            .unwrap_or_default();
        let given: Vec<String> = named.iter().map(|(name, _)| name.clone()).collect();
        let segments = crate::config::marks::plain(text)
            .map_err(|why| (format!("the template {why}"), None))
            .and_then(|text| parse(text, Given { positions: positions.items.len(), names: &given }));
        let segments = match segments {
            Ok(segments) => segments,
            Err((message, hint)) => {
                note(eval, Some(ArgRef::positional("template", 0)), format!("interpolate: {message}"), hint)?;
                Vec::new()
            }
        };
        if let Some(collector) = Collector::of(eval) {
            secrets(&segments).iter().for_each(|name| collector.name_secret(name));
        }
        let given = positions.items.into_iter().chain(named.into_iter().map(|(_, value)| value)).collect();
        Ok(Template { given, segments })
    }

    /// The text of a template in a build, with nothing quoted.
    fn _text_of<'v>(
        #[starlark(require = pos)] template: Value<'v>,
        #[starlark(require = pos)] ctx: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let Some(found) = Template::from_value(template) else { return Ok(template) };
        let text = text_of(found, ctx, eval)?;
        let secret = text.secrets().next().is_some();
        let heap = eval.heap();
        Ok(if secret { heap.alloc(TextValue(text)) } else { heap.alloc(text.masked()) })
    }

    /// A path of a template in a build; a value from outside that leads out of its directory ends the step.
    fn _path_of<'v>(
        #[starlark(require = pos)] argument: &str,
        #[starlark(require = pos)] path: AuthorText<'v>,
        #[starlark(require = pos)] ctx: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        path.path(argument, ctx, eval)
    }

    /// The line that a shell would get for a command, secrets masked: for tests of library functions.
    fn _line_of<'v>(
        #[starlark(require = pos)] command: Value<'v>,
        #[starlark(require = pos)] ctx: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        line_of(command, ctx, eval)
    }

    /// Reports places of a command that cannot be filled in safely.
    fn _check_command<'v>(
        #[starlark(require = pos)] command: Value<'v>,
        #[starlark(require = pos, default = "command")] argument: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        if let Some((message, hint)) = command_problem(command) {
            note(eval, Some(ArgRef::positional(argument, 0)), message, hint)?;
        }
        Ok(NoneType)
    }

    /// Reports places of a text for the standard input of a command that executes it.
    fn _check_input<'v>(
        #[starlark(require = pos)] command: Value<'v>,
        #[starlark(require = pos)] input: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        if let Some((message, hint)) = input_problem(command, input) {
            note(eval, Some(ArgRef::named("stdin")), message, hint)?;
        }
        Ok(NoneType)
    }
}

/// The secrets that segments name at any depth.
fn secrets(segments: &[super::parse::Segment]) -> Vec<String> {
    use super::parse::{Form, Key, Segment};
    let mut found = Vec::new();
    for segment in segments {
        let Segment::Place(place) = segment else { continue };
        if let Key::Secret(name) = &place.key {
            found.push(name.clone());
        }
        match &place.form {
            Form::Plain => {}
            Form::Or { other, .. } => found.extend(secrets(other)),
            Form::Choice { yes, no, .. } => found.extend([secrets(yes), secrets(no)].concat()),
        }
    }
    found
}

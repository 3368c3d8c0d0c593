//! Looks the values of a template's places up: in a build's `ctx`, or in what a message can tell.

use starlark::eval::Evaluator;
use starlark::values::dict::DictRef;
use starlark::values::list::ListRef;
use starlark::values::{Value, ValueLike as _};

use super::parse::{Form, Key, Segment};
use super::value::Template;
use crate::config::args::is_callable;
use crate::config::shell::Part;
use crate::config::values::secret::TextValue;
use crate::model::{Piece, Text};

/// Templates and functions as values of templates.
const DEPTH_MAX: usize = 8;

/// The parts of a template in a build. `ctx` is the build's, or a stand-in for it.
pub(in crate::config) fn parts_of<'v>(
    template: &Template<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Vec<Part>> {
    filled(template, ctx, Trust::None, eval)
}

/// The same for a path: only what comes from outside is a value. The worker's own words and what the configuration
/// gave as it stands are part of the text.
pub(super) fn path_parts_of<'v>(
    template: &Template<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Vec<Part>> {
    filled(template, ctx, Trust::OwnWords, eval)
}

fn filled<'v>(
    template: &Template<'v>,
    ctx: Value<'v>,
    trust: Trust,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Vec<Part>> {
    let mut filler = Filler { from: ctx, eval, depth: 0, trust, parts: Vec::new() };
    filler.segments(&template.segments, &template.given)?;
    Ok(filler.parts)
}

/// The text of a template in a build: nothing is quoted.
pub(in crate::config) fn text_of<'v>(
    template: &Template<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Text> {
    Ok(text_of_parts(parts_of(template, ctx, eval)?))
}

/// The text of a template in a message; `facts` is what the message can tell.
pub(in crate::config) fn message_text<'v>(
    template: &Template<'v>,
    facts: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Text> {
    text_of(template, facts, eval)
}

/// The parts one after the other.
pub(in crate::config) fn text_of_parts(parts: Vec<Part>) -> Text {
    let mut pieces: Vec<Piece> = Vec::new();
    for part in parts {
        let added = match part {
            Part::Syntax(text) => vec![Piece::Plain(text)],
            Part::Value { value, .. } => value.0,
        };
        for piece in added {
            match (pieces.last_mut(), piece) {
                (Some(Piece::Plain(before)), Piece::Plain(text)) => before.push_str(&text),
                (_, piece) => pieces.push(piece),
            }
        }
    }
    Text(pieces)
}

/// Which values count as the configuration's own text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    None,
    OwnWords,
}

struct Filler<'v, 'r, 'a, 'e> {
    from: Value<'v>,
    eval: &'r mut Evaluator<'v, 'a, 'e>,
    depth: usize,
    trust: Trust,
    parts: Vec<Part>,
}

impl<'v> Filler<'v, '_, '_, '_> {
    fn segments(&mut self, segments: &[Segment], given: &[Value<'v>]) -> starlark::Result<()> {
        for segment in segments {
            match segment {
                Segment::Text(text) => self.parts.push(Part::Syntax(text.clone())),
                Segment::Place(place) => self.place(&place.key, &place.form, &place.written, given)?,
            }
        }
        Ok(())
    }

    fn place(&mut self, key: &Key, form: &Form, written: &str, given: &[Value<'v>]) -> starlark::Result<()> {
        let value = match key {
            Key::Given(number) => self.called(given[*number], written)?,
            key => self.found(key)?,
        };
        let is_true = |by_truth: bool| value.is_some_and(|value| !by_truth || value.to_bool());
        match form {
            Form::Or { other, by_truth } if !is_true(*by_truth) => return self.segments(other, given),
            Form::Choice { yes, no, by_truth } => {
                return self.segments(if is_true(*by_truth) { yes } else { no }, given);
            }
            Form::Plain | Form::Or { .. } => {}
        }
        let value = self.shown(value, written)?;
        let is_own = match key {
            Key::Worker(_) => true,
            Key::Given(number) => given[*number].unpack_str().is_some(),
            Key::Property(_) | Key::Stamp { .. } | Key::Build(_) | Key::Secret(_) => false,
        };
        self.parts.push(match self.trust {
            Trust::OwnWords if is_own => Part::Syntax(value.masked()),
            Trust::OwnWords | Trust::None => Part::Value { value, place: written.to_owned() },
        });
        Ok(())
    }

    /// A given value; functions are called.
    fn called(&mut self, value: Value<'v>, written: &str) -> starlark::Result<Option<Value<'v>>> {
        let mut value = value;
        for _ in 0..DEPTH_MAX {
            if !is_callable(value) {
                return Ok(Some(value).filter(|value| !value.is_none()));
            }
            value = self.eval.eval_function(value, &[self.from], &[])?;
        }
        Err(wrong(format!("`{written}`: functions give functions more than {DEPTH_MAX} times")))
    }

    /// A value as text: none is empty.
    fn shown(&mut self, value: Option<Value<'v>>, written: &str) -> starlark::Result<Text> {
        let Some(value) = value else { return Ok(Text::plain("")) };
        if let Some(text) = value.downcast_ref::<TextValue>() {
            return Ok(text.0.clone());
        }
        if let Some(template) = Template::from_value(value) {
            if self.depth >= DEPTH_MAX {
                return Err(wrong(format!("`{written}`: templates are nested more than {DEPTH_MAX} deep")));
            }
            let mut inner = Filler {
                from: self.from,
                eval: &mut *self.eval,
                depth: self.depth + 1,
                trust: self.trust,
                parts: Vec::new(),
            };
            inner.segments(&template.segments, &template.given)?;
            return Ok(text_of_parts(inner.parts));
        }
        let text = value.to_str();
        crate::config::marks::plain(&text).map_err(|why| wrong(format!("`{written}` {why}")))?;
        Ok(Text::plain(text))
    }

    /// What a place names; None stands for nothing, too.
    fn found(&mut self, key: &Key) -> starlark::Result<Option<Value<'v>>> {
        let heap = self.eval.heap();
        let found = match key {
            Key::Secret(name) => Some(heap.alloc(TextValue(Text(vec![Piece::Secret(name.clone())])))),
            Key::Property(name) => self.property(name)?,
            Key::Stamp { codebase, field } => self.stamp(codebase, field)?,
            Key::Worker(name) => self.worker(name)?,
            Key::Build(name) => match name.as_str() {
                "reason" if self.is_message() => self.member("why")?,
                name => self.member(name)?,
            },
            Key::Given(_) => None,
        };
        Ok(found.filter(|value| !value.is_none()))
    }

    fn is_message(&self) -> bool {
        DictRef::from_value(self.from).is_some()
    }

    fn member(&self, name: &str) -> starlark::Result<Option<Value<'v>>> {
        self.field(self.from, name)
    }

    /// An entry of a dict, or an attribute of something else.
    fn field(&self, of: Value<'v>, name: &str) -> starlark::Result<Option<Value<'v>>> {
        match DictRef::from_value(of) {
            Some(entries) => Ok(entries.get_str(name)),
            None => of.get_attr(name, self.eval.heap()),
        }
    }

    fn property(&mut self, name: &str) -> starlark::Result<Option<Value<'v>>> {
        if self.is_message() {
            let all = self.member("properties")?;
            return all.map_or(Ok(None), |all| self.field(all, name));
        }
        let Some(function) = self.member("property")? else { return Ok(None) };
        let name = self.eval.heap().alloc(name);
        self.eval.eval_function(function, &[name], &[]).map(Some)
    }

    fn stamp(&mut self, codebase: &str, field: &str) -> starlark::Result<Option<Value<'v>>> {
        let stamps = self.member("stamps")?.and_then(ListRef::from_value);
        for stamp in stamps.iter().flat_map(|stamps| stamps.content()) {
            if self.field(*stamp, "codebase")?.and_then(Value::unpack_str) == Some(codebase) {
                return self.field(*stamp, field);
            }
        }
        Ok(None)
    }

    /// A part of the worker, or of what it told of itself.
    fn worker(&mut self, name: &str) -> starlark::Result<Option<Value<'v>>> {
        let Some(worker) = self.member("worker")? else { return Ok(None) };
        if worker.unpack_str().is_some() {
            return Ok((name == "name").then_some(worker));
        }
        if name != "info"
            && let Some(found) = self.field(worker, name)?
        {
            return Ok(Some(found));
        }
        let info = self.field(worker, "info")?;
        info.map_or(Ok(None), |info| self.field(info, name))
    }
}

fn wrong(message: String) -> starlark::Error {
    starlark::Error::new_other(anyhow::Error::msg(message))
}

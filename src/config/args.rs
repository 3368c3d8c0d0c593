//! Reads the arguments of one declaration and notes everything that is wrong with them.
//!
//! A wrong argument never ends the evaluation: it is noted with its line, and the declaration goes on
//! with what it would be without it, so that all problems of a configuration are reported at once.

use std::collections::BTreeMap;

use starlark::eval::{Arguments, Evaluator};
use starlark::values::dict::DictRef;
use starlark::values::{UnpackValue, Value as Star, ValueLike};

use super::collect::{Collector, ReferenceKind};
use super::convert::{items_of, kind_of, to_model, to_text};
use super::foreign;
use super::marks::plain;
use super::place::{ArgRef, CallSite};
use super::registry::register;
use super::signature::Native;
use super::template::Template;
use super::values::access::{AccessValue, LockValue};
use crate::base::{Span, nearest};
use crate::model::{FnId, LockAccess, LockMode, Properties, Property, SourcePlace, Text, Value, check_property};

/// A declaration in progress.
pub(super) struct Call<'v, 'r, 'a, 'e, 'c> {
    pub(super) native: &'static Native,
    pub(super) eval: &'r mut Evaluator<'v, 'a, 'e>,
    pub(super) collector: &'c Collector,
    /// The user's call.
    pub(super) site: CallSite,
    /// What is declared, for messages: "builder `linux`".
    pub(super) title: String,
    given: BTreeMap<&'static str, Star<'v>>,
    /// Names of arguments that there are not.
    unknown: Vec<String>,
}

impl<'v, 'r, 'a, 'e> Call<'v, 'r, 'a, 'e, 'a> {
    /// Takes the arguments apart; notes unknown, doubled and missing ones.
    pub(super) fn open(
        native: &'static Native,
        arguments: &Arguments<'v, '_>,
        eval: &'r mut Evaluator<'v, 'a, 'e>,
    ) -> starlark::Result<Self> {
        let Some(collector) = Collector::of(eval) else {
            return Err(starlark::Error::new_other(anyhow::anyhow!(
                "`{}` declares something: call it while the configuration is loaded, not in a build",
                native.name
            )));
        };
        Self::open_with(native, arguments, eval, collector)
    }
}

impl<'v, 'r, 'a, 'e, 'c> Call<'v, 'r, 'a, 'e, 'c> {
    /// The same, with a collector of the caller's.
    pub(super) fn open_with(
        native: &'static Native,
        arguments: &Arguments<'v, '_>,
        eval: &'r mut Evaluator<'v, 'a, 'e>,
        collector: &'c Collector,
    ) -> starlark::Result<Self> {
        let site = CallSite::of_call(eval);
        let title = format!("`{}`", native.name);
        let mut call = Self { native, eval, collector, site, title, given: BTreeMap::new(), unknown: Vec::new() };
        let heap = call.eval.heap();
        let positions: Vec<Star<'v>> = arguments.positions(heap)?.collect();
        call.take_positions(&positions);
        for (name, value) in arguments.names_map()? {
            call.take_named(name.as_str(), value);
        }
        call.note_missing();
        Ok(call)
    }

    fn take_positions(&mut self, values: &[Star<'v>]) {
        for (param, value) in self.native.params.iter().zip(values).take(self.native.positional) {
            self.given.insert(param.name, *value);
        }
        if values.len() > self.native.positional {
            let next = self.native.params.get(self.native.positional).map(|param| param.name);
            let (message, hint) = surplus_argument(&self.title, self.native.positional, values.len(), next);
            self.collector.note(self.site.clone(), message, hint);
        }
    }

    fn take_named(&mut self, name: &str, value: Star<'v>) {
        let Some(param) = self.native.params.iter().find(|param| param.name == name) else {
            let (message, hint) = unknown_argument(&self.title, name, self.native.names());
            self.collector.note(self.site.at(ArgRef::name_of(name)), message, Some(hint));
            self.unknown.push(name.to_owned());
            return;
        };
        if self.given.insert(param.name, value).is_some() {
            self.problem(self.arg(param.name), format!("{} got `{name}` twice", self.title), None);
        }
    }

    fn note_missing(&self) {
        let kind = self.given.get("kind").and_then(|kind| kind.unpack_str());
        for param in self.native.params {
            let needed = param.default.is_none() && self.native.belongs(param.name, kind);
            let misspelt = || is_meant(param.name, self.unknown.iter().map(String::as_str));
            if needed && !self.given.contains_key(param.name) && !misspelt() {
                let hint = format!("`{}`: {}. {}", param.name, param.kind, param.doc);
                self.collector.note(self.site.clone(), missing_argument(&self.title, param.name), Some(hint));
            }
        }
    }

    /// Where the call was written.
    pub(super) fn place(&self) -> SourcePlace {
        self.collector.place_of(&self.site)
    }

    /// An argument of this call.
    pub(super) fn arg(&self, name: &'static str) -> ArgRef {
        match self.native.position(name) {
            Some(position) => ArgRef::positional(name, position),
            None => ArgRef::named(name),
        }
    }

    /// Notes a problem with an argument.
    pub(super) fn problem(&self, at: ArgRef, message: impl Into<String>, hint: Option<String>) {
        self.collector.note(self.site.at(at), message, hint);
    }

    /// Notes a problem with the value of an argument: "builder `x`: `slots` must be …".
    pub(super) fn wrong(&self, name: &'static str, what: &str, hint: Option<String>) {
        self.problem(self.arg(name), format!("{}: `{name}` {what}", self.title), hint);
    }

    pub(super) fn wrong_kind(&self, at: ArgRef, name: &str, wanted: &str, value: Star<'v>) {
        let message = format!("{}: `{name}` must be {wanted}, not {}", self.title, kind_of(value));
        let hint = match value.unpack_str() {
            Some(text) if wanted.starts_with("a whole number") && text.parse::<i64>().is_ok() => {
                Some(format!("write it without quotes: {name} = {text}"))
            }
            None if wanted == "a list" && value.get_type() == "step" => {
                Some(format!("write a list, of one if need be: {name} = [sh(…)]"))
            }
            _ => None,
        };
        self.problem(at, message, hint);
    }

    /// The value of an argument; none if it was left out or is `None`.
    pub(super) fn value(&self, name: &'static str) -> Option<Star<'v>> {
        debug_assert!(self.native.names().any(|known| known == name), "{name} is in the table");
        self.given.get(name).copied().filter(|value| !value.is_none())
    }

    /// Whether an argument is given as `None`.
    pub(super) fn is_none(&self, name: &'static str) -> bool {
        self.given.get(name).is_some_and(|value| value.is_none())
    }

    /// A text without secrets.
    pub(super) fn string(&self, name: &'static str) -> Option<String> {
        let value = self.value(name)?;
        self.string_of(self.arg(name), name, value)
    }

    fn string_of(&self, at: ArgRef, name: &str, value: Star<'v>) -> Option<String> {
        let Some(text) = value.unpack_str() else {
            let message = format!("{}: `{name}` must be a text, not {}", self.title, kind_of(value));
            let hint = "a declaration such as worker(\"linux-1\") has no value: write the name, \"linux-1\"";
            self.problem(at, message, value.is_none().then(|| hint.to_owned()));
            return None;
        };
        match plain(text) {
            Ok(text) => Some(text.to_owned()),
            Err(why) => {
                self.problem(at, format!("{}: `{name}` {why}", self.title), None);
                None
            }
        }
    }

    /// The name of what is declared; a placeholder when it is unusable, so that the rest is checked too.
    pub(super) fn subject(&mut self, word: &str) -> String {
        let name = self.string("name").unwrap_or_default();
        // A step's name is often its command, and is only shown: it may hold what a shell knows.
        let fits = if word == "step" { is_title(&name) } else { is_name(&name) };
        let letters = name.chars().count();
        if letters > NAME_LENGTH_MAX {
            let hint = format!("a name has at most {NAME_LENGTH_MAX} letters: it is shown, linked and part of paths");
            self.problem(self.arg("name"), format!("the name of the {word} has {letters} letters"), Some(hint));
        } else if self.value("name").is_some_and(|value| value.unpack_str().is_some()) && !fits {
            let hint = "use letters, digits and marks such as `-`, `_`, `.`, `/`".to_owned();
            self.problem(self.arg("name"), format!("`{name}` is not a valid name for a {word}"), Some(hint));
        }
        if !name.is_empty() {
            self.title = format!("{word} `{name}`");
        }
        name
    }

    /// A text that may hold secrets.
    pub(super) fn text(&self, name: &'static str) -> Option<Text> {
        let value = self.value(name)?;
        match to_text(value) {
            Ok(text) => Some(text),
            Err(why) => {
                self.wrong(name, &why, None);
                None
            }
        }
    }

    /// True or false.
    pub(super) fn boolean(&self, name: &'static str, default: bool) -> bool {
        let Some(value) = self.value(name) else { return default };
        value.unpack_bool().unwrap_or_else(|| {
            self.wrong_kind(self.arg(name), name, "True or False", value);
            default
        })
    }

    /// A whole number in a range.
    pub(super) fn whole(&self, name: &'static str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
        let value = self.value(name)?;
        let number = if value.get_type() == "int" { i64::unpack_value(value).ok().flatten() } else { None };
        let (low, high) = (range.start(), range.end());
        let wanted = match (*low, *high) {
            (i64::MIN, i64::MAX) => "a whole number".to_owned(),
            (_, i64::MAX) => format!("a whole number, at least {low}"),
            _ => format!("a whole number from {low} to {high}"),
        };
        let Some(number) = number.filter(|number| range.contains(number)) else {
            self.wrong_kind(self.arg(name), name, &wanted, value);
            return None;
        };
        Some(number)
    }

    /// A whole number that is not negative.
    pub(super) fn count_of(&self, name: &'static str, low: i64) -> Option<u64> {
        self.whole(name, low..=i64::MAX).and_then(|number| u64::try_from(number).ok())
    }

    /// A length of time.
    pub(super) fn span(&self, name: &'static str) -> Option<Span> {
        let value = self.value(name)?;
        let Some(text) = value.unpack_str() else {
            let hint = Some("write for example \"90s\", \"5m\", \"1h30m\" or \"2d\"".to_owned());
            self.wrong(name, &format!("must be a length of time, not {}", kind_of(value)), hint);
            return None;
        };
        match text.parse() {
            Ok(span) => Some(span),
            Err(error) => {
                let error: crate::base::ParseSpanError = error;
                let error = error.to_string();
                let (what, hint) = error.split_once("; ").unwrap_or((&error, ""));
                self.problem(self.arg(name), format!("{}: `{name}`: {what}", self.title), Some(hint.to_owned()));
                None
            }
        }
    }

    /// A length of time above zero.
    pub(super) fn span_above_zero(&self, name: &'static str) -> Option<Span> {
        let span = self.span(name)?;
        if span == Span::ZERO {
            self.wrong(name, "must be longer than no time at all", None);
            return None;
        }
        Some(span)
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.word_or(name, words, |_| None)
    }

    /// The same, with a hint for words that people try and that are not nearly one of these.
    pub(super) fn word_or<T: Copy>(
        &self,
        name: &'static str,
        words: &[(&str, T)],
        hint: impl Fn(&str) -> Option<String>,
    ) -> Option<T> {
        let value = self.value(name)?;
        self.word_of(self.arg(name), name, value, words, hint)
    }

    fn word_of<T: Copy>(
        &self,
        at: ArgRef,
        name: &str,
        value: Star<'v>,
        words: &[(&str, T)],
        hint: impl Fn(&str) -> Option<String>,
    ) -> Option<T> {
        let all = || words.iter().map(|(word, _)| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let Some(text) = value.unpack_str() else {
            self.wrong_kind(at, name, &format!("one of {}", all()), value);
            return None;
        };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if found.is_none() {
            let meant = || nearest(text, words.iter().map(|(word, _)| *word));
            let hint = hint(text).or_else(|| meant().map(|word| format!("did you mean \"{word}\"?")));
            self.problem(at, format!("{}: `{name}` must be one of {}, not \"{text}\"", self.title, all()), hint);
        }
        found
    }

    /// Words from a list.
    pub(super) fn words<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Option<Vec<T>> {
        let items = self.list(name)?;
        let each = items.iter().enumerate();
        Some(each.filter_map(|(i, item)| self.word_of(self.arg(name).item(i), name, *item, words, |_| None)).collect())
    }

    /// The elements of a list.
    pub(super) fn list(&self, name: &'static str) -> Option<Vec<Star<'v>>> {
        let value = self.value(name)?;
        let items = items_of(value).map(<[_]>::to_vec);
        if items.is_none() {
            self.wrong_kind(self.arg(name), name, "a list", value);
        }
        items
    }

    /// A list of texts, each with its place.
    pub(super) fn strings(&self, name: &'static str) -> Option<Vec<String>> {
        if let Some(text) = self.value(name).and_then(Star::unpack_str) {
            let hint = format!("write `{name} = [\"{text}\"]`");
            self.wrong(name, "must be a list of texts, not a text", Some(hint));
            return None;
        }
        let items = self.list(name)?;
        let each = items.iter().enumerate();
        Some(each.filter_map(|(i, item)| self.string_of(self.arg(name).item(i), name, *item)).collect())
    }

    /// The same, refusing an empty list.
    pub(super) fn some_strings(&self, name: &'static str) -> Vec<String> {
        let strings = self.strings(name).unwrap_or_default();
        if strings.is_empty() && self.list_is_empty(name) {
            self.wrong(name, "is empty", Some("name at least one".to_owned()));
        }
        strings
    }

    fn list_is_empty(&self, name: &'static str) -> bool {
        self.value(name).and_then(items_of).is_some_and(<[_]>::is_empty)
    }

    /// Names of other things, to be checked when all are declared.
    pub(super) fn references(&self, name: &'static str, wanted: ReferenceKind) -> Vec<String> {
        let names = self.some_strings(name);
        for (index, other) in names.iter().enumerate() {
            self.collector.refer(&self.title, wanted, other, self.site.at(self.arg(name).item(index)));
        }
        names
    }

    /// The entries of a dict with text keys.
    pub(super) fn dict(&self, name: &'static str) -> Option<Vec<(String, Star<'v>)>> {
        let value = self.value(name)?;
        let Some(entries) = DictRef::from_value(value) else {
            self.wrong_kind(self.arg(name), name, "a dict", value);
            return None;
        };
        let mut found = Vec::new();
        for (key, value) in entries.iter() {
            match key.unpack_str() {
                Some(key) => found.push((key.to_owned(), value)),
                None => self.wrong(name, &format!("has a key that is not a text: {key}"), None),
            }
        }
        Some(found)
    }

    /// A user function that takes so many arguments.
    pub(super) fn function(&mut self, name: &'static str, takes: &[&str]) -> Option<FnId> {
        let value = self.value(name)?;
        if !self.is_function(self.arg(name), name, value, takes) {
            return None;
        }
        Some(register(self.eval, self.collector, value))
    }

    /// A user function that makes a text, or a template.
    pub(super) fn maker(&mut self, name: &'static str, takes: &[&str]) -> Option<FnId> {
        let value = self.value(name)?;
        if Template::from_value(value).is_some() {
            return Some(register(self.eval, self.collector, value));
        }
        self.function(name, takes)
    }

    /// Whether a value can be called with these arguments; notes it if not.
    pub(super) fn is_function(&self, at: ArgRef, name: &str, value: Star<'v>, takes: &[&str]) -> bool {
        let wanted = format!("a function of ({})", takes.join(", "));
        if !is_callable(value) {
            self.wrong_kind(at, name, &wanted, value);
            return false;
        }
        let fits = value.parameters_spec().is_none_or(|spec| spec.can_fill_with_args(takes.len(), &[]));
        if !fits {
            let signature =
                value.parameters_spec().map_or_else(String::new, starlark::eval::ParametersSpec::parameters_str);
            let message = format!("{}: `{name}` must be {wanted}, but takes ({signature})", self.title);
            self.problem(at, message, None);
        }
        fits
    }

    /// Registers a function that was checked.
    pub(super) fn register(&mut self, function: Star<'v>) -> FnId {
        register(self.eval, self.collector, function)
    }

    /// Glob patterns.
    pub(super) fn globs(&self, name: &'static str) -> Vec<String> {
        let patterns = self.strings(name).unwrap_or_default();
        for (index, pattern) in patterns.iter().enumerate() {
            if let Err(error) = globset::Glob::new(pattern) {
                let message =
                    format!("{}: `{name}`: `{pattern}` is not a valid glob pattern: {}", self.title, error.kind());
                self.problem(self.arg(name).item(index), message, None);
            }
        }
        patterns
    }

    /// A regular expression.
    pub(super) fn regex(&self, name: &'static str) -> Option<String> {
        let text = self.string(name)?;
        if let Err(error) = regex::Regex::new(&text) {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            self.wrong(name, &format!("is not a valid regular expression: {why}"), None);
        }
        Some(text)
    }

    /// Properties with this source.
    pub(super) fn properties(&self, name: &'static str, source: &str) -> Properties {
        let mut properties = Properties::default();
        let mut bytes = 0;
        for (key, value) in self.dict(name).unwrap_or_default() {
            match to_model(value) {
                Ok(value) => {
                    if let Err(why) = check_property(&key, &value, bytes) {
                        self.problem(self.arg(name).key(&key), format!("{}: property `{key}` {why}", self.title), None);
                        continue;
                    }
                    bytes += key.len() + value.bytes();
                    properties.0.insert(key, Property { value, source: source.to_owned() });
                }
                Err(why) => {
                    let message = format!("{}: property `{key}` {why}", self.title);
                    self.problem(self.arg(name).key(&key), message, None);
                }
            }
        }
        properties
    }

    /// Plain data.
    pub(super) fn data(&self, name: &'static str) -> Option<Value> {
        let value = self.value(name)?;
        to_model(value).map_err(|why| self.wrong(name, &why, None)).ok()
    }

    /// Accesses to locks.
    pub(super) fn locks(&self, name: &'static str) -> Vec<LockAccess> {
        let items = self.list(name).unwrap_or_default();
        let mut locks: Vec<LockAccess> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = self.arg(name).item(index);
            let Some(access) = lock_access(*item) else {
                let wanted = "a lock, or a way of taking one such as db.shared(1) or db.exclusive()";
                self.wrong_kind(at, name, wanted, *item);
                continue;
            };
            if locks.iter().any(|other| other.lock == access.lock) {
                let message = format!("{}: `{name}` has lock `{}` twice", self.title, access.lock);
                self.problem(at, message, Some("list it once, with all the units that are needed".to_owned()));
                continue;
            }
            self.collector.refer(&self.title, ReferenceKind::Lock, &access.lock, self.site.at(at));
            locks.push(access);
        }
        locks
    }
}

fn lock_access(value: Star<'_>) -> Option<LockAccess> {
    let shared = |name: &str| LockAccess { lock: name.to_owned(), mode: LockMode::Counting(1) };
    if let Some(access) = value.downcast_ref::<AccessValue>() {
        return Some(access.0.clone());
    }
    let lock = value.downcast_ref::<LockValue>().map(|lock| lock.name.as_str());
    lock.or_else(|| value.unpack_str()).map(shared)
}

/// Whether a value is a function.
pub(super) fn is_callable(value: Star<'_>) -> bool {
    matches!(value.get_type(), "function" | "native_function" | "bound_method") || value.parameters_spec().is_some()
}

/// Names that a hint lists: more fill the screen and help nobody.
const LISTED_MAX: usize = 40;

/// The hint for a name that does not exist.
pub(super) fn unknown_hint<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            let more = if known.clone().nth(LISTED_MAX).is_some() { ", …" } else { "" };
            let listed: Vec<String> = known.take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
            format!("there are: {}{more}", listed.join(", "))
        }
    }
}

/// The problem of an argument that there is not.
pub(super) fn unknown_argument<'n>(
    title: &str,
    name: &str,
    known: impl Iterator<Item = &'n str> + Clone,
) -> (String, String) {
    let meant = foreign::argument(title, name).unwrap_or_else(|| unknown_hint(name, known));
    (format!("{title} has no argument `{name}`"), meant)
}

/// Shorter names are all alike.
const SPELT_MIN: usize = 3;

/// Whether one of the arguments that there are not is a misspelt one, which is then not missing.
pub(super) fn is_meant<'n>(name: &str, unknown: impl Iterator<Item = &'n str>) -> bool {
    name.len() >= SPELT_MIN && nearest(name, unknown).is_some()
}

/// The problem of an argument that is not given.
pub(super) fn missing_argument(title: &str, name: &str) -> String {
    format!("{title} needs `{name}`")
}

/// The problem of more arguments without names than there may be; `next` is the first that needs one.
pub(super) fn surplus_argument(
    title: &str,
    taken: usize,
    given: usize,
    next: Option<&str>,
) -> (String, Option<String>) {
    let message = format!("{title} takes {} without a name, but got {given}", count(taken, "argument"));
    (message, next.map(|name| format!("write `{name} = …`")))
}

/// `1 worker`, `2 workers`.
pub(super) fn count(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// Letters of a name. Names are parts of paths, whose parts have 255 bytes at most on most systems; generated names of
/// schedulers have some 150.
const NAME_LENGTH_MAX: usize = 200;

/// Names are shown, linked and used as directories: something printable without surprises.
fn is_name(name: &str) -> bool {
    is_title(name) && !name.contains(['"', '`', '<', '>', '\\'])
}

/// A line of text.
fn is_title(name: &str) -> bool {
    !name.trim().is_empty() && name.trim() == name && !name.chars().any(char::is_control)
}

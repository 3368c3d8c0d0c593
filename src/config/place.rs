//! From a call in progress to the line that a person wrote.
//!
//! A declaration is often called through the standard library; what counts is the call in the user's
//! own file. Which argument of it is meant is found later, by `narrow`, only when there is something to report: a right
//! configuration pays nothing for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use starlark::codemap::{FileSpan, Span};
use starlark::eval::Evaluator;

use super::library;
use super::problem::{Problem, excerpt};
use crate::model::{SourcePlace, intern};

/// A way from an argument to one of its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// An element of a list.
    Item(usize),
    /// The value of a key of a dict.
    Key(String),
}

/// An argument of a call, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArgRef {
    /// The argument's name.
    pub(super) name: String,
    /// Its place, if it may be given without its name.
    pub(super) position: Option<usize>,
    pub(super) parts: Vec<Part>,
    /// The name itself is meant, not the value.
    pub(super) is_name: bool,
}

impl ArgRef {
    /// An argument by name.
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), position: None, parts: Vec::new(), is_name: false }
    }

    /// The name of an argument, for one that there is not.
    pub(super) fn name_of(name: &str) -> Self {
        Self { is_name: true, ..Self::named(name) }
    }

    /// An argument that may also be given by position.
    pub(super) fn positional(name: &str, position: usize) -> Self {
        Self { position: Some(position), ..Self::named(name) }
    }

    /// An element of it.
    pub(super) fn item(&self, index: usize) -> Self {
        let mut inner = self.clone();
        inner.parts.push(Part::Item(index));
        inner
    }

    /// The value of one of its keys.
    pub(super) fn key(&self, key: &str) -> Self {
        let mut inner = self.clone();
        inner.parts.push(Part::Key(key.to_owned()));
        inner
    }
}

/// Where something was written: a call, and perhaps one argument of it.
#[derive(Clone, Debug)]
pub(super) struct CallSite {
    /// The call; none when it was made by native code alone.
    pub(super) span: Option<FileSpan>,
    /// The argument.
    pub(super) argument: Option<ArgRef>,
}

impl CallSite {
    /// The innermost call that a user's file makes, whatever library functions it goes through.
    pub(super) fn of_call(eval: &Evaluator<'_, '_, '_>) -> Self {
        let frames = eval.call_stack().into_frames();
        let places = || written(frames.iter().rev().filter_map(|frame| frame.location.as_ref()));
        let own = places().find(|span| is_own(span));
        Self { span: own.or_else(|| places().next()).cloned(), argument: None }
    }

    /// The call of a function that reports a mistake of its caller: in a user's own file that is one call further out.
    pub(super) fn of_helper(eval: &Evaluator<'_, '_, '_>) -> Self {
        let frames = eval.call_stack().into_frames();
        let mut places = written(frames.iter().rev().filter_map(|frame| frame.location.as_ref()));
        let inner = places.next();
        if inner.is_some_and(is_own)
            && let Some(outer) = places.find(|span| is_own(span))
        {
            return Self::of_span(outer.clone());
        }
        Self::of_call(eval)
    }

    /// The same call, at one of its arguments.
    pub(super) fn at(&self, argument: ArgRef) -> Self {
        Self { span: self.span.clone(), argument: Some(argument) }
    }

    /// A place in a file.
    pub(super) fn of_span(span: FileSpan) -> Self {
        Self { span: Some(span), argument: None }
    }

    /// File, line and column of the call.
    pub(super) fn place(&self) -> SourcePlace {
        self.span.as_ref().map(place_of).unwrap_or_default()
    }

    /// The same, with a file's name that all places of the file share.
    pub(super) fn place_among(&self, files: &mut BTreeSet<Arc<str>>) -> SourcePlace {
        let shared = |span: &FileSpan| place_in(span, intern(files, span.filename()));
        self.span.as_ref().map(shared).unwrap_or_default()
    }

    /// The problem report for this site: the call, or the part of it that `narrow` found.
    pub(super) fn problem_at(&self, inner: Option<Span>, message: String, hint: Option<String>) -> Problem {
        let Some(call) = &self.span else { return Problem::placeless(message, hint) };
        let span = FileSpan { file: call.file.clone(), span: inner.unwrap_or(call.span) };
        Problem { place: Some(place_of(&span)), message, hint, excerpt: excerpt_of(&span) }
    }

    /// The same for the whole call, or the place in the file.
    pub(super) fn problem(&self, message: String, hint: Option<String>) -> Problem {
        self.problem_at(None, message, hint)
    }
}

/// What the evaluator has for the source of its own functions.
const NATIVE: &str = "<native>";

/// The places that somebody wrote in Starlark: those of native functions name files of the machine that built us.
pub(super) fn written<'a>(spans: impl Iterator<Item = &'a FileSpan>) -> impl Iterator<Item = &'a FileSpan> {
    spans.filter(|span| span.file.source() != NATIVE)
}

/// Whether a place is in a file of the user's.
pub(super) fn is_own(span: &FileSpan) -> bool {
    !library::is_library(span.filename())
}

/// File, line and column of the beginning of a span.
pub(super) fn place_of(span: &FileSpan) -> SourcePlace {
    place_in(span, Arc::from(span.filename()))
}

fn place_in(span: &FileSpan, file: Arc<str>) -> SourcePlace {
    let begin = span.resolve_span().begin;
    let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
    SourcePlace { file, line: count(begin.line), column: count(begin.column) }
}

/// The first line of a span with a marker below.
pub(super) fn excerpt_of(span: &FileSpan) -> String {
    let place = place_of(span);
    let range = span.resolve_span();
    let line = span.file.source_line(range.begin.line);
    let end = if range.end.line == range.begin.line { range.end.column } else { line.chars().count() };
    excerpt(place.line, line, place.column, end.saturating_sub(range.begin.column))
}

//! What can be known of a template in a command before any build.

use super::parse::{Form, Given, Segment, parse};
use super::value::{Template, of_text};
use crate::config::convert::items_of;
use crate::config::marks::plain;
use crate::config::shell::{Part, check_input, check_input_of_words, check_words, places};
use crate::config::values::secret::TextValue;
use crate::model::Text;
use starlark::values::{Value, ValueLike as _};

/// What is wrong, and what would do.
type Problem = (String, Option<String>);

/// A command that is known before the build: what is wrong with its templates and secrets.
pub(in crate::config) fn command_problem(command: Value<'_>) -> Option<Problem> {
    if let Some(words) = items_of(command) {
        let marked = words.iter().find_map(|word| word.unpack_str().and_then(|text| plain(text).err()));
        if let Some(why) = marked {
            return Some((format!("a word of the command {why}"), None));
        }
        let words: Vec<Vec<Segment>> = words.iter().map(|word| segments(*word)).collect();
        let variants = |choose: Choose| words.iter().map(|word| flat(word, choose)).collect::<Vec<_>>();
        let found = check_words(&variants(Choose::All(true))).or_else(|| check_words(&variants(Choose::All(false))));
        return found.map(|(message, hint)| (message, Some(hint)));
    }
    if let Some(text) = command.unpack_str() {
        return plain(text).err().map(|why| (format!("the text {why}"), None));
    }
    line_problem(&segments(command))
}

/// A template for the standard input of a command that is known before the build, and executes it.
pub(in crate::config) fn input_problem(command: Value<'_>, input: Value<'_>) -> Option<Problem> {
    let input = &Template::from_value(input)?.segments;
    let inputs = [true, false].map(|there| flat(input, Choose::All(there)));
    let words = items_of(command)
        .map(|words| words.iter().map(|word| flat(&segments(*word), Choose::All(true))).collect::<Vec<_>>());
    let line = flat(&segments(command), Choose::All(true));
    let found = inputs.iter().find_map(|input| match &words {
        Some(words) => check_input_of_words(words, input),
        None => check_input(&line, input),
    });
    found.map(|(message, hint)| (message, Some(hint)))
}

fn segments(value: Value<'_>) -> Vec<Segment> {
    if let Some(template) = Template::from_value(value) {
        return template.segments.clone();
    }
    if let Some(text) = value.downcast_ref::<TextValue>() {
        return of_text(&text.0);
    }
    vec![Segment::Text(value.unpack_str().unwrap_or_default().to_owned())]
}

/// What is wrong with the text of a template that a function hands to a shell.
pub(in crate::config) fn check_literal(text: &str, names: &[String], positions: usize) -> Option<Problem> {
    match parse(text, Given { positions, names }) {
        Ok(segments) => line_problem(&segments),
        Err(wrong) => Some(wrong),
    }
}

/// Which alternatives of a template's places are taken.
#[derive(Clone, Copy)]
enum Choose {
    /// All as if values were there, or as if none were.
    All(bool),
    /// The same, but for the place of this number.
    AllBut(bool, usize),
}

/// Places that cannot be filled in, whichever alternatives are taken. Combinations of them beyond one that
/// differs are looked at when the line is filled in.
fn line_problem(segments: &[Segment]) -> Option<Problem> {
    let choices = conditional(segments);
    let bases = [true, false];
    let variants = bases.into_iter().map(Choose::All);
    let single = bases.into_iter().flat_map(|base| (0..choices).map(move |place| Choose::AllBut(base, place)));
    let found = variants.chain(single).find_map(|choose| places(&flat(segments, choose)));
    found.map(|(message, hint)| (message, Some(hint)))
}

/// How many places of the outer level have alternatives.
fn conditional(segments: &[Segment]) -> usize {
    segments.iter().filter(|segment| matches!(segment, Segment::Place(place) if place.form != Form::Plain)).count()
}

fn flat(segments: &[Segment], choose: Choose) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut number = 0;
    for segment in segments {
        let Segment::Place(place) = segment else {
            push(segment, true, &mut parts);
            continue;
        };
        let there = match choose {
            Choose::All(there) => there,
            Choose::AllBut(there, other) => there != (number == other && place.form != Form::Plain),
        };
        number += usize::from(place.form != Form::Plain);
        push(segment, there, &mut parts);
    }
    parts
}

/// A segment as if its value were there, or not.
fn push(segment: &Segment, there: bool, parts: &mut Vec<Part>) {
    let place = match segment {
        Segment::Text(text) => return parts.push(Part::Syntax(text.clone())),
        Segment::Place(place) => place,
    };
    match (&place.form, there) {
        (Form::Plain, _) | (Form::Or { .. }, true) => {
            parts.push(Part::Value { value: Text::plain("x"), place: place.written.clone() });
        }
        (Form::Or { other, .. }, false) => other.iter().for_each(|inner| push(inner, there, parts)),
        (Form::Choice { yes, .. }, true) => yes.iter().for_each(|inner| push(inner, there, parts)),
        (Form::Choice { no, .. }, false) => no.iter().for_each(|inner| push(inner, there, parts)),
    }
}

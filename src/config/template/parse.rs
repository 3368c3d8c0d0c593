//! The text of a template as segments.
//!
//! The forms are those of Buildbot's `Interpolate`; anything else that begins with a percent sign is refused.

/// Bytes of one template: a generated one of this size is a file, and belongs into one.
const BYTES_MAX: usize = 64 << 10;

/// Places of one template.
const PLACES_MAX: usize = 200;

/// Places inside the replacements of places.
const DEPTH_MAX: usize = 8;

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Segment {
    /// As it stands there.
    Text(String),
    Place(Box<Place>),
}

/// A place and how it is filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Place {
    /// As it was written, for messages.
    pub(super) written: String,
    pub(super) key: Key,
    pub(super) form: Form,
}

/// What a place shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Key {
    Property(String),
    Stamp {
        codebase: String,
        field: String,
    },
    Worker(String),
    Build(String),
    Secret(String),
    /// A value that was given with the template, by its number.
    Given(usize),
}

/// How the value is interpreted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Form {
    Plain,
    /// Something else, if there is no value (or, if `by_truth`, none that is true).
    Or {
        other: Vec<Segment>,
        by_truth: bool,
    },
    /// One of two texts, by whether there is a value (or a true one).
    Choice {
        yes: Vec<Segment>,
        no: Vec<Segment>,
        by_truth: bool,
    },
}

/// What is wrong with a template, and what would do.
pub(in crate::config) type Wrong = (String, Option<String>);

/// What a source stamp has.
pub(super) const STAMP_FIELDS: [&str; 5] = ["branch", "codebase", "project", "repository", "revision"];

/// What a build has.
pub(super) const BUILD_FIELDS: [&str; 4] = ["builder", "number", "reason", "url"];

/// What is given with a template, by position and by name.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::config) struct Given<'n> {
    pub(in crate::config) positions: usize,
    pub(in crate::config) names: &'n [String],
}

/// Reads a template.
///
/// # Errors
/// The first thing that is wrong with it.
pub(in crate::config) fn parse(text: &str, given: Given<'_>) -> Result<Vec<Segment>, Wrong> {
    if text.len() > BYTES_MAX {
        return Err((format!("the template has {} bytes, more than {BYTES_MAX}", text.len()), None));
    }
    let mut reader = Reader { given, places: 0, positions: 0, used: vec![false; given.positions + given.names.len()] };
    let segments = reader.segments(text, 0)?;
    match reader.used.iter().position(|used| !used) {
        Some(unused) if unused < given.positions => {
            let message = format!("the template has {} places `%s` for {} values", reader.positions, given.positions);
            Err((message, Some("name values: interpolate(\"%(kw:name)s\", name = value)".to_owned())))
        }
        Some(unused) => {
            let name = &given.names[unused - given.positions];
            Err((
                format!("the template has no place for `{name}`"),
                Some(format!("write `%(kw:{name})s` where it belongs")),
            ))
        }
        None => Ok(segments),
    }
}

struct Reader<'g> {
    given: Given<'g>,
    places: usize,
    positions: usize,
    used: Vec<bool>,
}

impl Reader<'_> {
    fn segments(&mut self, text: &str, depth: usize) -> Result<Vec<Segment>, Wrong> {
        if depth > DEPTH_MAX {
            return Err((format!("places are nested more than {DEPTH_MAX} deep"), None));
        }
        let mut segments = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            push_text(&mut segments, &rest[..at]);
            rest = &rest[at..];
            let taken = if rest.starts_with("%%") {
                push_text(&mut segments, "%");
                2
            } else if rest.starts_with("%(") {
                let end = end_of(rest)?;
                let place = self.place(&rest[..end], depth)?;
                segments.push(Segment::Place(Box::new(place)));
                end
            } else {
                segments.push(Segment::Place(Box::new(self.position(rest)?)));
                2
            };
            rest = &rest[taken..];
        }
        push_text(&mut segments, rest);
        Ok(segments)
    }

    fn count(&mut self) -> Result<(), Wrong> {
        self.places += 1;
        if self.places > PLACES_MAX {
            return Err((format!("the template has more than {PLACES_MAX} places"), None));
        }
        Ok(())
    }

    /// A place without a name: `%s`.
    fn position(&mut self, rest: &str) -> Result<Place, Wrong> {
        let written: String = rest.chars().take(2).collect();
        let plain = written == "%s" || written == "%d";
        if !plain || self.given.positions == 0 {
            let hint = "a percent sign that is meant as such is written `%%`; a place is `%(prop:name)s`".to_owned();
            return Err((format!("`{written}` is not a place of a template"), Some(hint)));
        }
        self.count()?;
        let number = self.positions;
        self.positions += 1;
        if number >= self.given.positions {
            let message = format!("the template has more places `%s` than the {} values given", self.given.positions);
            return Err((message, None));
        }
        self.used[number] = true;
        Ok(Place { written, key: Key::Given(number), form: Form::Plain })
    }

    /// A place such as `%(prop:name:-other)s`, as written.
    fn place(&mut self, written: &str, depth: usize) -> Result<Place, Wrong> {
        self.count()?;
        if self.given.positions > 0 {
            let message = format!("`{written}` cannot stand in one template with values without names");
            return Err((message, Some("name them: interpolate(\"%(kw:name)s\", name = value)".to_owned())));
        }
        let inside = &written[2..written.len() - 2];
        let (kind, rest) = inside.split_once(':').unwrap_or((inside, ""));
        let (name, form) = if kind == "src" {
            let (codebase, rest) = rest.split_once(':').ok_or_else(|| {
                let message = format!("`{written}` names no part of a source stamp");
                (message, Some(format!("write %(src:CODEBASE:branch)s; without codebases `%(src::{rest})s`")))
            })?;
            let (field, form) = rest.split_once(':').map_or((rest, None), |(field, form)| (field, Some(form)));
            one_of(written, "a source stamp", field, &STAMP_FIELDS)?;
            (Key::Stamp { codebase: codebase.to_owned(), field: field.to_owned() }, form)
        } else {
            let (name, form) = rest.split_once(':').map_or((rest, None), |(name, form)| (name, Some(form)));
            (self.key(written, kind, name)?, form)
        };
        let form = form.map_or(Ok(Form::Plain), |form| self.form(written, form, depth))?;
        if matches!(name, Key::Secret(_)) && form != Form::Plain {
            let message = format!("`{written}`: whether a secret has a value is not known here");
            return Err((message, Some("write `%(secret:NAME)s`".to_owned())));
        }
        Ok(Place { written: written.to_owned(), key: name, form })
    }

    fn key(&mut self, written: &str, kind: &str, name: &str) -> Result<Key, Wrong> {
        const KINDS: &str = "prop, src, worker, build, kw or secret";
        if !["prop", "worker", "build", "kw", "secret"].contains(&kind) {
            let hint = "for example %(prop:branch)s; a plain percent sign is %%".to_owned();
            return Err((format!("`{written}` does not begin with {KINDS}"), Some(hint)));
        }
        if name.is_empty() {
            return Err((format!("`{written}` names nothing"), Some(format!("write `%({kind}:NAME)s`"))));
        }
        Ok(match kind {
            "prop" => Key::Property(name.to_owned()),
            "worker" => Key::Worker(name.to_owned()),
            "secret" => Key::Secret(name.to_owned()),
            "build" => {
                one_of(written, "a build", name, &BUILD_FIELDS)?;
                Key::Build(name.to_owned())
            }
            _ => Key::Given(self.named(written, name)?),
        })
    }

    /// The number of a value that was given by name.
    fn named(&mut self, written: &str, name: &str) -> Result<usize, Wrong> {
        let Some(place) = self.given.names.iter().position(|given| given == name) else {
            let hint = format!("write interpolate(\"…\", {name} = value)");
            return Err((format!("`{written}`: no `{name}` is given"), Some(hint)));
        };
        let number = self.given.positions + place;
        self.used[number] = true;
        Ok(number)
    }

    /// What stands behind the second colon.
    fn form(&mut self, written: &str, form: &str, depth: usize) -> Result<Form, Wrong> {
        let mut inner = |text: &str| self.segments(text, depth + 1);
        if let Some(other) = form.strip_prefix('-') {
            return Ok(Form::Or { other: inner(other)?, by_truth: false });
        }
        if let Some(other) = form.strip_prefix('~') {
            return Ok(Form::Or { other: inner(other)?, by_truth: true });
        }
        if let Some(then) = form.strip_prefix('+') {
            return Ok(Form::Choice { yes: inner(then)?, no: Vec::new(), by_truth: false });
        }
        let by_truth = form.starts_with('#');
        let Some(choice) = form.strip_prefix("#?").or_else(|| form.strip_prefix('?')) else {
            let hint = "there are `:-other`, `:~other`, `:+then`, `:?|then|else` and `:#?|then|else`".to_owned();
            return Err((format!("`{written}`: `:{form}` is not a form of a place"), Some(hint)));
        };
        let (yes, no) = alternatives(choice).ok_or_else(|| {
            let mark = if by_truth { "#?" } else { "?" };
            let hint = format!("write `:{mark}|then|else`: the letter behind the `?` stands before each of the two texts, and nowhere else");
            (format!("`{written}` does not have two texts to choose from"), Some(hint))
        })?;
        Ok(Form::Choice { yes: inner(yes)?, no: inner(no)?, by_truth })
    }
}

/// The two texts of `|then|else`; the delimiter does not count inside of places.
fn alternatives(choice: &str) -> Option<(&str, &str)> {
    let delimiter = choice.chars().next().filter(|c| !"(%".contains(*c))?;
    let rest = &choice[delimiter.len_utf8()..];
    let mut depth = 0_usize;
    let mut splits = rest.char_indices().filter(|(_, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *c == delimiter && depth == 0
    });
    let (at, _) = splits.next()?;
    if splits.next().is_some() {
        return None;
    }
    Some((&rest[..at], &rest[at + delimiter.len_utf8()..]))
}

fn push_text(segments: &mut Vec<Segment>, text: &str) {
    match segments.last_mut() {
        _ if text.is_empty() => {}
        Some(Segment::Text(before)) => before.push_str(text),
        _ => segments.push(Segment::Text(text.to_owned())),
    }
}

fn one_of(written: &str, of: &str, name: &str, known: &[&str]) -> Result<(), Wrong> {
    if known.contains(&name) {
        return Ok(());
    }
    let meant = crate::base::nearest(name, known.iter().copied());
    let hint =
        meant.map_or_else(|| format!("there are: {}", known.join(", ")), |meant| format!("did you mean `{meant}`?"));
    Err((format!("`{written}`: {of} has no `{name}`"), Some(hint)))
}

/// The end of a place that begins here: behind the `)s` of its own parenthesis.
fn end_of(text: &str) -> Result<usize, Wrong> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 1 => {
                let written = &text[..=at];
                if text[at + 1..].starts_with('s') {
                    return Ok(at + 2);
                }
                let hint = format!("write `{written}s`");
                return Err((format!("`{written}` is not followed by `s`"), Some(hint)));
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    let shown: String = text.chars().take(30).collect();
    Err((
        format!("`{shown}` has no closing `)s`"),
        Some("a percent sign that is meant as such is written `%%`".to_owned()),
    ))
}

/// Whether the segments that this one has inside of it, at any depth, have numbers of given values: shifts them.
pub(super) fn shifted(segments: &[Segment], by: usize) -> Vec<Segment> {
    let each = segments.iter().map(|segment| match segment {
        Segment::Text(text) => Segment::Text(text.clone()),
        Segment::Place(place) => {
            let key = match &place.key {
                Key::Given(number) => Key::Given(number + by),
                other => other.clone(),
            };
            let form = match &place.form {
                Form::Plain => Form::Plain,
                Form::Or { other, by_truth } => Form::Or { other: shifted(other, by), by_truth: *by_truth },
                Form::Choice { yes, no, by_truth } => {
                    Form::Choice { yes: shifted(yes, by), no: shifted(no, by), by_truth: *by_truth }
                }
            };
            Segment::Place(Box::new(Place { written: place.written.clone(), key, form }))
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let names = ["a".to_owned()];
        let given = if text.contains("kw:") { Given { positions: 0, names: &names } } else { Given::default() };
        parse(text, given).unwrap_err().0
    }

    #[test]
    fn forms_are_read_with_what_is_nested_in_them() {
        let read = |text: &str| parse(text, Given::default()).unwrap();
        let [Segment::Place(place)] = &read("%(prop:x:-%(src::revision:-no)s)s")[..] else { panic!() };
        let Form::Or { other, by_truth: false } = &place.form else { panic!() };
        assert!(matches!(&other[..], [Segment::Place(_)]));
        let [Segment::Place(place)] = &read("%(prop:x:#?,%(prop:y:?,1,2)s,b)s")[..] else { panic!() };
        let Form::Choice { no, by_truth: true, .. } = &place.form else { panic!() };
        assert_eq!(no[..], [Segment::Text("b".to_owned())]);
        assert_eq!(read("100%%"), [Segment::Text("100%".to_owned())]);
        assert_eq!(read("%(prop:x:+(a))s").len(), 1);
    }

    #[test]
    fn what_is_no_form_is_refused_with_words() {
        for (text, words) in [
            ("100%", "`%` is not a place"),
            ("date +%s", "`%s` is not a place"),
            ("%(prop:x)", "is not followed by `s`"),
            ("%(prop:x)d", "is not followed by `s`"),
            ("%(prop:x", "no closing"),
            ("%(x)s", "does not begin with"),
            ("%(prop:)s", "names nothing"),
            ("%(prop:x:y)s", "is not a form"),
            ("%(prop:x:?a)s", "two texts"),
            ("%(prop:x:?|a)s", "two texts"),
            ("%(prop:x:?|a|b|c)s", "two texts"),
            ("%(src:branch)s", "names no part"),
            ("%(src::brnch)s", "has no `brnch`"),
            ("%(build:nr)s", "has no `nr`"),
            ("%(kw:b)s", "no `b` is given"),
            ("%(kw:a)s %s", "is not a place"),
            ("%(secret:t:-x)s", "not known here"),
        ] {
            assert!(wrong(text).contains(words), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn values_without_names_are_counted() {
        let given = Given { positions: 2, names: &[] };
        assert_eq!(parse("%s and %d", given).map(|segments| segments.len()), Ok(3));
        assert!(parse("%s", given).unwrap_err().0.contains("1 places"));
        assert!(parse("%s %s %s", given).unwrap_err().0.contains("more places"));
        assert!(parse("%s %(prop:x)s", given).unwrap_err().0.contains("one template"));
    }
}

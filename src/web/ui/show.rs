//! Small things that pages show everywhere: states, moments, durations, links. Each displays itself as finished HTML,
//! or as plain text that the template escapes.

use std::fmt;
use std::sync::LazyLock;

use askama::filters::HtmlSafe;

use crate::base::{Span, Timestamp};
use crate::model::{BuilderRecord, Outcome};
use crate::web::request::encode;

/// A state: an icon and a word, so that nobody has to distinguish colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub word: &'static str,
}

impl State {
    pub const RUNNING: Self = Self { word: "running" };
    pub const WAITING: Self = Self { word: "waiting" };
    pub const ONLINE: Self = Self { word: "connected" };
    pub const OFFLINE: Self = Self { word: "offline" };
    pub const PAUSED: Self = Self { word: "paused" };
    pub const LEAVING: Self = Self { word: "leaving" };

    /// The state of what ends with an outcome, and runs before.
    pub fn of(outcome: Option<Outcome>) -> Self {
        outcome.map_or(Self::RUNNING, |outcome| Self { word: outcome.word() })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word;
        write!(f, "<span class=\"state {word}\">{}{word}</span>", Icon(word))
    }
}

impl HtmlSafe for State {}

/// The icon of a state, for places where the word is in a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icon(pub &'static str);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static ICONS: LazyLock<String> = LazyLock::new(|| super::assets::ICONS.address());
        let icons = &*ICONS;
        write!(f, "<svg class=\"icon\" aria-hidden=\"true\"><use href=\"{icons}#{}\"/></svg>", self.0)
    }
}

impl HtmlSafe for Icon {}

/// A moment: how long ago, with the exact time when the mouse points at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    at: Timestamp,
    now: Timestamp,
}

impl Moment {
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (iso, words) = (self.at, ago(self.at, self.now));
        write!(f, "<time datetime=\"{iso}\" title=\"{}\" data-ago>{words}</time>", absolute(self.at))
    }
}

impl HtmlSafe for Moment {}

/// How long something took, or takes since a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elapsed {
    For(Span),
    Since(Timestamp, Timestamp),
    /// It has not begun.
    Not,
}

impl Elapsed {
    /// Between two moments; the second is now as long as there is none.
    pub fn between(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Self {
        match (from, to) {
            (None, _) => Self::Not,
            (Some(from), Some(to)) => Self::For(to.since(from)),
            (Some(from), None) => Self::Since(from, now),
        }
    }
}

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::For(span) => write!(f, "<span class=\"elapsed\">{}</span>", rounded(*span)),
            Self::Since(from, now) => {
                write!(f, "<time datetime=\"{from}\" data-since>{}</time>", rounded(now.since(*from)))
            }
            Self::Not => Ok(()),
        }
    }
}

impl HtmlSafe for Elapsed {}

/// The page of a codebase.
pub fn codebase_href(name: &str) -> String {
    format!("/codebases/{}", encode(name))
}

/// A text that begins with a capital letter.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A link; the text is escaped. Without an address it is the text alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub href: String,
    pub text: String,
}

impl Link {
    pub fn new(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: href.into(), text: text.into() }
    }

    /// A link if the reader may go there, and else the text alone.
    pub fn if_seen(seen: bool, href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: if seen { href.into() } else { String::new() }, text: text.into() }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.href.is_empty() {
            return Escaped(&self.text).fmt(f);
        }
        write!(f, "<a href=\"{}\">{}</a>", Escaped(&self.href), Escaped(&self.text))
    }
}

impl HtmlSafe for Link {}

/// A text as HTML.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => fmt::Write::write_char(f, c)?,
            }
        }
        Ok(())
    }
}

/// The address of a link that a build or a change gave, if it leads somewhere harmless.
pub fn safe_href(url: &str) -> Option<&str> {
    let harmless = ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    harmless.then_some(url)
}

/// The address of a builder's page. A name that looks like an id would be taken for one.
pub fn builder_href(builder: &BuilderRecord) -> String {
    let is_plain = !builder.name.is_empty() && !builder.name.bytes().all(|b| b.is_ascii_digit());
    let name = if is_plain { encode(&builder.name) } else { builder.id.to_string() };
    format!("/builders/{name}")
}

/// The address of a build's page.
pub fn build_href(builder: &BuilderRecord, number: u64) -> String {
    format!("{}/builds/{number}", builder_href(builder))
}

/// The address of a worker's page.
pub fn worker_href(name: &str) -> String {
    format!("/workers/{}", encode(name))
}

/// A count with its word: `1 build`, `2 builds`.
pub fn count(number: u64, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{} {word}s", grouped(number)) }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The first line of a text, cut after `most` letters.
pub fn first_line(text: &str, most: usize) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let cut: String = line.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// A revision as people say it: the first letters of a long hash.
pub fn short_revision(revision: &str) -> &str {
    let is_hash = revision.len() >= 20 && revision.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hash { &revision[..10] } else { revision }
}

/// The exact time: `2026-11-22 08:00:05 UTC`.
pub fn absolute(at: Timestamp) -> String {
    let text = at.to_string();
    match (text.get(..10), text.get(11..19)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

/// How long ago a moment was.
fn ago(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        return match at.since(now).as_millis() / 1000 {
            0..=9 => "just now".to_owned(),
            seconds => format!("in {}", unit(seconds)),
        };
    }
    match now.since(at).as_millis() / 1000 {
        0..=9 => "just now".to_owned(),
        seconds => format!("{} ago", unit(seconds)),
    }
}

fn unit(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Long lengths need no fractions of a second.
fn rounded(span: Span) -> Span {
    if span.as_millis() >= 10_000 { Span::from_seconds(span.as_millis() / 1000) } else { span }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn moments_read_as_people_say_them() {
        for (then, words) in [
            (1_000_000, "just now"),
            (999_960, "40 s ago"),
            (999_000, "16 min ago"),
            (990_000, "2 h ago"),
            (700_000, "3 days ago"),
            (1_000_600, "in 10 min"),
        ] {
            assert_eq!(ago(at(then), at(1_000_000)), words);
        }
        assert_eq!(absolute(at(1_795_334_400)), "2026-11-22 08:00:00 UTC");
    }

    #[test]
    fn only_harmless_links_are_links() {
        assert!(safe_href("HTTPS://example.org/x").is_some());
        for bad in ["javascript:alert(1)", "data:text/html,x", " https://x", "//x", "é"] {
            assert_eq!(safe_href(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_builder_called_by_a_number_is_linked_by_its_id() {
        let named = |name: &str| BuilderRecord {
            id: crate::model::BuilderId(7),
            name: name.to_owned(),
            ..BuilderRecord::default()
        };
        assert_eq!(builder_href(&named("12")), "/builders/7");
        assert_eq!(build_href(&named("a b/c"), 3), "/builders/a%20b%2Fc/builds/3");
    }

    #[test]
    fn texts_are_cut_at_letters() {
        assert_eq!(first_line("\n  first  \nsecond", 80), "first");
        assert_eq!(first_line("ääääää", 4), "äää…");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!(short_revision("0123456789abcdef0123456789abcdef01234567"), "0123456789");
        assert_eq!(short_revision("r12"), "r12");
    }

    #[test]
    fn links_escape_their_text_and_address() {
        let link = Link::new("/a?b=\"c\"&d", "<b>'x'</b>");
        assert_eq!(link.to_string(), "<a href=\"/a?b=&quot;c&quot;&amp;d\">&lt;b&gt;&#39;x&#39;&lt;/b&gt;</a>");
    }
}

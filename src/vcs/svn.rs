//! Polls a Subversion repository by its log. What was seen is the number of the newest revision.

use globset::GlobSet;
use tokio::time::Instant;

use super::program::{Program, most, owned, patterns};
use super::{PollError, PollTools};
use crate::base::Timestamp;
use crate::model::{ChangeSourcePlan, Cursor, NewChange, SvnLayout, SvnPlan};

/// The entry of the cursor.
const REVISION: &str = "revision";

/// Polls a repository once.
pub(super) async fn poll_svn(
    source: &ChangeSourcePlan,
    svn: &SvnPlan,
    cursor: Option<Cursor>,
    tools: &PollTools<'_>,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    let deadline = Instant::now() + source.timeout.as_duration();
    let poll = Poll { source, svn, password: tools.token, deadline };
    poll.once(cursor)
        .await
        .map_err(|cause| PollError { message: format!("failed to poll `{}`: {cause}", svn.repository) })
}

struct Poll<'a> {
    source: &'a ChangeSourcePlan,
    svn: &'a SvnPlan,
    password: Option<&'a str>,
    deadline: Instant,
}

impl Poll<'_> {
    async fn once(&self, cursor: Option<Cursor>) -> Result<(Vec<NewChange>, Cursor), String> {
        let newest = self.item("revision").await?;
        let newest: u64 = newest.parse().map_err(|_| format!("it says `{newest}` instead of a revision"))?;
        let seen: Cursor = [(REVISION.to_owned(), newest.to_string())].into();
        let before = cursor.and_then(|cursor| cursor.get(REVISION)?.parse::<u64>().ok());
        // Also a repository that was made anew, whose numbers begin again.
        let Some(before) = before.filter(|before| *before < newest) else { return Ok((Vec::new(), seen)) };
        let (url, root) = (self.item("url").await?, self.item("repos-root-url").await?);
        let inside = decoded(url.strip_prefix(&root).unwrap_or_default());
        let range = format!("{newest}:{}", before + 1);
        let limit = most(self.source).to_string();
        let words = ["log", "--xml", "--verbose", "--revision", &range, "--limit", &limit];
        let log = self.program(words).args(["--", &pegged(&self.svn.repository)]).answer().await?;
        let globs = if self.svn.branches.is_empty() { None } else { Some(patterns(&self.svn.branches)?) };
        let mut changes = Vec::new();
        for entry in read(&log)?.into_iter().rev() {
            changes.extend(self.of_entry(entry, &inside, globs.as_ref()));
        }
        Ok((changes, seen))
    }

    fn program<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Program {
        let program =
            Program::new("svn", &[], self.deadline).args(words).args(["--non-interactive", "--no-auth-cache"]);
        match &self.svn.user {
            Some(user) => program.args(["--username", user, "--password-from-stdin"]).input(self.password),
            None => program,
        }
    }

    async fn item(&self, item: &str) -> Result<String, String> {
        let words = ["info", "--show-item", item, "--no-newline", "--revision", "HEAD"];
        Ok(self.program(words).args(["--", &pegged(&self.svn.repository)]).answer().await?.trim().to_owned())
    }

    /// The changes of one revision: one for each branch that it touches.
    fn of_entry(&self, entry: Entry, inside: &str, globs: Option<&GlobSet>) -> Vec<NewChange> {
        let mut found: Vec<(Place, Vec<String>)> = Vec::new();
        for path in &entry.paths {
            let Some(path) = path.strip_prefix(inside).and_then(|rest| below(rest, inside)) else { continue };
            let Some((place, file)) = split(self.svn.layout, path) else { continue };
            if place.branch.as_deref().is_some_and(|branch| globs.is_some_and(|globs| !globs.is_match(branch))) {
                continue;
            }
            match found.iter_mut().find(|(known, _)| *known == place) {
                Some((_, files)) => files.push(file),
                None => found.push((place, vec![file])),
            }
        }
        let each = found.into_iter().map(|(place, files)| {
            let repository = match &place.project {
                Some(project) => format!("{}/{project}", self.svn.repository.trim_end_matches('/')),
                None => String::new(),
            };
            let change = NewChange {
                author: entry.author.clone(),
                comments: entry.message.clone(),
                files: files.into_iter().filter(|file| !file.is_empty()).collect(),
                branch: place.branch,
                revision: Some(entry.revision.clone()),
                when: entry.when,
                project: place.project.unwrap_or_default(),
                repository,
                ..NewChange::default()
            };
            owned(self.source, change)
        });
        each.collect()
    }
}

/// An address in which nothing is taken for a revision.
fn pegged(address: &str) -> String {
    if address.contains('@') { format!("{address}@") } else { address.to_owned() }
}

/// The percent signs of an address, which paths in a log do not have.
fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A path below the polled directory; none for one that only begins like it.
fn below<'p>(rest: &'p str, inside: &str) -> Option<&'p str> {
    if inside.is_empty() || rest.is_empty() || rest.starts_with('/') {
        Some(rest.trim_start_matches('/'))
    } else {
        None
    }
}

/// Where in a layout a path is.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    project: Option<String>,
    branch: Option<String>,
}

/// The place of a path, and the path in it. None for what belongs to no branch, such as tags.
fn split(layout: SvnLayout, path: &str) -> Option<(Place, String)> {
    let (project, path) = match layout {
        SvnLayout::Plain => return Some((Place { project: None, branch: None }, path.to_owned())),
        SvnLayout::Branches => (None, path),
        SvnLayout::Projects => {
            let (project, rest) = path.split_once('/')?;
            (Some(project.to_owned()), rest)
        }
    };
    let mut parts = path.splitn(3, '/');
    let (branch, file) = match (parts.next()?, parts.next(), parts.next()) {
        ("trunk", first, rest) => {
            let file: Vec<&str> = first.into_iter().chain(rest).collect();
            ("trunk".to_owned(), file.join("/"))
        }
        ("branches", Some(name), rest) if !name.is_empty() => {
            (format!("branches/{name}"), rest.unwrap_or_default().to_owned())
        }
        _ => return None,
    };
    Some((Place { project, branch: Some(branch) }, file))
}

/// A revision in the log.
#[derive(Debug, Default)]
struct Entry {
    revision: String,
    author: String,
    message: String,
    when: Option<Timestamp>,
    paths: Vec<String>,
}

/// The revisions of a log, in its order. Those that the account may not read have no author, date or paths.
fn read(xml: &str) -> Result<Vec<Entry>, String> {
    let document = roxmltree::Document::parse(xml).map_err(|error| format!("its log cannot be read: {error}"))?;
    let entries = document.root_element().children().filter(|node| node.has_tag_name("logentry"));
    let each = entries.map(|node| {
        let text = |name| {
            let child = node.children().find(|child| child.has_tag_name(name));
            child.and_then(|child| child.text()).unwrap_or_default().to_owned()
        };
        let paths = node.descendants().filter(|child| child.has_tag_name("path"));
        Entry {
            revision: node.attribute("revision").unwrap_or_default().to_owned(),
            author: text("author"),
            message: text("msg"),
            when: text("date").parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_millis(at.as_millisecond())),
            paths: paths.filter_map(|path| path.text()).map(str::to_owned).collect(),
        }
    });
    Ok(each.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_say_where_a_path_is() {
        let of = |layout, path: &str| {
            split(layout, path).map(|(place, file)| {
                format!("{} {} {file}", place.project.unwrap_or_default(), place.branch.unwrap_or_default())
            })
        };
        for (layout, path, wanted) in [
            (SvnLayout::Plain, "trunk/a", Some("  trunk/a")),
            (SvnLayout::Branches, "trunk/a/b/c", Some(" trunk a/b/c")),
            (SvnLayout::Branches, "trunk", Some(" trunk ")),
            (SvnLayout::Branches, "branches/1.x/src/a", Some(" branches/1.x src/a")),
            (SvnLayout::Branches, "branches/1.x", Some(" branches/1.x ")),
            (SvnLayout::Branches, "branches", None),
            (SvnLayout::Branches, "tags/1/a", None),
            (SvnLayout::Branches, "README", None),
            (SvnLayout::Projects, "app/trunk/a", Some("app trunk a")),
            (SvnLayout::Projects, "app/branches/x/a", Some("app branches/x a")),
            (SvnLayout::Projects, "trunk", None),
        ] {
            assert_eq!(of(layout, path).as_deref(), wanted, "{path}");
        }
    }

    #[test]
    fn a_directory_is_not_another_that_begins_like_it() {
        assert_eq!(below("/a", "/app"), Some("a"));
        assert_eq!(below("lication/a", "/app"), None);
        assert_eq!(below("/app/a", ""), Some("app/a"));
        assert_eq!(below("", "/app"), Some(""));
    }

    #[test]
    fn a_log_that_is_cut_off_or_odd_is_an_error_or_empty() {
        assert!(read("<log><logentry revision=\"1\">").is_err());
        assert!(read("").is_err());
        let hidden = read("<log><logentry revision=\"7\"><msg></msg></logentry></log>").unwrap();
        assert_eq!((hidden[0].revision.as_str(), hidden[0].author.as_str(), hidden[0].paths.len()), ("7", "", 0));
    }
}

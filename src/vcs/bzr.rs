//! Polls branches of Bazaar, with Breezy. What was seen are the numbers of their newest revisions.

use tokio::time::Instant;

use super::PollError;
use super::program::{Program, most, owned};
use crate::base::Timestamp;
use crate::model::{BzrPlan, ChangeSourcePlan, Cursor, NewChange};

/// The entry of the cursor for a repository that is one branch.
const ITSELF: &str = ".";
/// What is between two revisions in a log.
const RULE: &str = "------------------------------------------------------------";

/// Polls the branches once.
pub(super) async fn poll_bzr(
    source: &ChangeSourcePlan,
    bzr: &BzrPlan,
    cursor: Option<Cursor>,
) -> Result<(Vec<NewChange>, Cursor), PollError> {
    let deadline = Instant::now() + source.timeout.as_duration();
    let poll = Poll { source, bzr, deadline };
    poll.once(cursor)
        .await
        .map_err(|cause| PollError { message: format!("failed to poll `{}`: {cause}", bzr.repository) })
}

struct Poll<'a> {
    source: &'a ChangeSourcePlan,
    bzr: &'a BzrPlan,
    deadline: Instant,
}

impl Poll<'_> {
    async fn once(&self, cursor: Option<Cursor>) -> Result<(Vec<NewChange>, Cursor), String> {
        let (mut changes, mut seen) = (Vec::new(), Cursor::new());
        let names: Vec<Option<&str>> = match self.bzr.branches.as_slice() {
            [] => vec![None],
            names => names.iter().map(|name| Some(name.as_str())).collect(),
        };
        for name in names {
            let address = name.map_or_else(
                || self.bzr.repository.clone(),
                |name| format!("{}/{name}", self.bzr.repository.trim_end_matches('/')),
            );
            let told = self.program(["revno", "--", &address]).answer().await?;
            let newest: u64 =
                told.trim().parse().map_err(|_| format!("it says `{}` instead of a revision", told.trim()))?;
            let key = name.unwrap_or(ITSELF).to_owned();
            // Of a branch that is new only its newest revision is a change: the others are of its origin.
            let before = cursor.as_ref().map(|cursor| cursor.get(&key).and_then(|seen| seen.parse::<u64>().ok()));
            let before = before.map(|before| before.unwrap_or(newest.saturating_sub(1)));
            seen.insert(key, newest.to_string());
            let Some(before) = before.filter(|before| *before < newest) else { continue };
            let first = (before + 1).max(newest.saturating_sub(most(self.source) as u64 - 1));
            let range = format!("{first}..{newest}");
            let words =
                ["log", "--long", "--verbose", "--timezone=utc", "--forward", "-n1", "--revision", &range, "--"];
            let log = self.program(words).args([address.as_str()]).answer().await?;
            for change in read(&log) {
                changes.push(owned(self.source, NewChange { branch: name.map(str::to_owned), ..change }));
            }
        }
        Ok((changes, seen))
    }

    fn program<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Program {
        let quiet = [("BRZ_PROGRESS_BAR", "none"), ("BZR_PROGRESS_BAR", "none"), ("BRZ_LOG", "/dev/null")];
        Program::new(&self.bzr.program, &quiet, self.deadline).args(words)
    }
}

/// What a line of a log belongs to.
enum Part {
    Head,
    Message,
    Files,
    /// Files in the form `old => new`.
    Renamed,
}

/// The revisions of a log in its long form, in its order. A message is indented, so nothing in it looks like a head.
fn read(log: &str) -> Vec<NewChange> {
    let (mut found, mut part) = (Vec::<NewChange>::new(), Part::Head);
    for line in log.lines() {
        if line == RULE {
            found.push(NewChange::default());
            part = Part::Head;
            continue;
        }
        let Some(change) = found.last_mut() else { continue };
        if let Some(text) = line.strip_prefix("  ") {
            match part {
                Part::Message => {
                    let gap = if change.comments.is_empty() { "" } else { "\n" };
                    change.comments += &format!("{gap}{text}");
                }
                Part::Files => change.files.push(text.to_owned()),
                Part::Renamed => change.files.extend(text.split(" => ").map(str::to_owned)),
                Part::Head => {}
            }
            continue;
        }
        let (word, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim();
        match word {
            // A merge says so behind the number.
            "revno" => change.revision = value.split(' ').next().map(str::to_owned),
            "author" => value.clone_into(&mut change.author),
            "committer" => {
                if change.author.is_empty() {
                    value.clone_into(&mut change.author);
                } else {
                    change.committer = Some(value.to_owned());
                }
            }
            "timestamp" => change.when = moment(value),
            "message" => part = Part::Message,
            "renamed" => part = Part::Renamed,
            "added" | "removed" | "modified" | "kind changed" => part = Part::Files,
            _ => {}
        }
    }
    for change in &mut found {
        change.files.retain(|file| !file.ends_with('/'));
        change.files.sort();
        change.files.dedup();
    }
    found
}

/// `Fri 2026-11-27 23:28:24 +0000`
fn moment(text: &str) -> Option<Timestamp> {
    let mut words = text.split(' ').skip(1);
    let at = format!("{}T{}Z", words.next()?, words.next()?).parse::<jiff::Timestamp>().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_changes() {
        let log = "------------------------------------------------------------\n\
                   revno: 2 [merge]\n\
                   author: Ann <ann@x>\n\
                   committer: Bob <bob@x>\n\
                   branch nick: trunk\n\
                   timestamp: Fri 2026-11-27 23:28:24 +0000\n\
                   message:\n  second: line\n  ---\n  more\n\
                   added:\n  d/\n  d/y\n  two words\n\
                   renamed:\n  one => uno\n\
                   ------------------------------------------------------------\n\
                   revno: 3\ncommitter: Bob <bob@x>\nmessage:\n  third\n";
        let found = read(log);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].revision.as_deref(), Some("2"));
        assert_eq!((found[0].author.as_str(), found[0].committer.as_deref()), ("Ann <ann@x>", Some("Bob <bob@x>")));
        assert_eq!(found[0].comments, "second: line\n---\nmore");
        assert_eq!(found[0].files, ["d/y", "one", "two words", "uno"]);
        assert_eq!(found[0].when.unwrap().to_string().get(..19), Some("2026-11-27T23:28:24"));
        assert_eq!((found[1].author.as_str(), found[1].comments.as_str()), ("Bob <bob@x>", "third"));
        assert!(read("nonsense\n  x\n").is_empty());
    }
}

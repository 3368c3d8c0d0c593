//! What a Gerrit server answers to `gerrit query --format=JSON` (gerrit-review.googlesource.com, "gerrit query" and "JSON
//! data"): a change a line, and a last line of statistics. Pure.

use serde::Deserialize;
use serde_json::Value as Json;

use super::super::hook::{Comment as Asking, Pull};
use crate::base::Timestamp;
use crate::model::{GerritPlan, HookSettings, NewChange, PullRef, Value};

/// Paths kept of one patch set; the git poller's bound, too.
const FILES_MAX: usize = 10_000;
/// A file of Gerrit's own making in each patch set begins so.
const MADE_UP: &str = "/";

/// One page of an answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// In the server's order.
    pub reviews: Vec<Review>,
    /// There are more.
    pub more: bool,
}

/// A change under review, with its newest patch set.
#[derive(Clone, Debug, Default)]
pub(super) struct Review {
    pub number: i64,
    pub branch: String,
    pub is_wip: bool,
    /// In seconds since 1970, as all moments here.
    pub updated: i64,
    pub patch_set: i64,
    pub revision: String,
    pub reference: String,
    pub patch_created: i64,
    pub comments: Vec<Comment>,
    pub id: String,
    pub project: String,
    pub subject: String,
    pub message: String,
    pub url: Option<String>,
    pub topic: Option<String>,
    pub owner: Account,
    pub author: Account,
    pub files: Vec<String>,
}

/// A message on a change.
#[derive(Clone, Debug, Default)]
pub(super) struct Comment {
    pub at: i64,
    by: Account,
    text: String,
}

/// Somebody, as far as the server tells.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Account {
    name: Option<String>,
    email: Option<String>,
    username: Option<String>,
}

/// A line of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Line {
    /// Of the last line, and of an error.
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    more_changes: bool,
    number: Json,
    id: String,
    project: String,
    branch: String,
    topic: Option<String>,
    subject: String,
    owner: Account,
    url: Option<String>,
    commit_message: Option<String>,
    last_updated: i64,
    wip: bool,
    current_patch_set: Option<PatchSet>,
    comments: Vec<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PatchSet {
    number: Json,
    revision: String,
    #[serde(rename = "ref")]
    reference: String,
    author: Account,
    created_on: i64,
    files: Vec<ChangedFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChangedFile {
    file: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    timestamp: i64,
    reviewer: Account,
    #[serde(rename = "message")]
    text: String,
}

/// Reads one page.
pub(super) fn read_answer(text: &str) -> Result<Answer, String> {
    let mut answer = Answer::default();
    let mut is_complete = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let line: Line =
            serde_json::from_str(line).map_err(|error| format!("its answer has an unknown form: {error}"))?;
        match line.kind.as_deref() {
            Some("stats") => {
                answer.more = line.more_changes;
                is_complete = true;
            }
            Some("error") => return Err(format!("it answered `{}`", line.message.unwrap_or_default())),
            Some(_) | None => answer.reviews.push(review(line)?),
        }
    }
    if is_complete { Ok(answer) } else { Err("its answer broke off".to_owned()) }
}

fn review(line: Line) -> Result<Review, String> {
    let number = number(&line.number).ok_or("its answer has an unknown form: a change has no number")?;
    let missing = || format!("its answer has an unknown form: change {number} has no patch set");
    let patch = line.current_patch_set.ok_or_else(missing)?;
    let is_revision =
        (40..=64).contains(&patch.revision.len()) && patch.revision.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_revision || !patch.reference.starts_with("refs/changes/") {
        return Err(format!("its answer has an unknown form: the patch set of change {number} has no revision or ref"));
    }
    let files = patch.files.into_iter().map(|file| file.file);
    let comment = |message: Message| Comment { at: message.timestamp, by: message.reviewer, text: message.text };
    Ok(Review {
        number,
        branch: line.branch,
        is_wip: line.wip,
        updated: line.last_updated,
        patch_set: self::number(&patch.number).unwrap_or(1),
        revision: patch.revision,
        reference: patch.reference,
        patch_created: patch.created_on,
        comments: line.comments.into_iter().map(comment).collect(),
        id: line.id,
        project: line.project,
        message: line.commit_message.unwrap_or_else(|| line.subject.clone()),
        subject: line.subject,
        url: line.url,
        topic: line.topic,
        owner: line.owner,
        author: patch.author,
        files: files.filter(|file| !file.starts_with(MADE_UP)).take(FILES_MAX).collect(),
    })
}

/// Versions before 2.15 wrote numbers as texts.
fn number(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_str()?.parse().ok())
}

impl Account {
    fn shown(&self) -> String {
        match (self.name.as_deref().or(self.username.as_deref()), &self.email) {
            (Some(name), Some(mail)) => format!("{name} <{mail}>"),
            (Some(name), None) => name.to_owned(),
            (None, Some(mail)) => format!("<{mail}>"),
            (None, None) => String::new(),
        }
    }
}

impl Comment {
    /// What tells it from the others.
    pub(super) fn key(&self, review: i64) -> String {
        format!("{review}/{}/{}", self.at, self.by.username.as_deref().unwrap_or_default())
    }

    /// Its own words: the server puts the patch set, votes and a count of comments in front.
    fn words(&self) -> &str {
        let text = self.text.trim_start();
        let Some(rest) = text.strip_prefix("Patch Set ") else { return text };
        let words = rest.split_once('\n').map_or("", |(_, words)| words).trim_start();
        match words.split_once('\n') {
            Some((first, words)) if is_count(first) => words.trim_start(),
            None if is_count(words) => "",
            _ => words,
        }
    }
}

/// `(2 comments)`.
fn is_count(line: &str) -> bool {
    let inside = line.trim().strip_prefix('(').and_then(|line| line.strip_suffix(')')).unwrap_or_default();
    inside.ends_with(" comment") || inside.ends_with(" comments")
}

impl Review {
    /// The word for a new patch set.
    pub(super) const fn event(&self) -> &'static str {
        if self.patch_set > 1 { "updated" } else { "opened" }
    }

    /// Its change.
    pub(super) fn change(&self, event: &str) -> NewChange {
        self.finished(self.pull().change(event))
    }

    /// The change that a comment asks for, if it does and its author may. It has no revision, because it is another build of
    /// one that is known; its ref is of this patch set alone.
    pub(super) fn commented(&self, comment: &Comment, gerrit: &GerritPlan) -> Option<NewChange> {
        let settings = HookSettings {
            pulls: Some(PullRef::Head),
            comments: gerrit.comments.clone(),
            comments_from: gerrit.comments_from.clone(),
            ..HookSettings::default()
        };
        let asking = Asking {
            text: comment.words().to_owned(),
            author: comment.by.username.clone(),
            association: None,
            url: self.url.clone(),
        };
        let change = self.pull().commented(&asking, &settings).ok()?;
        Some(NewChange { revision: None, when: Some(Timestamp::from_seconds(comment.at)), ..self.finished(change) })
    }

    fn finished(&self, change: NewChange) -> NewChange {
        let when = Some(Timestamp::from_seconds(self.patch_created));
        NewChange {
            author: self.author.shown(),
            comments: self.message.clone(),
            files: self.files.clone(),
            when,
            ..change
        }
    }

    fn pull(&self) -> Pull {
        let text = |text: &str| Value::Str(text.to_owned());
        let mut facts = vec![
            ("event.change.id", text(&self.id)),
            ("event.change.number", self.number.into()),
            ("event.change.project", text(&self.project)),
            ("event.change.branch", text(&self.branch)),
            ("event.patchSet.number", self.patch_set.into()),
            ("event.patchSet.ref", text(&self.reference)),
            ("event.patchSet.revision", text(&self.revision)),
        ];
        facts.extend(self.topic.as_deref().map(|topic| ("event.change.topic", text(topic))));
        Pull {
            number: self.number,
            title: Some(self.subject.clone()),
            url: self.url.clone(),
            author: self.owner.username.clone().or_else(|| self.owner.name.clone()),
            draft: self.is_wip,
            head_sha: Some(self.revision.clone()),
            base: Some(self.branch.clone()),
            branch: self.reference.clone(),
            facts,
            ..Pull::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: &str = r#"{"project":"team/app","branch":"main","topic":"parser","id":"I7ad5cf4a","number":4711,"subject":"Fix the parser","owner":{"name":"Bob","email":"bob@example.org","username":"bob"},"url":"https://review.example.org/c/team/app/+/4711","commitMessage":"Fix the parser\n\nIt lost the last line.\n\nChange-Id: I7ad5cf4a\n","createdOn":1700000000,"lastUpdated":1700000300,"open":true,"status":"NEW","wip":true,"comments":[{"timestamp":1700000100,"reviewer":{"name":"Ann","username":"ann"},"message":"Patch Set 2: Code-Review+1\n\n(1 comment)\n\n/build please"}],"currentPatchSet":{"number":2,"revision":"f95f852bd8fca8fcc58a9a2d6c842781e32a215e","parents":["6113728f27ae82c7b1a177c8d03f9e96e0adf246"],"ref":"refs/changes/11/4711/2","uploader":{"name":"Bob","username":"bob"},"createdOn":1700000200,"author":{"name":"Bob","email":"bob@example.org"},"kind":"REWORK","files":[{"file":"/COMMIT_MSG","type":"ADDED","insertions":9,"deletions":0},{"file":"src/parser.c","type":"MODIFIED","insertions":1,"deletions":-1}],"sizeInsertions":1,"sizeDeletions":-1}}"#;
    const STATS: &str = r#"{"type":"stats","rowCount":1,"runTimeMilliseconds":7,"moreChanges":true}"#;

    fn one() -> Review {
        let answer = read_answer(&format!("{CHANGE}\n{STATS}\n")).unwrap();
        assert!(answer.more);
        answer.reviews.into_iter().next().unwrap()
    }

    #[test]
    fn a_change_under_review_is_a_change_of_its_patch_set() {
        let review = one();
        assert!(review.is_wip);
        let change = review.change(review.event());
        assert_eq!(change.author, "Bob <bob@example.org>");
        assert_eq!(change.branch.as_deref(), Some("refs/changes/11/4711/2"));
        assert_eq!(change.revision.as_deref(), Some("f95f852bd8fca8fcc58a9a2d6c842781e32a215e"));
        assert_eq!(change.files, ["src/parser.c"]);
        assert!(change.comments.starts_with("Fix the parser\n\nIt lost"), "{}", change.comments);
        assert_eq!(change.category.as_deref(), Some("pull"));
        let property = |name: &str| change.properties.get(name).cloned();
        assert_eq!(property("event"), Some("updated".into()));
        assert_eq!(property("pull.number"), Some(4711.into()));
        assert_eq!(property("pull.base"), Some("main".into()));
        assert_eq!(property("pull.author"), Some("bob".into()));
        assert_eq!(property("event.change.topic"), Some("parser".into()));
        assert_eq!(property("event.patchSet.number"), Some(2.into()));
    }

    #[test]
    fn a_comment_asks_for_another_build_of_its_patch_set() {
        let gerrit = |from: &str| GerritPlan {
            server: crate::model::GerritServer { ssh: Vec::new(), user: None, host: String::new(), port: 0 },
            project: String::new(),
            repository: String::new(),
            branches: Vec::new(),
            drafts: true,
            comments: Some("^/build".to_owned()),
            comments_from: vec![from.to_owned()],
            stream: false,
        };
        let review = one();
        let change = review.commented(&review.comments[0], &gerrit("@ann")).unwrap();
        assert_eq!((change.branch.as_deref(), change.revision), (Some("refs/changes/11/4711/2"), None));
        assert_eq!(change.properties.get("comment.text"), Some(&"/build please".into()));
        assert!(review.commented(&review.comments[0], &gerrit("@bob")).is_none());
    }

    #[test]
    fn the_words_of_a_comment_are_what_its_author_wrote() {
        let words = |text: &str| Comment { text: text.to_owned(), ..Comment::default() }.words().to_owned();
        assert_eq!(words("Patch Set 1:\n\n/build"), "/build");
        assert_eq!(words("Patch Set 1: Verified+1\n\n(2 comments)\n\n/build\nall"), "/build\nall");
        assert_eq!(words("Patch Set 1:\n\n(1 comment)"), "");
        assert_eq!(words("Uploaded patch set 2."), "Uploaded patch set 2.");
        assert_eq!(words("Patch Set 1: Verified+1"), "");
    }

    #[test]
    fn what_is_no_answer_is_told() {
        let wrong = |text: &str| read_answer(text).unwrap_err();
        assert!(wrong(CHANGE).contains("broke off"));
        assert!(wrong("fatal: query").contains("unknown form"));
        assert!(wrong(r#"{"type":"error","message":"project not found"}"#).contains("`project not found`"));
        assert!(wrong(r#"{"number":1}"#).contains("no patch set"));
        assert!(wrong(&CHANGE.replace("f95f852bd8", "--help....")).contains("no revision"));
        assert!(read_answer(STATS).unwrap().reviews.is_empty());
    }
}

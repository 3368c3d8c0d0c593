//! Pull and merge requests, and comments on them, as changes.

use regex::Regex;

use super::push::owned;
use crate::model::{HookSettings, NewChange, PullEvent, Value};

/// The source of properties of changes.
const SOURCE: &str = "Change";
/// Characters of a title that become a property; every build carries it.
const TITLE_CHARS_MAX: usize = 1_000;
/// Labels that become a property.
const LABELS_MAX: usize = 100;
/// Characters of a label, or of a comment's first line.
const LABEL_CHARS_MAX: usize = 200;

/// A pull request as its forge tells it. What is not told is left out of the properties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vcs) struct Pull {
    pub number: i64,
    pub title: Option<String>,
    pub text: Option<String>,
    pub url: Option<String>,
    pub author: Option<String>,
    pub draft: bool,
    pub labels: Vec<String>,
    /// Branch and commit of what its author pushed, and where that is.
    pub head: Option<String>,
    pub head_sha: Option<String>,
    pub head_repository: Option<String>,
    /// Where it is to go.
    pub base: Option<String>,
    pub base_sha: Option<String>,
    /// What to check out: a branch or ref of the change's repository.
    pub branch: String,
    /// Further properties.
    pub facts: Vec<(&'static str, Value)>,
}

impl Pull {
    /// The change that it is now.
    pub(in crate::vcs) fn change(self, event: &str) -> NewChange {
        let mut change = NewChange {
            author: self.author.clone().unwrap_or_default(),
            comments: paragraphs(self.title.as_deref(), self.text.as_deref()),
            branch: Some(self.branch.clone()),
            revision: self.head_sha.clone(),
            revlink: self.url.clone(),
            category: Some("pull".to_owned()),
            ..NewChange::default()
        };
        let labels = self.labels.iter().take(LABELS_MAX).map(|label| Value::Str(cut(label, LABEL_CHARS_MAX)));
        let mut set = |name: &str, value: Value| change.properties.set(name, value, SOURCE);
        set("event", event.into());
        set("pull.number", self.number.into());
        set("pull.draft", self.draft.into());
        set("pull.labels", Value::List(labels.collect()));
        let texts = [
            ("pull.title", self.title.as_deref().map(|title| cut(title, TITLE_CHARS_MAX))),
            ("pull.url", self.url),
            ("pull.author", self.author),
            ("pull.head", self.head),
            ("pull.head_sha", self.head_sha),
            ("pull.head_repository", self.head_repository),
            ("pull.base", self.base),
            ("pull.base_sha", self.base_sha),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                set(name, text.into());
            }
        }
        for (name, value) in self.facts {
            set(name, value);
        }
        change
    }

    /// The change of an event, if that is one which the hook is to tell; else why not.
    pub(super) fn heard(self, event: PullEvent, settings: &HookSettings) -> Result<NewChange, String> {
        let number = self.number;
        if settings.pulls.is_none() {
            return Err("this hook does not take pull requests (`pull_requests`)".to_owned());
        }
        if self.draft && !settings.drafts {
            return Err(format!("pull request {number} is a draft"));
        }
        // Whoever leaves drafts out waits for the end of one.
        let counts = settings.pull_events.contains(&event) || (event == PullEvent::Ready && !settings.drafts);
        if !counts {
            return Err(format!("pull request {number} was {}, which is not among `pull_events`", event.word()));
        }
        Ok(owned(self.change(event.word()), settings))
    }

    /// The change that a comment asks for; else why not.
    pub(in crate::vcs) fn commented(self, comment: &Comment, settings: &HookSettings) -> Result<NewChange, String> {
        if settings.pulls.is_none() {
            return Err("this hook does not take pull requests (`pull_requests`)".to_owned());
        }
        comment.asks(settings)?;
        let mut change = self.change("comment");
        change.properties.set(
            "comment.text",
            cut(comment.text.lines().next().unwrap_or_default(), LABEL_CHARS_MAX),
            SOURCE,
        );
        for (name, text) in [("comment.author", &comment.author), ("comment.url", &comment.url)] {
            if let Some(text) = text {
                change.properties.set(name, text.as_str(), SOURCE);
            }
        }
        Ok(owned(change, settings))
    }
}

/// A comment on a pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vcs) struct Comment {
    pub text: String,
    pub author: Option<String>,
    /// What the author is to the repository, if the forge says that.
    pub association: Option<String>,
    pub url: Option<String>,
}

impl Comment {
    /// Whether it asks for a build, and its author may; else why not.
    fn asks(&self, settings: &HookSettings) -> Result<(), String> {
        let Some(pattern) = &settings.comments else {
            return Err("comments ask for no builds (`comments` of the hook)".to_owned());
        };
        // Checked when the configuration was loaded.
        let pattern = Regex::new(pattern).map_err(|_| "the pattern `comments` is wrong".to_owned())?;
        if !pattern.is_match(&self.text) {
            return Err("the comment does not match `comments`".to_owned());
        }
        let author = self.author.as_deref().unwrap_or_default();
        let is_him = |one: &String| match one.strip_prefix('@') {
            Some(name) => !author.is_empty() && name.eq_ignore_ascii_case(author),
            None => self.association.as_deref().is_some_and(|association| association.eq_ignore_ascii_case(one)),
        };
        if settings.comments_from.iter().any(is_him) {
            return Ok(());
        }
        let is = self.association.as_deref().map(|association| format!(" ({})", association.to_ascii_lowercase()));
        Err(format!("the author of the comment{} is not among `comments_from`", is.unwrap_or_default()))
    }
}

fn paragraphs(title: Option<&str>, text: Option<&str>) -> String {
    let both: Vec<&str> = [title, text].into_iter().flatten().collect();
    both.join("\n\n")
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PullRef;

    fn settings() -> HookSettings {
        HookSettings {
            pulls: Some(PullRef::Merge),
            pull_events: PullEvent::USUAL.to_vec(),
            drafts: true,
            ..HookSettings::default()
        }
    }

    fn pull() -> Pull {
        Pull { number: 7, branch: "refs/pull/7/merge".to_owned(), title: Some("Fix".to_owned()), ..Pull::default() }
    }

    #[test]
    fn events_count_as_the_configuration_says() {
        let event = |change: Result<NewChange, String>| change.unwrap().properties.get("event").cloned();
        assert_eq!(event(pull().heard(PullEvent::Opened, &settings())), Some("opened".into()));
        let why = pull().heard(PullEvent::Labelled, &settings()).unwrap_err();
        assert_eq!(why, "pull request 7 was labelled, which is not among `pull_events`");
        assert!(pull().heard(PullEvent::Ready, &settings()).is_err());
        let no_drafts = HookSettings { drafts: false, ..settings() };
        assert!(pull().heard(PullEvent::Ready, &no_drafts).is_ok());
        let draft = Pull { draft: true, ..pull() };
        assert!(draft.clone().heard(PullEvent::Opened, &settings()).is_ok());
        assert_eq!(draft.heard(PullEvent::Opened, &no_drafts).unwrap_err(), "pull request 7 is a draft");
        let none = HookSettings { pulls: None, ..settings() };
        assert!(pull().heard(PullEvent::Opened, &none).unwrap_err().contains("`pull_requests`"));
    }

    #[test]
    fn comments_ask_if_they_match_and_their_author_may() {
        let settings = HookSettings {
            comments: Some("^/build".to_owned()),
            comments_from: vec!["member".to_owned(), "@Bob".to_owned()],
            ..settings()
        };
        let comment = |text: &str, author: &str, association: Option<&str>| Comment {
            text: text.to_owned(),
            author: Some(author.to_owned()),
            association: association.map(str::to_owned),
            url: None,
        };
        let change = pull().commented(&comment("/build all\nplease", "ann", Some("MEMBER")), &settings).unwrap();
        assert_eq!(change.properties.get("comment.text"), Some(&"/build all".into()));
        assert!(pull().commented(&comment("/build", "bob", None), &settings).is_ok());
        for (text, author, association, why) in [
            ("please /build", "ann", Some("MEMBER"), "does not match"),
            ("/build", "eve", Some("NONE"), "(none) is not among"),
            ("/build", "eve", None, "is not among"),
            ("/build", "", Some(""), "is not among"),
        ] {
            let refused = pull().commented(&comment(text, author, association), &settings).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        let off = HookSettings { comments: None, ..settings };
        assert!(pull().commented(&comment("/build", "ann", Some("OWNER")), &off).unwrap_err().contains("`comments`"));
    }
}

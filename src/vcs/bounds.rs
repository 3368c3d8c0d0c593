//! How much a change from a hook or from `sendchange` may say.
//!
//! Changes stay for good and are shown in lists, so each field has a bound. A message that is too long is cut, as the
//! poller cuts it, because nothing is decided by its end; everything else is refused, because a cut name is another name.

use crate::model::{NewChange, Value, without_login};

/// Of the message; the poller's bound, too.
const COMMENT_BYTES_MAX: usize = 64 << 10;
const CUT: &str = "\n… (cut)";
/// Files of one change; the poller's bound, too.
const FILES_MAX: usize = 10_000;
/// A path: what Linux allows.
const FILE_BYTES_MAX: usize = 4_096;
/// An author, a branch, a repository: longer than any that a person would read.
const FIELD_BYTES_MAX: usize = 1_024;
const REVLINK_BYTES_MAX: usize = 2_048;
/// Each build of the change carries them.
const PROPERTIES_MAX: usize = 100;
const PROPERTY_NAME_BYTES_MAX: usize = 256;
const PROPERTY_BYTES_MAX: usize = 16 << 10;
const PROPERTIES_BYTES_MAX: usize = 64 << 10;

/// Makes sure that a change has a bounded size and says anything at all; the error names what is wrong.
pub fn bounded(mut change: NewChange) -> Result<NewChange, String> {
    if says_nothing(&change) {
        let fields =
            "`author`, `comments`, `files`, `branch`, `revision`, `repository`, `project`, `codebase`, `category`";
        return Err(format!("the change says nothing: give at least one of {fields}"));
    }
    for (name, text, most) in texts(&change) {
        check(name, text, most)?;
    }
    no_option(&change)?;
    // What a sender knows of passwords is stored and shown to nobody.
    change.repository = without_login(&change.repository);
    change.revlink = change.revlink.map(|link| without_login(&link));
    if change.files.len() > FILES_MAX {
        return Err(format!("`files` names {} files; at most {FILES_MAX} are taken", change.files.len()));
    }
    for file in &change.files {
        check("a path in `files`", file, FILE_BYTES_MAX)?;
    }
    properties(&change)?;
    if change.comments.len() > COMMENT_BYTES_MAX {
        change.comments.truncate(change.comments.floor_char_boundary(COMMENT_BYTES_MAX - CUT.len()));
        change.comments.push_str(CUT);
    }
    Ok(change)
}

/// Refuses names that programs would take for something else.
fn no_option(change: &NewChange) -> Result<(), String> {
    for (name, text) in [("branch", &change.branch), ("revision", &change.revision)] {
        let Some(text) = text else { continue };
        let is_spaced = name == "revision" && text.contains(char::is_whitespace);
        if text.starts_with('-') || text.contains(char::is_control) || is_spaced {
            return Err(format!("`{name}` is not the name of a {name}: {text:?}"));
        }
    }
    Ok(())
}

fn says_nothing(change: &NewChange) -> bool {
    texts(change).iter().all(|(_, text, _)| text.trim().is_empty())
        && change.comments.trim().is_empty()
        && change.files.is_empty()
        && change.properties.0.is_empty()
}

fn texts(change: &NewChange) -> [(&'static str, &str, usize); 9] {
    [
        ("`author`", &change.author, FIELD_BYTES_MAX),
        ("`committer`", change.committer.as_deref().unwrap_or_default(), FIELD_BYTES_MAX),
        ("`branch`", change.branch.as_deref().unwrap_or_default(), FIELD_BYTES_MAX),
        ("`revision`", change.revision.as_deref().unwrap_or_default(), FIELD_BYTES_MAX),
        ("`revlink`", change.revlink.as_deref().unwrap_or_default(), REVLINK_BYTES_MAX),
        ("`category`", change.category.as_deref().unwrap_or_default(), FIELD_BYTES_MAX),
        ("`repository`", &change.repository, FIELD_BYTES_MAX),
        ("`project`", &change.project, FIELD_BYTES_MAX),
        ("`codebase`", &change.codebase, FIELD_BYTES_MAX),
    ]
}

fn properties(change: &NewChange) -> Result<(), String> {
    let properties = &change.properties.0;
    if properties.len() > PROPERTIES_MAX {
        return Err(format!("it has {} properties; at most {PROPERTIES_MAX} are taken", properties.len()));
    }
    let mut whole = 0;
    for (name, property) in properties {
        check("the name of a property", name, PROPERTY_NAME_BYTES_MAX)?;
        let bytes = size(&property.value);
        whole += name.len() + bytes;
        if bytes > PROPERTY_BYTES_MAX {
            return Err(format!("the property `{name}` has {bytes} bytes; at most {PROPERTY_BYTES_MAX} are taken"));
        }
    }
    if whole > PROPERTIES_BYTES_MAX {
        return Err(format!("its properties have {whole} bytes together; at most {PROPERTIES_BYTES_MAX} are taken"));
    }
    Ok(())
}

/// Bytes of a value, roughly as JSON writes it.
fn size(value: &Value) -> usize {
    value.to_json().to_string().len()
}

fn check(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() <= most { Ok(()) } else { Err(format!("{what} has {} bytes; at most {most} are taken", text.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change() -> NewChange {
        NewChange { author: "Ann".to_owned(), ..NewChange::default() }
    }

    fn refused(set: impl FnOnce(&mut NewChange)) -> String {
        let mut change = change();
        set(&mut change);
        bounded(change).unwrap_err()
    }

    #[test]
    fn an_ordinary_change_stays_as_it_is() {
        let mut ordinary = change();
        ordinary.files = vec!["a".to_owned(); FILES_MAX];
        ordinary.comments = "x".repeat(COMMENT_BYTES_MAX);
        assert_eq!(bounded(ordinary.clone()), Ok(ordinary));
    }

    #[test]
    fn a_long_message_is_cut_with_a_mark() {
        let comments = bounded(NewChange { comments: "ü".repeat(COMMENT_BYTES_MAX), ..change() }).unwrap().comments;
        assert!(comments.ends_with("ü\n… (cut)") && comments.len() <= COMMENT_BYTES_MAX, "{}", comments.len());
    }

    #[test]
    fn everything_else_that_is_too_long_is_refused_by_name() {
        let long = || "x".repeat(5_000);
        assert!(refused(|change| change.author = long()).contains("`author` has 5000 bytes"));
        assert!(refused(|change| change.committer = Some(long())).contains("`committer`"));
        assert!(refused(|change| change.branch = Some(long())).contains("`branch`"));
        assert!(refused(|change| change.revision = Some(long())).contains("`revision`"));
        assert!(refused(|change| change.revlink = Some(long())).contains("`revlink`"));
        assert!(refused(|change| change.category = Some(long())).contains("`category`"));
        assert!(refused(|change| change.repository = long()).contains("`repository`"));
        assert!(refused(|change| change.project = long()).contains("`project`"));
        assert!(refused(|change| change.codebase = long()).contains("`codebase`"));
        assert!(refused(|change| change.files = vec![long()]).contains("`files`"));
        assert!(refused(|change| change.files = vec![String::new(); 10_001]).contains("10001 files"));
        assert!(refused(|change| change.properties.set(long(), 1, "Change")).contains("name of a property"));
        assert!(refused(|change| change.properties.set("p", long().repeat(4).as_str(), "Change")).contains("`p`"));
        let many = |change: &mut NewChange| (0..101).for_each(|n| change.properties.set(n.to_string(), 1, "Change"));
        assert!(refused(many).contains("101 properties"));
        let much = |change: &mut NewChange| {
            (0..20).for_each(|n| change.properties.set(n.to_string(), long().as_str(), "Change"));
        };
        assert!(refused(much).contains("together"));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for text in ["-x", "--upload-pack=touch x", "a\nb", "a\0"] {
            assert!(refused(|change| change.branch = Some(text.to_owned())).contains("`branch`"), "{text}");
            assert!(refused(|change| change.revision = Some(text.to_owned())).contains("`revision`"), "{text}");
        }
        assert!(refused(|change| change.revision = Some("HEAD main".to_owned())).contains("`revision`"));
        assert!(bounded(NewChange { branch: Some("a branch".to_owned()), ..change() }).is_ok());
    }

    #[test]
    fn a_login_in_an_address_is_left_out() {
        let told = NewChange {
            repository: "https://ann:s3cret@example.org/app".to_owned(),
            revlink: Some("https://ann:s3cret@example.org/app/1".to_owned()),
            ..change()
        };
        let kept = bounded(told).unwrap();
        assert_eq!(
            (kept.repository.as_str(), kept.revlink.as_deref()),
            ("https://example.org/app", Some("https://example.org/app/1"))
        );
    }

    #[test]
    fn a_change_that_says_nothing_is_refused() {
        assert!(bounded(NewChange::default()).unwrap_err().contains("says nothing"));
    }
}

//! Which branches of a repository a source looks at.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::remote::{Remote, TAGS};
use crate::base::nearest;
use crate::model::{BranchChoice, Cursor};

/// Branches that are named in an error.
const NAMED_MAX: usize = 5;

/// Tip by branch, of those that are chosen. The error says what would do.
pub(super) fn choose(
    choice: &BranchChoice,
    remote: &Remote,
    cursor: Option<&Cursor>,
) -> Result<BTreeMap<String, String>, String> {
    match choice {
        BranchChoice::Default => default(remote),
        BranchChoice::Names(names) => named(names, remote, cursor),
        BranchChoice::Patterns(patterns) => {
            let set = compile(patterns)?;
            Ok(remote.branches.iter().filter(|(name, _)| set.is_match(name)).map(pair).collect())
        }
    }
}

/// What the chosen tags name, by their whole names.
pub(super) fn choose_tags(patterns: &[String], remote: &Remote) -> Result<BTreeMap<String, String>, String> {
    let set = compile(patterns)?;
    Ok(remote.tags.iter().filter(|(name, _)| set.is_match(&name[TAGS.len()..])).map(pair).collect())
}

fn default(remote: &Remote) -> Result<BTreeMap<String, String>, String> {
    match (&remote.default, &remote.head) {
        (Some(branch), Some(tip)) => Ok([(branch.clone(), tip.clone())].into()),
        (None, Some(_)) => Err("it does not say which branch is its default (its HEAD names a commit, not a branch); \
                                name the branches to look at: `branches = [\"main\"]`"
            .to_owned()),
        // A repository without commits.
        (_, None) => Ok(BTreeMap::new()),
    }
}

/// Branches that are missing may come. But if none of them was ever seen, the names are probably wrong.
fn named(names: &[String], remote: &Remote, cursor: Option<&Cursor>) -> Result<BTreeMap<String, String>, String> {
    let short = |name: &String| name.strip_prefix("refs/heads/").unwrap_or(name).to_owned();
    let names: Vec<String> = names.iter().map(short).collect();
    let found: BTreeMap<String, String> =
        names.iter().filter_map(|name| remote.branches.get_key_value(name)).map(pair).collect();
    let were_seen = cursor.is_some_and(|cursor| names.iter().any(|name| cursor.contains_key(name)));
    if found.is_empty() && !remote.branches.is_empty() && !were_seen {
        return Err(missing(&names, remote));
    }
    Ok(found)
}

fn missing(names: &[String], remote: &Remote) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let known = || remote.branches.keys().map(String::as_str);
    let near = names.iter().find_map(|name| nearest(name, known()));
    let hint = near.map_or_else(|| some_of(remote), |near| format!("did you mean `{near}`?"));
    format!("it has no branch {}; {hint}", quoted.join(" or "))
}

fn some_of(remote: &Remote) -> String {
    let some: Vec<String> = remote.branches.keys().take(NAMED_MAX).map(|name| format!("`{name}`")).collect();
    format!("it has {}{}", some.join(", "), if remote.branches.len() > NAMED_MAX { ", …" } else { "" })
}

/// As in git's own patterns for branches, `*` also matches `/`.
fn compile(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
        set.add(glob.map_err(|error| format!("the branch pattern `{pattern}` is wrong: {}", error.kind()))?);
    }
    set.build().map_err(|error| format!("the branch patterns are too complex together: {error}"))
}

fn pair((name, tip): (&String, &String)) -> (String, String) {
    (name.clone(), tip.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(branches: &[&str]) -> Remote {
        let branches = branches.iter().map(|name| ((*name).to_owned(), format!("tip-of-{name}"))).collect();
        Remote { branches, tags: BTreeMap::new(), head: Some("tip".into()), default: Some("main".into()) }
    }

    fn names(choice: &BranchChoice, remote: &Remote) -> Vec<String> {
        choose(choice, remote, None).unwrap().into_keys().collect()
    }

    #[test]
    fn patterns_reach_into_directories() {
        let remote = remote(&["main", "release/1", "release/1/fix", "releases"]);
        let chosen = |pattern: &str| names(&BranchChoice::Patterns(vec![pattern.into()]), &remote);
        assert_eq!(chosen("release/*"), ["release/1", "release/1/fix"]);
        assert_eq!(chosen("*").len(), 4);
        assert_eq!(chosen("{main,releases}"), ["main", "releases"]);
        assert_eq!(chosen("none*"), Vec::<String>::new());
    }

    #[test]
    fn names_that_were_never_there_are_questioned() {
        let remote = remote(&["main", "dev"]);
        let error = |names: &[&str]| {
            choose(&BranchChoice::Names(names.iter().map(|&n| n.into()).collect()), &remote, None).unwrap_err()
        };
        assert_eq!(error(&["mian"]), "it has no branch `mian`; did you mean `main`?");
        assert_eq!(error(&["production"]), "it has no branch `production`; it has `dev`, `main`");
        assert_eq!(names(&BranchChoice::Names(vec!["refs/heads/dev".into(), "gone".into()]), &remote), ["dev"]);
        let seen = Cursor::from([("gone".to_owned(), "x".to_owned())]);
        assert_eq!(choose(&BranchChoice::Names(vec!["gone".into()]), &remote, Some(&seen)).unwrap(), BTreeMap::new());
    }

    #[test]
    fn the_default_branch_is_what_head_names() {
        assert_eq!(names(&BranchChoice::Default, &remote(&["main", "dev"])), ["main"]);
        assert_eq!(names(&BranchChoice::Default, &Remote::default()), Vec::<String>::new());
        let detached = Remote { default: None, ..remote(&["main"]) };
        assert!(choose(&BranchChoice::Default, &detached, None).unwrap_err().contains("branches = [\"main\"]"));
    }
}

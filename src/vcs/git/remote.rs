//! What `git ls-remote` tells: branches, their tips, and which one is the default.

use std::collections::BTreeMap;

/// What whole names of tags begin with.
pub(super) const TAGS: &str = "refs/tags/";

/// The branches and tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Remote {
    /// Tip by branch.
    pub branches: BTreeMap<String, String>,
    /// What each tag names, by its whole name; for one with a message that is an object of its own.
    pub tags: BTreeMap<String, String>,
    /// What HEAD stands at.
    pub head: Option<String>,
    /// The branch that HEAD names.
    pub default: Option<String>,
}

impl Remote {
    /// Reads the output of `ls-remote --symref`. Lines that are none of ours (peeled tags, pull requests) are
    /// left out.
    pub(super) fn parse(output: &str) -> Self {
        let mut remote = Self::default();
        for (what, name) in output.lines().filter_map(|line| line.split_once('\t')) {
            if let Some(target) = what.strip_prefix("ref: ") {
                if name == "HEAD" {
                    remote.default = target.strip_prefix("refs/heads/").map(ToOwned::to_owned);
                }
            } else if name == "HEAD" {
                remote.head = Some(what.to_owned());
            } else if let Some(branch) = name.strip_prefix("refs/heads/") {
                remote.branches.insert(branch.to_owned(), what.to_owned());
            } else if name.starts_with(TAGS) && !name.ends_with("^{}") {
                remote.tags.insert(name.to_owned(), what.to_owned());
            }
        }
        remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_the_default_are_read() {
        let remote = Remote::parse(
            "ref: refs/heads/main\tHEAD\naa\tHEAD\naa\trefs/heads/main\nbb\trefs/heads/a/b\ncc\trefs/pull/1/head\nee\trefs/tags/v1\naa\trefs/tags/v1^{}\ndd\trefs/remotes/o/HEAD\n",
        );
        assert_eq!(remote.default.as_deref(), Some("main"));
        assert_eq!(remote.head.as_deref(), Some("aa"));
        assert_eq!(remote.tags, [("refs/tags/v1".into(), "ee".into())].into());
        assert_eq!(remote.branches, [("a/b".into(), "bb".into()), ("main".into(), "aa".into())].into());
    }
}

//! What a configuration changes about projects and codebases, against the one before.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{About, DeclaredCodebase, Plan, ProjectPlan};

/// The projects and codebases that differ. They have no state, so the engine gives them no ids: the store numbers their
/// names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectChanges {
    /// The configuration before is not known: whatever is not told here is not in force.
    pub whole: bool,
    /// New ones, and those of which something else is told.
    pub projects: BTreeMap<String, About>,
    pub codebases: BTreeMap<String, CodebaseAbout>,
    /// Those that are not in force any more.
    pub projects_removed: BTreeSet<String>,
    pub codebases_removed: BTreeSet<String>,
}

/// What is told of a codebase.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodebaseAbout {
    pub project: Option<String>,
    pub repository: String,
    pub branch: Option<String>,
    pub about: About,
}

impl ProjectChanges {
    /// What differs; all of it, if there is no old configuration.
    #[must_use]
    pub fn between(old: Option<&Plan>, new: &Plan) -> Self {
        let (no_projects, no_codebases) = (BTreeMap::new(), BTreeMap::new());
        let (projects, codebases) = old.map_or((&no_projects, &no_codebases), |old| (&old.projects, &old.codebases));
        let told = |project: &ProjectPlan| project.about.clone();
        Self {
            whole: old.is_none(),
            projects: different(projects, &new.projects, told),
            codebases: different(codebases, &new.codebases, CodebaseAbout::of),
            projects_removed: gone(projects, &new.projects),
            codebases_removed: gone(codebases, &new.codebases),
        }
    }
}

impl CodebaseAbout {
    fn of(codebase: &DeclaredCodebase) -> Self {
        let DeclaredCodebase { name: _, project, repository, branch, about, place: _ } = codebase.clone();
        Self { project, repository, branch, about }
    }
}

fn different<T, A: PartialEq>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    told: impl Fn(&T) -> A,
) -> BTreeMap<String, A> {
    let changed = new.iter().map(|(name, one)| (name, told(one)));
    let changed = changed.filter(|(name, now)| old.get(*name).is_none_or(|before| told(before) != *now));
    changed.map(|(name, now)| (name.clone(), now)).collect()
}

fn gone<T>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>) -> BTreeSet<String> {
    old.keys().filter(|name| !new.contains_key(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(projects: &[(&str, &str)]) -> Plan {
        let project = |(name, title): &(&str, &str)| {
            let about = About { title: Some((*title).to_owned()), ..About::default() };
            ((*name).to_owned(), ProjectPlan { name: (*name).to_owned(), about, ..ProjectPlan::default() })
        };
        Plan { projects: projects.iter().map(project).collect(), ..Plan::default() }
    }

    #[test]
    fn only_what_differs_is_told() {
        let (old, new) = (plan(&[("a", "A"), ("b", "B"), ("c", "C")]), plan(&[("b", "B"), ("c", "new"), ("d", "D")]));
        let changes = ProjectChanges::between(Some(&old), &new);
        assert_eq!(changes.projects.keys().collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(changes.projects_removed.iter().collect::<Vec<_>>(), ["a"]);
        assert!(!changes.whole);
        let first = ProjectChanges::between(None, &new);
        assert!(first.whole && first.projects.len() == 3 && first.projects_removed.is_empty());
    }
}

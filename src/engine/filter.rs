//! Whether a scheduler takes a change, and whether the change is important: everything but user functions.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::Regex;

use crate::model::{ChangeFilter, ImportantFiles, Matcher, NewChange, Plan, SchedulerKind, SchedulerPlan};

/// Compiled filters by scheduler.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    by_scheduler: BTreeMap<String, Filter>,
    /// Patterns that do not compile: which scheduler, and why. They match nothing.
    problems: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default)]
struct Filter {
    matchers: Vec<(Attribute, Test)>,
    files: Option<GlobSet>,
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

#[derive(Clone, Copy, Debug)]
enum Attribute {
    Branch,
    Project,
    Repository,
    Codebase,
    Category,
}

#[derive(Clone, Debug)]
enum Test {
    OneOf(Vec<Option<String>>),
    NoneOf(Vec<Option<String>>),
    Regex(Regex),
    Nothing,
}

/// The filter of a scheduler that looks at changes.
pub(super) const fn filter_of(plan: &SchedulerPlan) -> Option<(&ChangeFilter, Option<&ImportantFiles>)> {
    match &plan.kind {
        SchedulerKind::Branch { filter, important, .. }
        | SchedulerKind::AnyBranch { filter, important, .. }
        | SchedulerKind::Periodic { filter, important, only_if_changed: true, .. }
        | SchedulerKind::Nightly { filter, important, only_if_changed: true, .. } => Some((filter, important.as_ref())),
        SchedulerKind::Periodic { .. }
        | SchedulerKind::Nightly { .. }
        | SchedulerKind::Dependent { .. }
        | SchedulerKind::Triggerable
        | SchedulerKind::Force { .. } => None,
    }
}

impl Filters {
    /// Compiles all filters of a configuration.
    pub fn of(plan: &Plan) -> Self {
        let mut filters = Self::default();
        for scheduler in plan.schedulers.values() {
            if let Some((filter, important)) = filter_of(scheduler) {
                let mut tell = |message: String| filters.problems.push((scheduler.name.clone(), message));
                let compiled = Filter::of(filter, important, &mut tell);
                filters.by_scheduler.insert(scheduler.name.clone(), compiled);
            }
        }
        filters
    }

    /// What is wrong with them, once.
    pub fn take_problems(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.problems)
    }

    /// Whether the scheduler's filter takes the change, apart from its function.
    pub fn takes(&self, scheduler: &str, change: &NewChange) -> bool {
        self.by_scheduler.get(scheduler).is_some_and(|filter| filter.takes(change))
    }

    /// Whether the change is important by its files, where the scheduler names files. A change that names none is.
    pub fn is_important(&self, scheduler: &str, change: &NewChange) -> bool {
        self.by_scheduler.get(scheduler).is_none_or(|filter| filter.is_important(change))
    }
}

impl Filter {
    fn of(filter: &ChangeFilter, important: Option<&ImportantFiles>, tell: &mut dyn FnMut(String)) -> Self {
        let mut matchers = Vec::new();
        for (attribute, matcher) in [
            (Attribute::Branch, &filter.branch),
            (Attribute::Project, &filter.project),
            (Attribute::Repository, &filter.repository),
            (Attribute::Codebase, &filter.codebase),
            (Attribute::Category, &filter.category),
        ] {
            matchers.extend(matcher.as_ref().map(|matcher| (attribute, Test::of(matcher, tell))));
        }
        let files = (!filter.files.is_empty()).then(|| globs(&filter.files, tell));
        let (include, exclude) = match important {
            Some(ImportantFiles::Globs { include, exclude }) => (
                (!include.is_empty()).then(|| globs(include, tell)),
                (!exclude.is_empty()).then(|| globs(exclude, tell)),
            ),
            Some(ImportantFiles::Function(_)) | None => (None, None),
        };
        Self { matchers, files, include, exclude }
    }

    fn takes(&self, change: &NewChange) -> bool {
        let named = self.matchers.iter().all(|(attribute, test)| test.matches(attribute.of(change)));
        named && self.files.as_ref().is_none_or(|globs| change.files.iter().any(|file| globs.is_match(file)))
    }

    fn is_important(&self, change: &NewChange) -> bool {
        let counts = |file: &String| {
            self.include.as_ref().is_none_or(|globs| globs.is_match(file))
                && !self.exclude.as_ref().is_some_and(|globs| globs.is_match(file))
        };
        change.files.is_empty() || change.files.iter().any(counts)
    }
}

impl Attribute {
    fn of(self, change: &NewChange) -> Option<&str> {
        match self {
            Self::Branch => change.branch.as_deref(),
            Self::Project => Some(&change.project),
            Self::Repository => Some(&change.repository),
            Self::Codebase => Some(&change.codebase),
            Self::Category => change.category.as_deref(),
        }
    }
}

impl Test {
    fn of(matcher: &Matcher, tell: &mut dyn FnMut(String)) -> Self {
        match matcher {
            Matcher::OneOf(values) => Self::OneOf(values.clone()),
            Matcher::NoneOf(values) => Self::NoneOf(values.clone()),
            Matcher::Regex(pattern) => match Regex::new(&format!("^(?:{pattern})")) {
                Ok(regex) => Self::Regex(regex),
                Err(error) => {
                    tell(error.to_string());
                    Self::Nothing
                }
            },
        }
    }

    fn matches(&self, value: Option<&str>) -> bool {
        match self {
            Self::OneOf(values) => values.iter().any(|one| one.as_deref() == value),
            Self::NoneOf(values) => values.iter().all(|one| one.as_deref() != value),
            Self::Regex(regex) => value.is_some_and(|value| regex.is_match(value)),
            Self::Nothing => false,
        }
    }
}

/// Path patterns in which `*` stays inside a directory and `**` does not.
fn globs(patterns: &[String], tell: &mut dyn FnMut(String)) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        match GlobBuilder::new(pattern).literal_separator(true).build() {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => tell(error.to_string()),
        }
    }
    set.build().unwrap_or_else(|error| {
        tell(error.to_string());
        GlobSet::empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(filter: &ChangeFilter, important: Option<&ImportantFiles>) -> Filter {
        Filter::of(filter, important, &mut |problem| panic!("{problem}"))
    }

    fn on(branch: Option<&str>, files: &[&str]) -> NewChange {
        NewChange {
            branch: branch.map(str::to_owned),
            files: files.iter().map(|&file| file.to_owned()).collect(),
            ..NewChange::default()
        }
    }

    #[test]
    fn a_regular_expression_matches_at_the_start_only() {
        let releases = ChangeFilter { branch: Some(Matcher::Regex("release|v".into())), ..ChangeFilter::default() };
        let releases = filter(&releases, None);
        assert!(releases.takes(&on(Some("release-1"), &[])));
        assert!(releases.takes(&on(Some("v2"), &[])));
        assert!(!releases.takes(&on(Some("old/release-1"), &[])));
        assert!(!releases.takes(&on(None, &[])));
    }

    #[test]
    fn an_absent_branch_can_be_named() {
        let default = ChangeFilter { branch: Some(Matcher::OneOf(vec![None])), ..ChangeFilter::default() };
        assert!(filter(&default, None).takes(&on(None, &[])));
        assert!(!filter(&default, None).takes(&on(Some("main"), &[])));
        let others = ChangeFilter { branch: Some(Matcher::NoneOf(vec![None])), ..ChangeFilter::default() };
        assert!(filter(&others, None).takes(&on(Some("main"), &[])));
    }

    #[test]
    fn one_star_stays_inside_a_directory_and_two_do_not() {
        let docs = ChangeFilter { files: vec!["docs/*.md".into(), "src/**".into()], ..ChangeFilter::default() };
        let docs = filter(&docs, None);
        assert!(docs.takes(&on(None, &["docs/a.md"])));
        assert!(!docs.takes(&on(None, &["docs/deep/a.md"])));
        assert!(docs.takes(&on(None, &["README", "src/a/b/c.rs"])));
        assert!(!docs.takes(&on(None, &[])));
    }

    #[test]
    fn a_change_is_important_if_one_file_is() {
        let code = ImportantFiles::Globs { include: vec![], exclude: vec!["**/*.md".into()] };
        let filter = filter(&ChangeFilter::default(), Some(&code));
        assert!(!filter.is_important(&on(None, &["a.md", "docs/b.md"])));
        assert!(filter.is_important(&on(None, &["a.md", "b.rs"])));
        assert!(filter.is_important(&on(None, &[])));
    }
}

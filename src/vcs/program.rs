//! Version control programs that are asked on a command line.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use tokio::time::Instant;

use crate::base::process::{ProcessError, ProcessSpec, run};
use crate::model::{ChangeSourcePlan, NewChange};

/// What one answer may have; a poll asks for a bounded number of changes, so this is far beyond any.
const ANSWER_MAX: usize = 32 << 20;

/// A command in the making.
pub(super) struct Program {
    spec: ProcessSpec,
    deadline: Instant,
}

impl Program {
    /// A program in the C locale, with the variables that keep it from asking anybody. It has until `deadline`.
    pub fn new(program: &str, variables: &[(&str, &str)], deadline: Instant) -> Self {
        let mut spec = ProcessSpec::new(program).env("LC_ALL", "C.UTF-8").env("LANG", "C.UTF-8").env("LANGUAGE", "C");
        for (name, value) in variables {
            spec = spec.env(name, *value);
        }
        spec.output_max = ANSWER_MAX;
        Self { spec, deadline }
    }

    pub fn args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.spec = self.spec.args(args);
        self
    }

    pub fn at(mut self, directory: &Path) -> Self {
        self.spec.cwd = Some(directory.to_owned());
        self
    }

    /// What it reads, such as a password.
    pub fn input(mut self, text: Option<&str>) -> Self {
        self.spec.stdin = text.map(|text| text.as_bytes().to_vec()).unwrap_or_default();
        self
    }

    /// What it wrote; else the most telling line of its complaint.
    pub async fn answer(mut self) -> Result<String, String> {
        self.spec.timeout = self.deadline.saturating_duration_since(Instant::now());
        let output = run(&self.spec).await.map_err(|error| match error {
            ProcessError::TimedOut { .. } => "it did not answer in time".to_owned(),
            other => other.to_string(),
        })?;
        if !output.ok() {
            return Err(complaint(&output.stderr_text()).unwrap_or_else(|| "it failed and did not say why".to_owned()));
        }
        if output.cut {
            return Err(format!("its answer has more than {} MB", ANSWER_MAX >> 20));
        }
        Ok(output.stdout_text())
    }
}

/// The line that tells most.
fn complaint(text: &str) -> Option<String> {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling =
        |line: &&str| ["abort:", "svn: E", "brz: ERROR:", "bzr: ERROR:"].iter().any(|sign| line.starts_with(sign));
    lines().find(telling).or_else(|| lines().next_back()).map(str::to_owned)
}

/// What all changes of a source have in common.
pub(super) fn owned(source: &ChangeSourcePlan, change: NewChange) -> NewChange {
    let project = if change.project.is_empty() { source.project.clone() } else { change.project.clone() };
    NewChange {
        project,
        codebase: source.codebase.clone(),
        category: source.category.clone(),
        repository: if change.repository.is_empty() {
            source.kind.repository().to_owned()
        } else {
            change.repository.clone()
        },
        ..change
    }
}

/// How many changes one poll may tell of.
pub(super) fn most(source: &ChangeSourcePlan) -> usize {
    usize::try_from(source.changes_max).unwrap_or(usize::MAX)
}

/// Glob patterns of branches; `*` also matches `/`, as for git.
pub(super) fn patterns(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
        set.add(glob.map_err(|error| format!("the pattern `{pattern}` is wrong: {}", error.kind()))?);
    }
    set.build().map_err(|error| format!("the patterns of branches are too complex together: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_telling_line_is_found() {
        let of = |text| complaint(text).unwrap_or_default();
        assert_eq!(of("warning: x\nabort: repository /r not found\n(see help)\n"), "abort: repository /r not found");
        assert_eq!(of("one\n\n  two  \n"), "two");
        assert_eq!(complaint(" \n"), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_hangs_is_told() {
        let soon = || Instant::now() + std::time::Duration::from_millis(200);
        let missing = Program::new("no-such-program", &[], soon()).answer().await.unwrap_err();
        assert_eq!(missing, "`no-such-program` is not installed, or not in PATH");
        let hangs = Program::new("sleep", &[], soon()).args(["600"]).answer().await.unwrap_err();
        assert_eq!(hangs, "it did not answer in time");
    }
}

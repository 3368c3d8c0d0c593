//! A git change source under test: its plan, its cache, and what it has seen.

use std::path::{Path, PathBuf};

use starwright::testing::base::Span;
use starwright::testing::model::{
    BranchChoice, ChangeSourceKind, ChangeSourcePlan, Cursor, GitPlan, NewChange, SourcePlace,
};
use starwright::testing::vcs::{GitProgram, PollError, poll_with};
use tempfile::TempDir;

/// A source that polls one repository.
pub struct GitSource {
    pub plan: ChangeSourcePlan,
    pub program: GitProgram,
    pub cursor: Option<Cursor>,
    directory: TempDir,
}

impl GitSource {
    /// A source for these branches; `*` in a name makes all of them patterns, no name means the default branch.
    pub fn new(repository: impl AsRef<Path>, branches: &[&str]) -> Self {
        let names: Vec<String> = branches.iter().map(|&name| name.to_owned()).collect();
        let branches = match names.as_slice() {
            [] => BranchChoice::Default,
            names if names.iter().any(|name| name.contains('*')) => BranchChoice::Patterns(names.to_vec()),
            names => BranchChoice::Names(names.to_vec()),
        };
        let mut program = GitProgram::default();
        program.env.insert("GIT_CONFIG_GLOBAL".into(), Some("/dev/null".into()));
        program.env.insert("GIT_CONFIG_NOSYSTEM".into(), Some("1".into()));
        let plan = ChangeSourcePlan {
            name: "source".into(),
            project: "sysgrove".into(),
            codebase: "core".into(),
            category: Some("push".into()),
            every: Span::from_minutes(5),
            timeout: Span::from_minutes(2),
            changes_max: 100,
            kind: ChangeSourceKind::Git(GitPlan {
                tags: vec![],
                repository: repository.as_ref().to_str().unwrap().into(),
                branches,
            }),
            place: SourcePlace::default(),
        };
        Self { plan, program, cursor: None, directory: TempDir::new().unwrap() }
    }

    /// Follows these tags, too.
    pub fn tags(mut self, patterns: &[&str]) -> Self {
        let ChangeSourceKind::Git(git) = &mut self.plan.kind else { panic!("it polls git") };
        git.tags = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        self.plan.category = None;
        self
    }

    /// Bounds the time of a poll.
    pub fn within(mut self, span: Span) -> Self {
        self.plan.timeout = span;
        self
    }

    /// Bounds the changes of a branch.
    pub fn at_most(mut self, changes: u64) -> Self {
        self.plan.changes_max = changes;
        self
    }

    /// Uses a shell script in place of git; `GIT` in it stands for the real one.
    pub fn script(mut self, text: &str) -> Self {
        let path = self.directory.path().join("git.sh");
        std::fs::write(&path, format!("#!/bin/sh\n{}\n", text.replace("GIT", "git"))).unwrap();
        make_executable(&path);
        self.program.program = path.into();
        self
    }

    /// The directory that it may use.
    pub fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// Where a script may leave notes.
    pub fn note(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Polls, keeps the new cursor, returns the changes.
    pub async fn poll(&mut self) -> Vec<NewChange> {
        self.try_poll().await.unwrap()
    }

    /// Polls; after a failure the cursor is what it was.
    pub async fn try_poll(&mut self) -> Result<Vec<NewChange>, PollError> {
        let (changes, cursor) = poll_with(&self.plan, self.cursor.clone(), &self.cache(), &self.program).await?;
        self.cursor = Some(cursor);
        Ok(changes)
    }

    /// Branch and revision of the changes of a poll.
    pub async fn seen(&mut self) -> Vec<(String, String)> {
        let told = |change: NewChange| (change.branch.unwrap(), change.revision.unwrap());
        self.poll().await.into_iter().map(told).collect()
    }

    /// The error of a poll.
    pub async fn fails(&mut self) -> String {
        self.try_poll().await.unwrap_err().message
    }
}

pub fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

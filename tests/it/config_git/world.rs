//! A builder whose steps run with the real git, against a repository that a test makes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use starwright::testing::base::{Span, Timestamp};
use starwright::testing::config::{self, Cancel, Loaded};
use starwright::testing::model::*;

/// The value of every secret.
pub const TOKEN: &str = "tok3n-of-ci";

pub struct World {
    pub scratch: tempfile::TempDir,
    pub loaded: Loaded,
    pub properties: Properties,
    pub branch: Option<String>,
    pub revision: Option<String>,
    /// The repository that the build is for; none: whichever.
    pub of: String,
    /// Lines of the log that the step wrote itself.
    pub told: String,
    /// Commands that ran.
    pub ran: Vec<String>,
}

impl World {
    pub fn new(arguments: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let repository = format!("{:?}", scratch.path().join("origin").to_str().unwrap());
        Self::of(scratch, &repository, arguments)
    }

    /// The repository is an expression.
    pub fn of(scratch: tempfile::TempDir, repository: &str, arguments: &str) -> Self {
        Self::with_steps(scratch, &format!("git({repository}, fetch_delay = \"1ms\"{arguments})"))
    }

    /// The same with any steps of the libraries for git.
    pub fn with_steps(scratch: tempfile::TempDir, steps: &str) -> Self {
        std::fs::create_dir(scratch.path().join("origin")).unwrap();
        let text = format!(
            "load(\"@stdlib//source.star\", \"git\")\n\
             load(\"@stdlib//git_steps.star\", \"git_changes\", \"git_commit\", \"git_push\", \"git_tag\")\n\
             worker(\"w\")\nbuilder(\"b\", workers = [\"w\"], steps = [{steps}])\n",
        );
        let world = Self::loaded(scratch, &text);
        world.origin(&["init", "--quiet", "--initial-branch=main", "."]);
        world.commit("one", "one");
        world
    }

    /// Any configuration, and no repository yet.
    pub fn loaded(scratch: tempfile::TempDir, text: &str) -> Self {
        std::fs::create_dir(scratch.path().join("builder")).unwrap();
        let file = scratch.path().join("master.star");
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{refused}"));
        Self {
            scratch,
            loaded,
            properties: Properties::default(),
            branch: Some("main".to_owned()),
            revision: None,
            of: String::new(),
            told: String::new(),
            ran: Vec::new(),
        }
    }

    pub fn fetches(&self) -> usize {
        self.ran.iter().filter(|words| words.starts_with("fetch")).count()
    }

    /// What git says in the checkout.
    pub fn git(&self, words: &[&str]) -> String {
        git_in(&self.builder_dir().join("build"), words)
    }

    pub fn builder_dir(&self) -> PathBuf {
        self.scratch.path().join("builder")
    }

    pub fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.builder_dir().join("build").join(name)).ok()
    }

    pub fn origin(&self, words: &[&str]) -> String {
        git_in(&self.scratch.path().join("origin"), words)
    }

    /// Writes a file of the name and commits it; the revision.
    pub fn commit(&self, name: &str, text: &str) -> String {
        std::fs::write(self.scratch.path().join("origin").join(name), text).unwrap();
        self.origin(&["add", "."]);
        self.origin(&["commit", "--quiet", "-m", name]);
        self.origin(&["rev-parse", "HEAD"])
    }

    /// One build; its outcome and summary.
    pub fn build(&mut self) -> (Outcome, Option<String>) {
        self.step(0)
    }

    /// One step of the build; its outcome and summary.
    pub fn step(&mut self, step: usize) -> (Outcome, Option<String>) {
        let mut journal = Journal::default();
        self.ran.clear();
        self.told.clear();
        for _ in 0..200 {
            let outcome = self.loaded.scripts.evaluate(&self.job(step, &journal), &Cancel::default());
            let asks = match outcome {
                EvalOutcome::Suspended { asks } => asks,
                EvalOutcome::Done { asks, outcome, summary } => {
                    asks.iter().for_each(|(_, ask)| self.apply(ask));
                    return (outcome, summary);
                }
                other => panic!("{other:?}"),
            };
            for (key, ask) in asks {
                let answer = self.carry_out(&ask);
                journal.0.insert(key, Entry { ask, answer, command: None, step: StepId(1) });
            }
        }
        panic!("the checkout does not end");
    }

    fn job(&self, step: usize, journal: &Journal) -> EvalJob {
        let spec = StampSpec {
            repository: self.of.clone(),
            branch: self.branch.clone(),
            revision: self.revision.clone(),
            ..StampSpec::default()
        };
        let context = BuildContext {
            build: BuildId(1),
            number: 1,
            builder: "b".to_owned(),
            worker: WorkerFacts {
                builder_dir: self.builder_dir().to_str().unwrap().to_owned(),
                ..WorkerFacts::default()
            },
            properties: self.properties.clone(),
            stamps: vec![SourceStamp { id: SourceStampId(1), spec, created: Timestamp::default() }],
            changes: Vec::new(),
            reason: String::new(),
            steps: Vec::new(),
            outcome: Outcome::Success,
            url: String::new(),
        };
        EvalJob {
            turn: 1,
            plan: self.loaded.plan.digest.clone(),
            step,
            part: EvalPart::Body,
            context: Arc::new(context),
            journal: Arc::new(journal.clone()),
            step_outcome: None,
            readings: Arc::default(),
        }
    }

    fn apply(&mut self, ask: &Ask) {
        match ask {
            Ask::SetProperty { name, value, source } => self.properties.set(name, value.clone(), source),
            Ask::WriteLog { text, .. } => self.told += text,
            _ => {}
        }
    }

    fn carry_out(&mut self, ask: &Ask) -> Option<Answer> {
        self.apply(ask);
        match ask {
            Ask::Run(spec) => Some(Answer::Command(self.run(spec))),
            Ask::File(command) => Some(Answer::Command(self.file_command(command))),
            Ask::Wait(_) => Some(Answer::Done),
            _ => None,
        }
    }

    fn run(&mut self, spec: &CommandSpec) -> CommandResult {
        let Program::Argv(words) = &spec.program else { panic!("the checkout uses words") };
        let words: Vec<String> = words.iter().map(Text::masked).collect();
        self.ran.push(words[1..].join(" "));
        let directory = self.builder_dir().join(&spec.workdir);
        std::fs::create_dir_all(&directory).unwrap();
        let mut command = Command::new(&words[0]);
        sealed(command.args(&words[1..]).current_dir(directory));
        for (name, value) in &spec.env {
            let EnvValue::Set(text) = value else { panic!() };
            command.env(name, text.reveal(&mut |_| Some(TOKEN.to_owned())).unwrap());
        }
        let output = command.output().unwrap();
        let mut result =
            CommandResult::of(CommandEnd::Exited(i64::from(output.status.code().unwrap())), &spec.exit_codes);
        result.stderr = spec.want_output.then(|| String::from_utf8(output.stderr).unwrap());
        result.stdout = spec.want_output.then(|| String::from_utf8(output.stdout).unwrap());
        result
    }

    fn file_command(&self, command: &FileCommand) -> CommandResult {
        let at = |path: &str| self.builder_dir().join(path);
        let codes = [(0, Outcome::Success)].into();
        let mut result = CommandResult::of(CommandEnd::Exited(0), &codes);
        match command {
            FileCommand::Stat(path) if at(path).exists() => {
                result.stat = Some(vec![0o040_755, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            }
            FileCommand::Stat(_) => result = CommandResult::of(CommandEnd::Exited(2), &codes),
            FileCommand::Remove(paths) => paths.iter().map(|path| at(path)).for_each(|path| {
                let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            }),
            FileCommand::Copy { from, to } => {
                let done = Command::new("cp").args(["-R", "-P", "-p"]).args([at(from), at(to)]).status().unwrap();
                assert!(done.success());
            }
            other => panic!("{other:?}"),
        }
        result.elapsed = Span::ZERO;
        result
    }
}

/// Nothing of the machine's own set-up counts.
pub fn sealed(command: &mut Command) -> &mut Command {
    command
        .env("HOME", "/nonexistent")
        .env("HGRCPATH", "")
        .env("HGUSER", "A <a@example.org>")
        .env("BRZ_EMAIL", "A <a@example.org>")
        .env("BRZ_HOME", "/nonexistent")
        .env("BRZ_LOG", "/dev/null")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .env("GIT_ALLOW_PROTOCOL", "file:http")
}

pub fn git_in(directory: &Path, words: &[&str]) -> String {
    let output = sealed(Command::new("git").args(words).current_dir(directory)).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

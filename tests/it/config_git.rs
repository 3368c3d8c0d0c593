//! The checkout of the standard library against real repositories: a build's asks are carried out with
//! the git program in a scratch folder, step by step, as master and worker would.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use starwright::base::{Span, Timestamp};
use starwright::config::{self, Cancel, Loaded};
use starwright::model::*;

struct World {
    scratch: tempfile::TempDir,
    loaded: Loaded,
    properties: Properties,
    branch: Option<String>,
    revision: Option<String>,
    /// Commands that ran.
    ran: Vec<String>,
}

impl World {
    fn new(arguments: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let repository = scratch.path().join("origin");
        std::fs::create_dir(&repository).unwrap();
        std::fs::create_dir(scratch.path().join("builder")).unwrap();
        let text = format!(
            "load(\"@stdlib//source.star\", \"git\")\nworker(\"w\")\n\
             builder(\"b\", workers = [\"w\"], steps = [git({:?}, fetch_delay = \"1ms\"{arguments})])\n",
            repository.to_str().unwrap()
        );
        let file = scratch.path().join("master.star");
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{refused}"));
        let world = Self {
            scratch,
            loaded,
            properties: Properties::default(),
            branch: Some("main".to_owned()),
            revision: None,
            ran: Vec::new(),
        };
        world.origin(&["init", "--quiet", "--initial-branch=main", "."]);
        world.commit("one", "one");
        world
    }

    fn builder_dir(&self) -> PathBuf {
        self.scratch.path().join("builder")
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.builder_dir().join("build").join(name)).ok()
    }

    fn origin(&self, words: &[&str]) -> String {
        git_in(&self.scratch.path().join("origin"), words)
    }

    /// Writes a file of the name and commits it; the revision.
    fn commit(&self, name: &str, text: &str) -> String {
        std::fs::write(self.scratch.path().join("origin").join(name), text).unwrap();
        self.origin(&["add", "."]);
        self.origin(&["commit", "--quiet", "-m", name]);
        self.origin(&["rev-parse", "HEAD"])
    }

    /// One build; its outcome and summary.
    fn build(&mut self) -> (Outcome, Option<String>) {
        let mut journal = Journal::default();
        self.ran.clear();
        for _ in 0..200 {
            let outcome = self.loaded.scripts.evaluate(&self.job(&journal), &Cancel::default());
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
                journal.0.insert(key, Entry { digest: ask.digest(), ask, answer, command: None, step: StepId(1) });
            }
        }
        panic!("the checkout does not end");
    }

    fn job(&self, journal: &Journal) -> EvalJob {
        let spec = StampSpec { branch: self.branch.clone(), revision: self.revision.clone(), ..StampSpec::default() };
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
            step: 0,
            part: EvalPart::Body,
            context: Arc::new(context),
            journal: Arc::new(journal.clone()),
            step_outcome: None,
        }
    }

    fn apply(&mut self, ask: &Ask) {
        if let Ask::SetProperty { name, value, source } = ask {
            self.properties.set(name, value.clone(), source);
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
        let folder = self.builder_dir().join(&spec.workdir);
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(folder);
        for (name, value) in &spec.env {
            let EnvValue::Set(text) = value else { panic!() };
            command.env(name, text.masked());
        }
        let output = sealed(&mut command).output().unwrap();
        let mut result =
            CommandResult::of(CommandEnd::Exited(i64::from(output.status.code().unwrap())), &spec.exit_codes);
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
            FileCommand::Remove(paths) => paths.iter().for_each(|path| std::fs::remove_dir_all(at(path)).unwrap()),
            other => panic!("{other:?}"),
        }
        result.elapsed = Span::ZERO;
        result
    }
}

/// Nothing of the machine's own git set-up counts.
fn sealed(command: &mut Command) -> &mut Command {
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_NAME", "A")
        .env("GIT_AUTHOR_EMAIL", "a@example.org")
        .env("GIT_COMMITTER_NAME", "A")
        .env("GIT_COMMITTER_EMAIL", "a@example.org")
        .env("GIT_ALLOW_PROTOCOL", "file")
}

fn git_in(folder: &Path, words: &[&str]) -> String {
    let output = sealed(Command::new("git").args(words).current_dir(folder)).output().unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_tip_of_a_branch_is_checked_out_and_brought_up_to_date() {
    let mut world = World::new("");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("one").as_deref(), Some("one"));

    let second = world.commit("two", "two");
    std::fs::write(world.builder_dir().join("build/made"), "by a build").unwrap();
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Success);
    assert_eq!(summary, Some(format!("{} of main", &second[..10])));
    assert_eq!(world.properties.get("got_revision"), Some(&second.as_str().into()));
    assert_eq!(world.file("two").as_deref(), Some("two"));
    assert_eq!(world.file("made").as_deref(), Some("by a build"), "incremental keeps what builds made");
    assert!(!world.ran.iter().any(|words| words.starts_with("init")));
}

#[test]
fn a_revision_is_checked_out_even_if_its_branch_moved_away() {
    let mut world = World::new("");
    let lost = world.commit("two", "two");
    world.origin(&["reset", "--quiet", "--hard", "HEAD~1"]);
    world.commit("other", "other");
    world.revision = Some(lost.clone());
    // Servers give a revision that no branch leads to only if they are told so.
    world.origin(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.properties.get("got_revision"), Some(&lost.as_str().into()));
    assert_eq!(world.file("two").as_deref(), Some("two"));
    assert_eq!(world.file("other"), None);
}

#[test]
fn a_forced_push_is_followed() {
    let mut world = World::new("");
    world.commit("two", "two");
    world.build();
    world.origin(&["reset", "--quiet", "--hard", "HEAD~1"]);
    world.commit("three", "three");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!((world.file("two"), world.file("three").as_deref()), (None, Some("three")));
}

#[test]
fn changed_files_are_put_right_and_full_mode_cleans() {
    for (arguments, made, ignored) in [
        ("", true, true),
        (", mode = \"full\", clean = \"untracked\"", false, true),
        (", mode = \"full\"", false, false),
        (", mode = \"full\", clean = \"clobber\"", false, false),
    ] {
        let mut world = World::new(arguments);
        world.commit(".gitignore", "ignored\n");
        world.build();
        let build = world.builder_dir().join("build");
        std::fs::write(build.join("one"), "changed").unwrap();
        std::fs::write(build.join("made"), "x").unwrap();
        std::fs::write(build.join("ignored"), "x").unwrap();
        assert_eq!(world.build().0, Outcome::Success);
        assert_eq!(world.file("one").as_deref(), Some("one"), "{arguments}");
        assert_eq!((world.file("made").is_some(), world.file("ignored").is_some()), (made, ignored), "{arguments}");
    }
}

#[test]
fn a_broken_checkout_is_made_anew() {
    let mut world = World::new("");
    world.build();
    let git_dir = world.builder_dir().join("build/.git");
    std::fs::remove_file(git_dir.join("HEAD")).unwrap();
    std::fs::write(git_dir.join("index"), "nonsense").unwrap();
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("one").as_deref(), Some("one"));

    // So is one that a killed git left locked.
    std::fs::write(world.builder_dir().join("build/.git/index.lock"), "").unwrap();
    world.commit("two", "two");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("two").as_deref(), Some("two"));
}

#[test]
fn a_repository_around_the_worker_is_left_alone() {
    let mut world = World::new("");
    git_in(world.scratch.path(), &["init", "--quiet", "."]);
    world.build();
    std::fs::remove_file(world.builder_dir().join("build/.git/HEAD")).unwrap();
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(git_in(world.scratch.path(), &["config", "--get-all", "core.bare"]), "false");
    let remote = Command::new("git").args(["config", "remote.origin.url"]).current_dir(world.scratch.path()).output();
    assert!(remote.unwrap().stdout.is_empty(), "the outer repository was changed");
}

#[test]
fn an_unreachable_repository_fails_and_keeps_the_checkout() {
    let mut world = World::new(", fetch_retries = 1");
    world.build();
    std::fs::rename(world.scratch.path().join("origin"), world.scratch.path().join("away")).unwrap();
    let (outcome, summary) = world.build();
    assert_eq!((outcome, summary.as_deref()), (Outcome::Failure, Some("exit code 128")));
    assert_eq!(world.ran.iter().filter(|words| words.starts_with("fetch")).count(), 2);
    assert_eq!(world.file("one").as_deref(), Some("one"));
}

#[test]
fn submodules_come_along() {
    let mut world = World::new(", submodules = True, mode = \"full\"");
    let library = world.scratch.path().join("library");
    std::fs::create_dir(&library).unwrap();
    git_in(&library, &["init", "--quiet", "--initial-branch=main", "."]);
    std::fs::write(library.join("inner"), "inner").unwrap();
    git_in(&library, &["add", "."]);
    git_in(&library, &["commit", "--quiet", "-m", "inner"]);
    world.origin(&["submodule", "--quiet", "add", library.to_str().unwrap(), "library"]);
    world.origin(&["commit", "--quiet", "-m", "library"]);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("library/inner").as_deref(), Some("inner"));
}

#[test]
fn without_a_branch_the_default_one_is_built_and_depth_is_kept() {
    let mut world = World::new(", depth = 1");
    world.commit("two", "two");
    world.branch = None;
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Success);
    assert!(summary.unwrap().ends_with("of the default branch"));
    assert_eq!(world.file("two").as_deref(), Some("two"));
}

#[test]
fn a_branch_that_is_not_there_fails_with_gits_own_words() {
    let mut world = World::new(", fetch_retries = 0");
    world.branch = Some("nowhere".to_owned());
    assert_eq!(world.build(), (Outcome::Failure, Some("exit code 128".to_owned())));
}

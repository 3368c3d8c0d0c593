//! Real git repositories in scratch directories, with a fixed identity and nobody's settings.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository with a checkout.
pub struct Repository {
    pub path: PathBuf,
}

impl Repository {
    /// Makes one on branch `main` with these files in its first commit.
    pub fn new(path: &Path, files: &[(&str, &str)]) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let repository = Self { path: path.to_owned() };
        repository.git(&["init", "-q", "-b", "main"]);
        repository.commit("first", files);
        repository
    }

    /// Writes files and commits them; returns the revision.
    pub fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.path.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Runs git in it and returns what it prints.
    pub fn git(&self, args: &[&str]) -> String {
        let output = sealed(Command::new("git").args(args).current_dir(&self.path)).output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A line for the shell, for bytes that are no text.
    pub fn shell(&self, line: &str) {
        let status = sealed(Command::new("sh").args(["-c", line]).current_dir(&self.path)).status().unwrap();
        assert!(status.success(), "{line}");
    }
}

/// A command without the user's git settings and with a fixed identity.
pub fn sealed(command: &mut Command) -> &mut Command {
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Ada Lovelace")
        .env("GIT_AUTHOR_EMAIL", "ada@example.org")
        .env("GIT_COMMITTER_NAME", "Ada Lovelace")
        .env("GIT_COMMITTER_EMAIL", "ada@example.org")
}

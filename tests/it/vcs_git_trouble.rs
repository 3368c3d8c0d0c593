//! Polling git repositories when something is wrong: the error names repository, cause and cure, no password shows,
//! and a broken cache mends itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use starwright::testing::base::Span;
use tempfile::TempDir;

use crate::support::git::{Repository, sealed};
use crate::support::git_source::{GitSource, make_executable};

fn repository() -> (TempDir, Repository) {
    let dir = TempDir::new().unwrap();
    let repository = Repository::new(&dir.path().join("repo"), &[("README.md", "hello\n")]);
    (dir, repository)
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[tokio::test]
async fn a_path_without_a_repository_is_named() {
    let mut source = GitSource::new("/nowhere/at/all", &["main"]);
    let error = source.fails().await;
    contains(
        &error,
        &[
            "failed to poll git repository `/nowhere/at/all`",
            "there is no git repository at that address",
            "check the address",
        ],
    );
    assert_eq!(source.cursor, None);
}

#[tokio::test]
async fn a_missing_git_is_said_to_be_missing() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.program.program = "no-such-git".into();
    contains(&source.fails().await, &["the program `no-such-git` is not installed", "install git"]);
}

#[tokio::test]
async fn a_branch_that_never_was_is_questioned() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["mian"]);
    contains(&source.fails().await, &["it has no branch `mian`; did you mean `main`?"]);
}

#[tokio::test]
async fn a_detached_checkout_has_no_default_branch() {
    let (_dir, repository) = repository();
    repository.git(&["checkout", "-q", "--detach"]);
    contains(&GitSource::new(&repository.path, &[]).fails().await, &["does not say which branch is its default"]);
}

#[tokio::test]
async fn a_server_that_is_away_is_named_without_the_password() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut source = GitSource::new(format!("http://zelda:s3cret@127.0.0.1:{port}/r.git"), &["main"]);
    let error = source.fails().await;
    contains(&error, &[&format!("`http://127.0.0.1:{port}/r.git`"), "cannot be reached"]);
    assert!(!error.contains("s3cret") && !error.contains("zelda"), "{error}");
}

/// Answers every request with 401.
fn closed_door() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _gone = (&stream).write_all(answer.as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn a_login_that_is_missing_or_wrong_is_not_asked_for() {
    let port = closed_door();
    let error = GitSource::new(format!("http://127.0.0.1:{port}/r.git"), &["main"]).fails().await;
    contains(&error, &["the server wants a login, and git has none for it", "credential helper"]);

    let error = GitSource::new(format!("http://ann:s3cret@127.0.0.1:{port}/r.git"), &["main"]).fails().await;
    contains(&error, &["the server refused the login that git has for it"]);
    assert!(!error.contains("s3cret"), "{error}");
}

#[tokio::test]
async fn ssh_never_asks_and_its_refusal_is_explained() {
    let dir = TempDir::new().unwrap();
    let ssh = dir.path().join("ssh");
    let asked = dir.path().join("asked");
    let script = format!(
        "#!/bin/sh\necho \"$@\" > {}\necho 'git@localhost: Permission denied (publickey).' >&2\nexit 255\n",
        asked.display()
    );
    std::fs::write(&ssh, script).unwrap();
    make_executable(&ssh);
    let mut source = GitSource::new("ssh://git@localhost/r.git", &["main"]);
    source.program.env.insert("GIT_SSH_COMMAND".into(), Some(ssh.into()));
    contains(&source.fails().await, &["`ssh://git@localhost/r.git`", "the server refused our SSH key"]);
    contains(&std::fs::read_to_string(asked).unwrap(), &["-o BatchMode=yes"]);
}

#[tokio::test]
async fn a_repository_of_another_user_is_explained() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.program.env.insert("GIT_TEST_ASSUME_DIFFERENT_OWNER".into(), Some("1".into()));
    contains(&source.fails().await, &["belongs to another user", "call `git config --global --add safe.directory"]);
}

#[tokio::test]
async fn a_git_that_hangs_is_given_up() {
    let (_dir, repository) = repository();
    let bound = Span::from_millis(50);
    let mut source = GitSource::new(&repository.path, &["main"]).within(bound).script("sleep 600");
    contains(&source.fails().await, &["did not end in time", "a longer `timeout`"]);
}

#[tokio::test]
async fn a_server_that_was_away_loses_nothing() {
    let (dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    let away = dir.path().join("away");
    std::fs::rename(&repository.path, &away).unwrap();
    source.fails().await;
    let moved = Repository { path: away.clone() };
    let revision = moved.commit("meanwhile", &[("f", "1")]);
    std::fs::rename(&away, &repository.path).unwrap();
    assert_eq!(source.seen().await, [("main".to_owned(), revision)]);
}

#[tokio::test]
async fn a_broken_cache_is_made_anew_and_nothing_is_lost_or_doubled() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    for (number, what) in BREAKAGES.into_iter().enumerate() {
        break_cache(what, &source.cache().join("git"));
        let revision = repository.commit(what, &[("f", &number.to_string())]);
        assert_eq!(source.seen().await, [("main".to_owned(), revision)], "{what}");
        assert_eq!(source.seen().await, [], "{what}");
    }
}

const BREAKAGES: [&str; 6] = ["objects torn", "objects gone", "HEAD gone", "settings torn", "tips torn", "a lock left"];

fn break_cache(what: &str, cache: &Path) {
    let each =
        |directory: &str, harm: fn(&Path)| files_below(&cache.join(directory)).iter().for_each(|path| harm(path));
    match what {
        // Objects are read-only; a new file takes their place.
        "objects torn" => each("objects", |path| {
            std::fs::remove_file(path).unwrap();
            std::fs::write(path, "").unwrap();
        }),
        "objects gone" => each("objects", |path| std::fs::remove_file(path).unwrap()),
        "HEAD gone" => std::fs::remove_file(cache.join("HEAD")).unwrap(),
        "settings torn" => std::fs::write(cache.join("config"), "[core\nbare").unwrap(),
        "tips torn" => each("refs", |path| std::fs::write(path, "x").unwrap()),
        _ => each("refs", |path| std::fs::write(format!("{}.lock", path.display()), "").unwrap()),
    }
}

#[tokio::test]
async fn a_cache_that_cannot_be_made_is_named() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    std::fs::write(source.cache(), "a file where the directory should be").unwrap();
    contains(&source.fails().await, &["cache directory", "check space and permissions"]);
}

#[tokio::test]
async fn the_halves_of_cut_off_fetches_are_swept_up() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    let half = source.cache().join("git/objects/pack/tmp_pack_x");
    std::fs::write(&half, "half a pack").unwrap();
    source.poll().await;
    assert!(!half.exists());
}

#[tokio::test]
async fn a_cache_of_many_packs_is_tidied_up_when_nothing_else_is_to_do() {
    let (_dir, repository) = repository();
    let mut source = GitSource::new(&repository.path, &["main"]);
    source.poll().await;
    let cache = source.cache().join("git");
    let packs = cache.join("objects/pack");
    let script =
        "for n in $(seq 60); do echo $n | git hash-object -w --stdin | git pack-objects -q objects/pack/pack; done";
    let mut command = std::process::Command::new("sh");
    let output = sealed(command.args(["-c", script]).current_dir(&cache)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // One that cannot be done is not tried again by each poll.
    let log = source.note("log");
    let git = source.program.program.clone();
    source = source
        .script(&format!("case \"$*\" in *gc*) echo x >> {}; exit 1 ;; *) exec GIT \"$@\" ;; esac", log.display()));
    assert_eq!((source.poll().await, source.poll().await), (vec![], vec![]));
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "x\n");

    std::fs::remove_file(cache.join("starwright-tidying-failed")).unwrap();
    source.program.program = git;
    assert_eq!(source.poll().await, []);
    assert!(files_below(&packs).iter().filter(|path| path.extension().is_some_and(|e| e == "pack")).count() < 5);
    let revision = repository.commit("next", &[("f", "1")]);
    assert_eq!(source.seen().await, [("main".to_owned(), revision)]);
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

//! `starwright store …` and damaged state directories, as the user of the real program meets them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::git::sealed;
use crate::support::history::{set_format, store_with_history};
use crate::support::http::{items, request, wait_for};
use crate::support::starwright::{PROGRAM, Running, run, said};

/// Runs `starwright store …` on a directory; its exit code and all it said.
fn store(data: &Path, args: &[&str]) -> (i32, String) {
    let output =
        sealed(Command::new(PROGRAM).arg("store").args(args).arg("--data").arg(data)).stdin(Stdio::null()).output();
    let output = output.unwrap();
    (output.status.code().expect("it ends by itself"), said(&output))
}

fn path_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_sound_store_is_checked_compacted_exported_and_imported() {
    let (dir, _) = store_with_history(51, 300);
    let data = dir.path();
    let (code, text) = store(data, &["check"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(": OK (") && text.contains(" facts, ") && text.contains(" log files)"), "{text}");
    let (code, text) = store(data, &["compact"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains(" before, ") && text.contains(" now; "), "{text}");

    let place = TempDir::new().unwrap();
    let (dump, again, copy) =
        (place.path().join("a.dump"), place.path().join("b.dump"), place.path().join("deep/copy"));
    let (code, text) = store(data, &["export", path_of(&dump)]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("exported ") && text.contains(" log files with "), "{text}");
    let (code, text) = store(&copy, &["import", path_of(&dump)]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("imported ") && text.contains("1 configuration"), "{text}");
    assert_eq!(store(&copy, &["export", path_of(&again)]).0, 0);
    assert!(fs::read(&dump).unwrap() == fs::read(&again).unwrap(), "the copy is another store");
    assert_eq!(store(&copy, &["check"]).0, 0);
    let mut left: Vec<_> =
        fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["a.dump", "b.dump", "deep"], "no temporary file stays");

    // Through pipes.
    let export =
        sealed(Command::new(PROGRAM).args(["store", "export", "-", "--data", path_of(data)])).output().unwrap();
    assert!(export.stdout == fs::read(&dump).unwrap());
    let piped = place.path().join("piped");
    let mut unread = sealed(Command::new(PROGRAM).args(["store", "export", "-", "--data", path_of(data)]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(unread.stdout.take());
    let unread = unread.wait_with_output().unwrap();
    assert_eq!(unread.status.code(), Some(141), "a closed pipe ends it quietly: {}", said(&unread));
    assert!(!said(&unread).contains("error"), "{}", said(&unread));
    let import = sealed(Command::new(PROGRAM).args(["store", "import", "-", "--data", path_of(&piped)]))
        .stdin(fs::File::open(&dump).unwrap())
        .output()
        .unwrap();
    assert!(import.status.success(), "{}", said(&import));
    assert_eq!(store(&piped, &["check"]).0, 0);
}

#[test]
fn odd_directories_and_dumps_are_refused_with_what_would_do() {
    let (dir, _) = store_with_history(52, 60);
    let data = dir.path();
    let place = TempDir::new().unwrap();
    let (file, empty, missing) = (place.path().join("file"), place.path().join("empty"), place.path().join("missing"));
    fs::write(&file, b"no store").unwrap();
    fs::create_dir(&empty).unwrap();
    let dump = place.path().join("dump");
    assert_eq!(store(data, &["export", path_of(&dump)]).0, 0);
    let bytes = fs::read(&dump).unwrap();
    let bad = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let half = bad("half", &bytes[..bytes.len() / 2]);
    let cut = bad("cut", &bytes[..bytes.len() - 1]);
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    let flipped = bad("flipped", &flipped);
    let newer = bad("newer", &[b"starwright dump 2\n", &bytes[18..]].concat());
    let other = bad("other", b"PK\x03\x04 something else");
    let nothing = bad("nothing", b"");
    let target = place.path().join("target");
    let (dump, directory) = (path_of(&dump).to_owned(), path_of(&empty).to_owned());

    let cases: Vec<(&Path, Vec<&str>, i32, &str)> = vec![
        (data, vec!["chekc"], 2, "a similar subcommand exists: 'check'"),
        (data, vec!["export"], 2, "<FILE>"),
        (&missing, vec!["check"], 10, "there is none\nhint: give the directory"),
        (&empty, vec!["check"], 10, "there is none\nhint: give the directory"),
        (&empty, vec!["rebuild"], 10, "there is none\nhint: give the directory"),
        (&missing, vec!["compact"], 10, "there is none\nhint: give the directory"),
        (&file, vec!["check"], 10, "not a directory"),
        (&file, vec!["rebuild"], 10, "not a directory"),
        (&file, vec!["import", &dump], 10, "Not a directory"),
        (data, vec!["export", &directory], 2, "it is a directory; name a file"),
        (data, vec!["export", "/nowhere/at/all"], 10, "failed to write `/nowhere/at/all.part`: No such file"),
        (data, vec!["import", &dump], 10, "the directory is not empty\nhint: import into a new"),
        (&target, vec!["import", "/nowhere/at/all"], 10, "failed to read the dump `/nowhere/at/all`: No such file"),
        (&target, vec!["import", &directory], 10, "is a directory"),
        (&target, vec!["import", &half], 10, "it ends in the middle of item "),
        (&target, vec!["import", &cut], 10, "it ends in the middle of item "),
        (&target, vec!["import", &flipped], 10, " is damaged"),
        (&target, vec!["import", &newer], 10, "it has version 2, and this program reads versions up to 1"),
        (&target, vec!["import", &other], 10, "it does not begin with `starwright dump 1`"),
        (&target, vec!["import", &nothing], 10, "it does not begin with `starwright dump 1`"),
    ];
    for (data, args, code, text) in cases {
        let (found, told) = store(data, &args);
        assert!(found == code && told.contains(text), "{args:?} at {}: exit code {found}\n{told}", data.display());
        assert!(!told.contains("panicked"), "{told}");
    }
    assert!(!target.exists() && !missing.exists(), "nothing that could be taken for a store is left behind");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 9, "nor anything else");
    assert_eq!(store(data, &["check"]).0, 0);
}

#[test]
fn a_directory_of_a_newer_version_is_refused_and_left_alone() {
    let (dir, _) = store_with_history(53, 60);
    set_format(dir.path(), 3);
    let content = || {
        let mut files = Vec::new();
        walk(dir.path(), &mut files);
        files.into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = content();
    let wanted = "it has format 3, and this version reads formats up to 2\nhint: use the newer version that wrote it";
    let place = Place::new();
    for args in [&["check"][..], &["compact"], &["export", path_of(&place.path("dump"))], &["rebuild"]] {
        let (code, text) = store(dir.path(), args);
        assert!(code == 10 && text.contains(wanted), "{args:?}: {code}\n{text}");
    }
    let output = place.start_in_vain(dir.path());
    assert!(output.contains(wanted), "{output}");
    assert!(content() == before, "something was changed");
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
    found.sort();
}

#[test]
fn a_check_says_what_would_do() {
    let damaged = |seed, spoil: &dyn Fn(&Path)| {
        let (dir, _) = store_with_history(seed, 300);
        spoil(dir.path());
        let (code, text) = store(dir.path(), &["check"]);
        assert_eq!(code, 1, "{text}");
        (dir, text)
    };
    let (dir, text) = damaged(54, &|data| fs::remove_dir_all(data.join("sled")).unwrap());
    assert!(
        text.contains("it is missing") && text.contains("`starwright store rebuild` rebuilds the database"),
        "{text}"
    );
    let dump = dir.path().join("dump");
    for args in [&["export", path_of(&dump)][..], &["compact"]] {
        let (code, text) = store(dir.path(), args);
        assert!(code == 10 && text.contains("it is missing"), "an empty database is not taken for the truth: {text}");
    }
    assert!(!dump.exists());
    assert!(!dir.path().join("sled").exists());
    let (code, text) = store(dir.path(), &["rebuild"]);
    assert!(code == 0 && text.contains("rebuilt the database"), "{text}");
    assert_eq!(store(dir.path(), &["check"]).0, 0);

    let lose_build = |data: &Path| {
        // An export brings everything into packs.
        assert_eq!(store(data, &["export", path_of(&data.join("dump"))]).0, 0);
        fs::remove_dir_all(data.join("packs")).unwrap();
        fs::remove_dir_all(data.join("recent")).unwrap();
    };
    let (dir, text) = damaged(55, &lose_build);
    assert!(text.contains("The database is intact and stays usable; do not rebuild it."), "{text}");
    let (code, text) = store(dir.path(), &["rebuild"]);
    assert!(code == 10 && text.contains("nothing was changed") && text.contains("rebuild --force"), "{text}");
    let (code, text) = store(dir.path(), &["rebuild", "--force"]);
    assert!(code == 1 && text.contains("the old database is in ") && text.contains("facts 1 to "), "{text}");

    let (_dir, text) = damaged(56, &|data| {
        let mut files = Vec::new();
        walk(&data.join("builds"), &mut files);
        let log = files.iter().find(|path| path.to_string_lossy().contains("log-")).unwrap();
        let mut bytes = fs::read(log).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(log, bytes).unwrap();
    });
    assert!(text.contains("log-") && text.contains("everything else is intact"), "{text}");
}

/// A scratch directory with a configuration and a state directory.
struct Place {
    dir: TempDir,
}

const CONFIG: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
worker("absent", password = secret("absent"))
builder("quick", workers = ["local"], steps = [sh("echo quick output", name = "say")])
builder("gated", workers = ["local"], steps = [
    sh("echo begun >> COUNTS/begun; cat COUNTS/gate", name = "wait"),
    sh("echo after >> COUNTS/after", name = "after"),
])
builder("waiting", workers = ["absent"], steps = [sh("true")])
force("by-hand", builders = ["quick", "gated", "waiting"])
"#;

impl Place {
    fn new() -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        fs::create_dir_all(place.path("counts")).unwrap();
        fs::create_dir_all(place.path("secrets")).unwrap();
        fs::write(place.path("secrets/absent"), "swordfish\n").unwrap();
        assert!(Command::new("mkfifo").arg(place.path("counts/gate")).status().unwrap().success());
        let counts = place.path("counts").display().to_string();
        fs::write(place.path("master.star"), CONFIG.replace("COUNTS", &counts)).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.path("data")
    }

    fn up(&self) -> Running {
        Running::start("up", &self.path("master.star"), &self.data(), "127.0.0.1:0", &self.path("log"))
    }

    /// Starts a master that is refused; what it said.
    fn start_in_vain(&self, data: &Path) -> String {
        let output = sealed(Command::new(PROGRAM).arg("up").arg(self.path("master.star")))
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(10), "{}", said(&output));
        said(&output)
    }

    /// What the master logged since the last call.
    fn logged(&self) -> String {
        let text = fs::read_to_string(self.path("log")).unwrap();
        fs::write(self.path("log"), "").unwrap();
        text
    }
}

fn builds_of(address: &str, builder: &str) -> Vec<Json> {
    items(address, &format!("builders/{builder}/builds"))
}

fn log_of(address: &str, build: &Json) -> String {
    let steps = items(address, &format!("builds/{}/steps", build["buildid"]));
    let step = steps.iter().find(|step| step["name"] == "say").unwrap_or_else(|| panic!("{steps:?}"));
    let logs = items(address, &format!("steps/{}/logs", step["stepid"]));
    request(address, "GET", &format!("/api/v2/logs/{}/raw", logs[0]["logid"]), &[], "").1
}

/// History, logs, open and waiting work are all there.
fn nothing_is_missing(address: &str, what: &str) {
    let quick = builds_of(address, "quick");
    assert!(quick.len() == 1 && quick[0]["results"] == 0, "{what}: {quick:?}");
    assert!(log_of(address, &quick[0]).contains("quick output"), "{what}");
    let gated = builds_of(address, "gated");
    assert!(gated.len() == 1 && gated[0]["complete"] == false, "{what}: {gated:?}");
    let waiting = items(address, "builders/waiting/buildrequests");
    assert!(waiting.len() == 1 && waiting[0]["complete"] == false, "{what}: {waiting:?}");
}

/// What it is, how it is done, what a check says (then a rebuild is ordered), what the next start logs.
type Damage<'a> = (&'a str, &'a dyn Fn(), Option<&'a str>, &'a str);

#[test]
fn whatever_file_of_the_store_is_lost_or_spoilt_history_and_open_work_come_back() {
    let place = Place::new();
    let data = place.data();
    let up = place.up();
    assert_eq!(run(&up.address, &["force", "quick", "--watch"]).status.code(), Some(0));
    for builder in ["gated", "waiting"] {
        assert!(run(&up.address, &["force", builder]).status.success());
    }
    wait_for(&up.address, "the gate", || place.path("counts/begun").exists().then_some(()));
    nothing_is_missing(&up.address, "before");

    // A running master looks after its directory itself.
    let dump = place.path("dump");
    for args in [&["check"][..], &["compact"], &["rebuild"], &["export", path_of(&dump)]] {
        let (code, text) = store(&data, args);
        assert!(
            code == 10 && text.contains("another process holds it\nhint: a running master"),
            "{args:?}: {code}\n{text}"
        );
    }
    let (code, text) = store(&data, &["import", path_of(&dump)]);
    assert!(code == 10 && !dump.exists(), "{text}");
    let text = place.start_in_vain(&data);
    assert!(text.contains("another process holds it"), "{text}");
    up.kill();
    let (code, text) = store(&data, &["check"]);
    assert_eq!(code, 0, "a kill is no damage: {text}");

    let db = data.join("sled/db");
    let rubbish = |path: &Path| fs::write(path, b"rubbish".repeat(5_000)).unwrap();
    let torn_end = |journal: &Path| {
        let mut files = Vec::new();
        walk(journal, &mut files);
        let newest = files.pop().unwrap();
        let torn = [fs::read(&newest).unwrap(), b"SwJ1torn".to_vec()].concat();
        fs::write(newest, torn).unwrap();
    };
    let newest_snapshot = || {
        let mut files = Vec::new();
        walk(&data.join("snapshots"), &mut files);
        files.pop()
    };
    let damages: [Damage<'_>; 10] = [
        ("sled is gone", &|| fs::remove_dir_all(data.join("sled")).unwrap(), Some("it is missing"), ""),
        ("sled's file is rubbish", &|| rubbish(&db), Some("is damaged"), ""),
        ("sled's file is empty", &|| fs::write(&db, b"").unwrap(), None, "the database was made again"),
        ("sled's settings are rubbish", &|| rubbish(&data.join("sled/conf")), None, "the database was made again"),
        (
            "sled and the snapshots are gone",
            &|| {
                fs::remove_dir_all(data.join("sled")).unwrap();
                fs::remove_dir_all(data.join("snapshots")).unwrap();
            },
            Some("it is missing"),
            "",
        ),
        ("the format is gone", &|| fs::remove_file(data.join("format")).unwrap(), None, "`format` was missing"),
        ("the format is rubbish", &|| rubbish(&data.join("format")), Some("it is damaged"), ""),
        ("the journal has a torn end", &|| torn_end(&data.join("journal")), None, ""),
        ("the newest snapshot", &|| newest_snapshot().into_iter().for_each(|path| rubbish(&path)), None, ""),
        ("the lock is gone", &|| fs::remove_file(data.join("lock")).unwrap(), None, ""),
    ];
    for (what, spoil, to_rebuild, told) in damages {
        spoil();
        if let Some(wanted) = to_rebuild {
            let (code, text) = store(&data, &["check"]);
            assert!(code != 0 && text.contains(wanted), "{what}: {code}\n{text}");
            let (code, text) = store(&data, &["rebuild"]);
            assert!(code == 0 && text.contains("rebuilt the database"), "{what}: {code}\n{text}");
            let (code, text) = store(&data, &["check"]);
            assert_eq!(code, 0, "{what}: {text}");
        }
        place.logged();
        let up = place.up();
        nothing_is_missing(&up.address, what);
        up.kill();
        let log = place.logged();
        assert!(log.contains(told) && !log.contains("panicked"), "{what}:\n{log}");
        let (code, text) = store(&data, &["check"]);
        assert_eq!(code, 0, "{what}: {text}");
    }

    // A master says what to do about what it cannot repair by itself.
    rubbish(&data.join("format"));
    let text = place.start_in_vain(&data);
    assert!(text.contains("`starwright store rebuild` writes it again"), "{text}");
    assert_eq!(store(&data, &["rebuild"]).0, 0);

    let up = place.up();
    fs::write(place.path("counts/gate"), "open\n").unwrap();
    let build = wait_for(&up.address, "the end of the build that was open all the time", || {
        builds_of(&up.address, "gated").into_iter().find(|build| build["complete"] == true)
    });
    assert!(build["results"] == 0 && build["number"] == 1, "{build}");
    for step in ["begun", "after"] {
        let starts = fs::read_to_string(place.path("counts").join(step)).unwrap();
        assert_eq!(starts, format!("{step}\n"), "each command ran once");
    }
    assert!(up.terminate().success());
}

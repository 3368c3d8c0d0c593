//! The documentation works exactly as printed: README, tutorial and guides.
//!
//! A page is a session: one shell runs its blocks `sh` one after the other, in a home of its own; its blocks `python` add
//! up to one configuration, with the `load` lines at its top, and `starwright check` has nothing to remark. The words
//! behind the language say what a reader sees from the text:
//!
//! * `terminal`: runs until it is stopped, in a terminal of its own;
//! * `norun`: cannot run in a test; the line above says why, `<!-- not run: … -->`.
//!
//! Stand-ins: `cargo` and `pip` do nothing; `pkill` ends what the session started and nothing else; the port, the host
//! name and the directories of root are replaced by ones of the session.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::git::sealed;
use crate::support::http::{items, request, wait_for, wait_for_listener};
use crate::support::python::python_with;
use crate::support::starwright::PROGRAM;

/// The pages that promise to work.
const PAGES: [&str; 11] = [
    "README.md",
    "docs/tutorial.md",
    "docs/concepts.md",
    "docs/guides/change-sources.md",
    "docs/guides/files.md",
    "docs/guides/forges.md",
    "docs/guides/from-buildbot.md",
    "docs/guides/mail.md",
    "docs/guides/notify.md",
    "docs/guides/operation.md",
    "docs/guides/workers.md",
];

/// Blocks that cannot run: few, or the promise means little.
const NORUN_MAX: usize = 3;

/// A fenced block of a page.
#[derive(Clone, Debug)]
struct Block {
    language: String,
    words: Vec<String>,
    text: String,
    /// The line above it.
    above: String,
    place: String,
}

impl Block {
    fn is(&self, word: &str) -> bool {
        self.words.iter().any(|own| own == word)
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut blocks, mut open, mut above) = (Vec::new(), None::<Block>, String::new());
    for (number, line) in (1..).zip(text.lines()) {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let mut words = info.split_whitespace().map(str::to_owned);
                let language = words.next().unwrap_or_default();
                let place = format!("{page}:{number}");
                let above = std::mem::take(&mut above);
                open = Some(Block { language, words: words.collect(), text: String::new(), above, place });
            }
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => block.text += &format!("{line}\n"),
            (None, None) => line.clone_into(&mut above),
        }
    }
    assert!(open.is_none(), "{page}: the last block has no end");
    blocks
}

/// The configuration that the blocks of a page add up to.
#[derive(Clone, Debug, Default)]
struct Configuration {
    loads: Vec<String>,
    rest: String,
}

impl Configuration {
    fn add(&mut self, block: &Block) {
        for line in block.text.lines() {
            if line.starts_with("load(") {
                self.loads.push(line.to_owned());
            } else {
                self.rest += &format!("{line}\n");
            }
        }
    }

    fn text(&self) -> String {
        format!("{}\n{}", self.loads.join("\n"), self.rest)
    }

    /// What is wrong with it, or worth a remark.
    fn fault(&self) -> Option<String> {
        let dir = TempDir::new().unwrap();
        let file = dir.path().join("master.star");
        std::fs::create_dir(dir.path().join("secrets")).unwrap();
        for secret in self.rest.split("secret(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            std::fs::write(dir.path().join("secrets").join(secret), "swordfish\n").unwrap();
        }
        std::fs::write(&file, self.text()).unwrap();
        let output = sealed(Command::new(PROGRAM).arg("check").arg(&file)).output().unwrap();
        let remarks = String::from_utf8_lossy(&output.stderr);
        let is_right = output.status.success() && remarks.is_empty();
        (!is_right).then(|| format!("\n{}\n{remarks}", self.text()))
    }
}

/// A reader with a home and a shell.
struct Session {
    home: TempDir,
    address: String,
    mail: String,
    bash: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    blocks: usize,
    transcript: String,
}

const DONE: &str = "::the block is done::";
/// Far longer than any block takes.
const BLOCK_TIME: Duration = Duration::from_mins(4);
/// Between two looks at whether the shell is still there.
const LOOK_EVERY: Duration = Duration::from_millis(200);

impl Session {
    fn new(stand_ins: &[(&str, String)]) -> Self {
        let home = TempDir::new().unwrap();
        let bin = home.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let (address, mail) = (free_address(), free_address());
        let pids = home.path().join("pids");
        let pids = pids.display();
        let usual = [
            ("starwright", starwright(&pids.to_string(), &address)),
            ("pkill", pkill(&pids.to_string(), home.path())),
            ("cargo", "exit 0".to_owned()),
            ("pip", "exit 0".to_owned()),
        ];
        for (name, text) in usual.iter().chain(stand_ins) {
            executable(&bin.join(name), text);
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-e"]).current_dir(home.path());
        command.env("HOME", home.path()).env("PATH", path).env("STARWRIGHT_MASTER", format!("http://{address}"));
        let mut bash = sealed(&mut command).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let out = BufReader::new(bash.stdout.take().unwrap());
        std::thread::spawn(move || out.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut input = bash.stdin.take().unwrap();
        writeln!(input, "exec 2>&1").unwrap();
        Self { home, address, mail, bash, input: Some(input), lines, blocks: 0, transcript: String::new() }
    }

    /// Runs a block to its end; what it printed. Each of its commands has to succeed.
    fn run(&mut self, block: &Block) -> String {
        let mut text = self.at_home(&block.text);
        if block.is("terminal") {
            text = format!("{{\n{text}}} &\n");
        }
        self.say(&text, &block.place)
    }

    fn say(&mut self, text: &str, place: &str) -> String {
        self.blocks += 1;
        let file = self.home.path().join(format!("block-{}.sh", self.blocks));
        std::fs::write(&file, text).unwrap();
        let input = self.input.as_mut().unwrap();
        // Not every program ends its last line.
        writeln!(input, ". {} < /dev/null\nprintf '\\n%s\\n' '{DONE}'", file.display()).unwrap();
        let (mut said, began) = (String::new(), Instant::now());
        loop {
            match self.lines.recv_timeout(LOOK_EVERY) {
                Ok(line) if line == DONE => break,
                Ok(line) => said += &format!("{line}\n"),
                // A shell that ended leaves its output to what it started.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    let goes_on = began.elapsed() < BLOCK_TIME && self.bash.try_wait().unwrap().is_none();
                    assert!(goes_on, "{place} failed:\n{text}\nIt said:\n{}{said}", self.transcript);
                }
            }
        }
        self.transcript += &said;
        said
    }

    /// The block with this session's places for those of the real world.
    fn at_home(&self, text: &str) -> String {
        let home = self.home.path().display();
        text.replace("ci.example.org:8010", &self.address)
            .replace("127.0.0.1:8010", &self.address)
            .replace("localhost:8025", &self.mail)
            .replace("port = 8025", &format!("port = {}", self.mail.rsplit(':').next().unwrap()))
            .replace("/etc/starwright", &format!("{home}/etc/starwright"))
            .replace("/var/lib/starwright", &format!("{home}/var/lib/starwright"))
            .replace("/srv/starwright-worker", &format!("{home}/srv/starwright-worker"))
    }

    /// Waits until what runs in the background prints this.
    fn wait_for_output(&mut self, wanted: &str) {
        let began = Instant::now();
        while !self.transcript.contains(wanted) {
            match self.lines.recv_timeout(LOOK_EVERY) {
                Ok(line) => self.transcript += &format!("{line}\n"),
                Err(_) => assert!(began.elapsed() < BLOCK_TIME, "`{wanted}` was not printed"),
            }
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn wait_for_master(&self) {
        wait_for_listener(&self.address);
        assert_eq!(request(&self.address, "GET", "/api/starwright/v1/health", &[], "").0, 200);
    }

    fn wait_for_worker(&self, name: &str) {
        wait_for(&self.address, name, || {
            let worker = items(&self.address, &format!("workers?name={name}")).pop()?;
            worker["connected_to"].as_array().is_some_and(|masters| !masters.is_empty()).then_some(())
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what the session said\n{}", self.transcript);
        }
        drop(self.input.take());
        let _ended = Command::new(self.path("bin/pkill")).status();
        let _already_gone = self.bash.kill();
        let _already_reaped = self.bash.wait();
    }
}

/// The program; those that stay are noted, and listen at the session's port.
fn starwright(pids: &str, address: &str) -> String {
    format!(
        "case \"$1\" in up|master|worker) echo $$ >> {pids};; esac\n\
         case \"$1 $*\" in *--listen*) ;; \"up \"*|\"master \"*) exec {PROGRAM} \"$@\" --listen {address};; esac\n\
         exec {PROGRAM} \"$@\""
    )
}

/// Ends those of the session: a number that another process has got meanwhile is left alone.
fn pkill(pids: &str, home: &Path) -> String {
    format!(
        "for pid in $(cat {pids} 2> /dev/null); do\n\
         case \"$(readlink /proc/$pid/cwd)\" in {}*) kill -9 $pid;; esac\n\
         for look in $(seq 200); do [ -d /proc/$pid ] || break; sleep 0.05; done\n\
         done 2> /dev/null\nrm -f {pids}\nexit 0",
        home.display()
    )
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn every_block_says_what_it_is_and_few_cannot_run() {
    let mut norun = Vec::new();
    for block in PAGES.iter().flat_map(|page| blocks(page)) {
        let known = ["sh", "python", "text", "ini", ""].contains(&block.language.as_str());
        assert!(known, "{}: no test knows the language `{}`", block.place, block.language);
        let stranger = block.words.iter().find(|word| !["terminal", "norun"].contains(&word.as_str()));
        assert_eq!(stranger, None, "{}", block.place);
        if block.is("norun") {
            let reason = block.above.strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
            assert!(reason.is_some(), "{}: the line above has to say why: <!-- not run: … -->", block.place);
            norun.push(block.place);
        }
    }
    assert!(norun.len() <= NORUN_MAX, "too many blocks cannot run: {norun:?}");
}

#[test]
fn every_configuration_is_right_and_remarks_nothing() {
    for page in PAGES {
        let mut configuration = Configuration::default();
        for block in blocks(page).iter().filter(|block| block.language == "python") {
            let mut alone = Configuration::default();
            alone.add(block);
            configuration.add(block);
            // A block of `load` lines alone says what is to be added to the top.
            if !alone.rest.trim().is_empty() && alone.fault().is_some() {
                let fault = configuration.fault();
                assert!(fault.is_none(), "{}: {}", block.place, fault.unwrap());
            }
        }
    }
}

#[test]
fn the_five_minutes_of_the_readme_can_be_pasted_as_one_block() {
    let mut session = Session::new(&[]);
    for block in blocks("README.md").iter().filter(|block| block.language == "sh" && !block.is("norun")) {
        session.run(block);
    }
    for wanted in ["ok (1 worker, 1 builder, 1 scheduler)", "build successful", "it works"] {
        assert!(session.transcript.contains(wanted), "`{wanted}` is missing");
    }
}

#[test]
fn the_tutorial_works_as_printed() {
    let mut session = Session::new(&[("python3", mail_server())]);
    let mut configuration = Configuration::default();
    let mut said = String::new();
    for block in blocks("docs/tutorial.md") {
        match block.language.as_str() {
            "python" => {
                configuration.add(&block);
                session.write("demo/master.star", &session.at_home(&configuration.text()));
            }
            "sh" => {
                said = session.run(&block);
                if block.text.contains("break the tests") {
                    wait_for(&session.address, "the red build", || {
                        items(&session.address, "builds?results=2").pop().map(drop)
                    });
                    let log = session.say("starwright log project test\n", &block.place);
                    assert!(log.contains("testing"), "{log}");
                }
                if block.text.contains("repair the tests") {
                    session.wait_for_output("is back to green");
                }
                if block.text.contains("locl") {
                    said = session.say("starwright check ~/demo/master.star || true\n", &block.place);
                }
            }
            "text" => {
                for line in block.text.lines() {
                    assert!(said.contains(line.trim_end()), "{}: `{line}` is not in\n{said}", block.place);
                }
            }
            _ => {}
        }
    }
    session.wait_for_master();
    wait_for(&session.address, "the build whose plug was pulled", || {
        let newest = items(&session.address, "builds?order=-buildid&limit=1").pop()?;
        (newest["complete"] == true).then_some(())
    });
    let log = session.say("starwright log project compile\n", "the end of the tutorial");
    assert_eq!(log.matches("building").count(), 1, "the command ran once, and its log is whole: {log}");
    let decides = configuration.text().replace("sh(\"make test\", name = \"test\", timeout = \"5m\")", "tests");
    assert!(decides.contains("        tests,"), "{decides}");
    let (loads, rest) = decides.split_once("\n\n").unwrap();
    let (before, function) = rest.split_at(rest.find("def tests").unwrap());
    let rest = format!("{function}\n{before}");
    assert_eq!(Configuration { loads: vec![loads.to_owned()], rest }.fault(), None, "the last step of the tutorial");
}

#[test]
fn the_guide_to_change_sources_works_as_printed() {
    let mut session = Session::new(&[]);
    // As the guide declares the hook, without its repositories, which are elsewhere.
    session.write(
        "master.star",
        "worker(\"local\")\nchange_hook(\"base\", user = \"push\", password = secret(\"hook\"))\n",
    );
    session.write("secrets/hook", "PASSWORD\n");
    session.say("starwright up master.star &\n", "the start");
    session.wait_for_master();
    for block in blocks("docs/guides/change-sources.md").iter().filter(|block| block.language == "sh") {
        if !block.is("norun") {
            session.run(block);
        }
    }
    let changes = items(&session.address, "changes");
    assert_eq!(changes.len(), 2, "{}", session.transcript);
}

#[test]
fn the_guide_to_forges_works_as_printed() {
    let mut session = Session::new(&[]);
    let block = blocks("docs/guides/forges.md").into_iter().find(|block| block.text.contains("name = \"mirror\""));
    session.write("master.star", &format!("worker(\"local\")\n{}", block.expect("the guide has a generic hook").text));
    session.write("secrets/mirror-hook", "SECRET\n");
    session.say("starwright up master.star &\n", "the start");
    session.wait_for_master();
    for block in blocks("docs/guides/forges.md").iter().filter(|block| block.language == "sh") {
        session.run(block);
    }
    assert!(session.transcript.contains("1 change found"), "{}", session.transcript);
    let changes = items(&session.address, "changes");
    assert_eq!(changes[0]["branch"], "main", "{}", session.transcript);
}

/// A `python3` that has the mail server of the guides, and prints at once.
fn mail_server() -> String {
    let python = python_with(&["aiosmtpd==1.4.6"]).display().to_string();
    format!("echo $$ >> ~/pids\nexport PYTHONUNBUFFERED=1\nexec {python} \"$@\"")
}

#[test]
fn the_guide_to_mail_works_as_printed() {
    let mut session = Session::new(&[("python3", mail_server())]);
    for block in blocks("docs/guides/mail.md").iter().filter(|block| block.language == "sh") {
        session.run(block);
    }
    wait_for_listener(&session.mail);
}

#[test]
fn the_guide_to_operation_works_as_printed() {
    let mut session = Session::new(&[]);
    session.write("etc/starwright/master.star", "worker(\"local\")\n");
    for block in blocks("docs/guides/operation.md").iter().filter(|block| block.language == "sh") {
        session.run(block);
        session.wait_for_master();
    }
}

#[test]
fn the_guide_to_workers_works_as_printed() {
    let python = python_with(&crate::support::stock_worker::PACKAGES);
    let buildbot = python.parent().unwrap().join("buildbot-worker").display().to_string();
    let mut session = Session::new(&[("buildbot-worker", format!("exec {buildbot} \"$@\""))]);
    let (mut configuration, mut started) = (Configuration::default(), BTreeSet::new());
    for block in blocks("docs/guides/workers.md") {
        match block.language.as_str() {
            "python" => {
                configuration.add(&block);
                session.write("master.star", &configuration.text());
            }
            "sh" => {
                session.run(&block);
                if block.text.contains("secrets/") && started.insert("master") {
                    session.say("starwright up master.star &\n", "the start");
                    session.wait_for_master();
                    let password = std::fs::read_to_string(session.path("secrets/linux-1")).unwrap();
                    session.write("etc/starwright/linux-1", &password);
                }
            }
            _ => {}
        }
    }
    session.wait_for_worker("linux-1");
    session.wait_for_worker("windows-1");
    session.say("buildbot-worker stop windows-1\n", "the end");
}

//! The world that most tests look at: builds of every outcome, logs of every kind, odd names.

use starwright::testing::model::{LogKind, Outcome};

use super::world::{Made, World, force_scheduler};

/// Ids in the filled world.
pub struct Filled {
    pub world: World,
    /// Of builder 1: successful, with all kinds of logs.
    pub good: Made,
    pub good_step: u64,
    pub logs: Logs,
    /// Of builder 1: failed.
    pub bad: Made,
    /// Of builder 3: running, with a growing log.
    pub running: Made,
    pub growing: u64,
    /// Of builder 2: waits.
    pub waiting: u64,
    pub changes: Vec<u64>,
}

/// The logs of the good build's step.
pub struct Logs {
    pub stdio: u64,
    pub header_only: u64,
    pub html: u64,
    pub text: u64,
    pub empty: u64,
}

/// A builder whose name is all that a name can be.
pub const ODD: &str = "café/ümlaut <b>\"50%\"</b>";

/// The lines of the stdio log: two headers, 120 of output with a warning each ten, and the end.
pub fn stdio_lines() -> Vec<(char, Vec<u8>)> {
    let mut lines = vec![('h', b"running fake command".to_vec()), ('h', b"argv: [fake]".to_vec())];
    for i in 0..120 {
        lines.push(('o', format!("line {i} of output").into_bytes()));
        if i % 10 == 0 {
            lines.push(('e', format!("warn: \u{1b}[31mred\u{1b}[0m <b> unicode \u{2713} {i}").into_bytes()));
        }
    }
    lines.push(('o', b"bad bytes \xff\xfe".to_vec()));
    lines
}

/// Builds the world.
pub fn filled() -> Filled {
    let mut world = World::empty();
    let builders: [(&str, &[&str]); 3] = [("ok", &["w1", "w2"]), ("lonely", &["w2"]), (ODD, &["w1"])];
    world.adopt(&builders, &["w1", "w2", "w-never"], Some(force_scheduler(&["ok", ODD])));
    world.connect("w1");
    world.wait(5);
    let changes: Vec<_> = (0..5)
        .map(|i| {
            world.wait(10);
            world.change("main", &format!("commit {i} <script>\n\nlong body"), &[&format!("src/f{i}.c"), "README"])
        })
        .collect();
    let good = world.start(1, 1, 1, "the <nightly> scheduler", Some(&changes[0]));
    let prepared = world.step(&good, 0, "worker_preparation");
    world.end_step(&good, prepared, Outcome::Success, "worker w1 ready");
    let step = world.step(&good, 1, "logs & more");
    world.link(&good, step, "dashboard", "https://example.org/a?b=c&d");
    world.link(&good, step, "bad", "javascript:alert(1)");
    let lines = stdio_lines();
    let lines: Vec<(char, &[u8])> = lines.iter().map(|(stream, text)| (*stream, text.as_slice())).collect();
    let stdio = world.log(&good, step, "stdio", LogKind::Stdio, &lines);
    let headers: [(char, &[u8]); 2] = [('h', b"only header line 1"), ('h', b"only header line 2")];
    let header_only = world.log(&good, step, "header-only", LogKind::Stdio, &headers);
    let html_lines: [(char, &[u8]); 2] = [('t', b"<h1>Report &amp; co</h1>"), ('t', b"<script>alert(1)</script>")];
    let html = world.log(&good, step, "report.html", LogKind::Html, &html_lines);
    let text_lines: [(char, &[u8]); 3] = [('t', b"first"), ('t', b"second"), ('t', b"third")];
    let text = world.log(&good, step, "plain text (a)", LogKind::Text, &text_lines);
    let empty = world.log(&good, step, "empty", LogKind::Stdio, &[]);
    for log in [stdio, header_only, html, text, empty] {
        world.close(&good, step, log);
    }
    world.wait(65);
    world.end_step(&good, step, Outcome::Success, "finished");
    world.end(&good, Outcome::Success, "build successful");

    let bad = world.start(1, 2, 2, "changes", Some(&changes[1]));
    let compile = world.step(&bad, 1, "compile");
    let error: [(char, &[u8]); 1] = [('e', b"error: <it> broke")];
    let log = world.log(&bad, compile, "stdio", LogKind::Stdio, &error);
    world.close(&bad, compile, log);
    world.wait(3);
    world.end_step(&bad, compile, Outcome::Failure, "'make' (failure)");
    world.end(&bad, Outcome::Failure, "failed 'make' (failure)");
    let rest =
        [Outcome::Warnings, Outcome::Skipped, Outcome::Exception, Outcome::Retry, Outcome::Cancelled, Outcome::Success];
    for (outcome, number) in rest.into_iter().zip(3..) {
        let made = world.start(1, number, 1, "again", None);
        world.wait(2);
        world.end(&made, outcome, &format!("it was {outcome}"));
    }
    let running = world.start(3, 1, 1, "forced", Some(&changes[4]));
    let long = world.step(&running, 1, "long");
    let ticks: [(char, &[u8]); 2] = [('h', b"./tick"), ('o', b"tick 0")];
    let growing = world.log(&running, long, "stdio", LogKind::Stdio, &ticks);
    world.wait(30);
    let waiting = world.request(2, "waits for w2", None).request;
    Filled {
        good_step: step.0,
        logs: Logs { stdio: stdio.0, header_only: header_only.0, html: html.0, text: text.0, empty: empty.0 },
        changes: changes.iter().map(|change| change.id.0).collect(),
        growing: growing.0,
        world,
        good,
        bad,
        running,
        waiting,
    }
}

//! What the installation builds: fifty builds a round with logs, locks, triggers, parallel steps, retries and failures;
//! and what their commands print.
//!
//! Every command is one script that first notes its own start in a file, then prints text that follows from its
//! arguments alone. So what must be in each log is known without any CI.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workers' names; in a fleet with a stock one it is the last.
pub const WORKERS: [&str; 5] = ["w1", "w2", "w3", "w4", "w5"];
/// What all workers prove themselves with.
pub const PASSWORD: &str = "swordfish";
/// Builds at the same time on each.
const SLOTS: usize = 2;

/// The command of a step.
pub struct Talk {
    /// The step's name.
    pub step: &'static str,
    /// It prints so many lines so many times, and pauses after each.
    lines: u32,
    bursts: u32,
    pause: &'static str,
    code: u8,
}

const fn talk(step: &'static str, lines: u32, bursts: u32, pause: &'static str, code: u8) -> Talk {
    Talk { step, lines, bursts, pause, code }
}

/// All commands.
pub const TALKS: [Talk; 12] = [
    talk("prepare", 200, 1, "0.1", 0),
    talk("compile", 900, 3, "0.3", 0),
    talk("test", 500, 4, "0.6", 0),
    talk("look", 60, 1, "0.1", 0),
    talk("branch a", 5000, 2, "0.2", 0),
    talk("branch b", 300, 3, "0.5", 0),
    talk("branch c", 10, 1, "0.1", 0),
    talk("pack", 150, 2, "0.1", 0),
    talk("child", 700, 3, "0.4", 0),
    talk("broken", 300, 2, "0.2", 3),
    talk("flaky", 100, 1, "0.2", 0),
    talk("report", 100, 1, "0.1", 0),
];

/// A build that is asked for.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name in the round.
    pub name: String,
    /// Who builds it.
    pub builder: &'static str,
}

/// How many builds of each kind a round has; the children come by trigger, one for each parent.
const KINDS: [(&str, usize); 6] =
    [("plain", 10), ("wide", 9), ("locked", 10), ("parent", 6), ("failing", 5), ("flaky", 4)];
/// All builds of a round, children and the last one included.
pub const BUILDS: usize = 51;

/// What a round asks for, the kinds mixed.
pub fn jobs() -> Vec<Job> {
    let most = KINDS.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let number = |n: usize| KINDS.iter().filter(move |(_, count)| n < *count);
    (0..most).flat_map(|n| number(n).map(move |(builder, _)| Job { name: format!("{builder}-{n}"), builder })).collect()
}

/// Asked for when all others ended: it needs every lock whole.
pub fn last() -> Job {
    Job { name: "last-0".to_owned(), builder: "last" }
}

/// Writes the configuration, the commands' script and the secret; the configuration's path.
pub fn write(place: &Path) -> PathBuf {
    fs::create_dir_all(place.join("counts")).unwrap();
    fs::create_dir_all(place.join("secrets")).unwrap();
    fs::write(place.join("secrets/chaos"), format!("{PASSWORD}\n")).unwrap();
    fs::write(place.join("talk.sh"), TALK).unwrap();
    let config = place.join("master.star");
    fs::write(&config, configuration(place)).unwrap();
    config
}

fn configuration(place: &Path) -> String {
    let mut text = String::new();
    for (n, worker) in WORKERS.iter().enumerate() {
        let tags = if n + 1 < WORKERS.len() { r#"["any", "ours"]"# } else { r#"["any"]"# };
        writeln!(text, r#"worker("{worker}", password = secret("chaos"), tags = {tags}, slots = {SLOTS})"#).unwrap();
    }
    text.push_str("TALKS = {\n");
    for Talk { step, lines, bursts, pause, code } in &TALKS {
        writeln!(text, r#"    "{step}": ["{lines}", "{bursts}", "{pause}", "{code}"],"#).unwrap();
    }
    text.push_str("}\n");
    BUILDERS.replace("# WORKERS", &text).replace("TALK_SH", &place.join("talk.sh").display().to_string())
}

const BUILDERS: &str = r#"
load("@stdlib//steps.star", "copy", "mkdir", "parallel", "remove", "sh", "trigger")
load("@stdlib//schedulers.star", "force", "text_param", "triggerable")
master(title = "Chaos")
# WORKERS

printer = lock("printer")
seats = lock("seats", count = 3)

def side(step):
    return lambda ctx: "side-{}-{}.txt".format(ctx.number, step.replace(" ", "-"))

def words(step, ctx):
    return ["sh", "TALK_SH", ctx.property("round"), ctx.property("job"), step] + TALKS[step] + [side(step)(ctx)]

def talk(step, **flags):
    return sh(lambda ctx: words(step, ctx), name = step, log_files = {"side": side(step)}, **flags)

def folder(name):
    return lambda ctx: "{}-{}".format(name, ctx.number)

def look(ctx):
    found = ctx.run(words("look", ctx), output = True)
    count = len(found.stdout.splitlines())
    job = ctx.property("job")
    ctx.log("notes", "\n".join(["note {} of {}".format(n, job) for n in range(count)]))
    ctx.set_property("looked", count)
    ctx.wait("150ms")
    results = ctx.parallel([talk("branch a"), talk("branch b"), talk("branch c")])
    ctx.set_summary("{} lines, {} branches".format(count, len([result for result in results if result.ok])))

def pass_on(ctx):
    return {"round": ctx.property("round"), "job": ctx.property("job").replace("parent", "child")}

builder("plain", workers = ["any"], collapse = "never", steps = [
    talk("prepare"),
    mkdir(folder("out"), name = "make"),
    talk("compile"),
    copy(folder("out"), folder("kept"), name = "keep"),
    talk("test"),
    remove(folder("out"), folder("kept"), name = "clean"),
])
builder("wide", workers = ["any"], collapse = "never", steps = [look, talk("report")])
builder("locked", workers = ["ours"], collapse = "never", locks = [seats.shared(1)], steps = [
    talk("prepare"),
    talk("pack", locks = [printer]),
])
builder("parent", workers = ["any"], collapse = "never", steps = [
    talk("prepare"),
    trigger(["children"], properties = {"round": lambda ctx: pass_on(ctx)["round"], "job": lambda ctx: pass_on(ctx)["job"]}),
    talk("report"),
])
builder("child", workers = ["any"], collapse = "never", steps = [talk("child")])
builder("failing", workers = ["any"], collapse = "never", steps = [
    talk("prepare"),
    talk("broken"),
    talk("test"),
    talk("report", always_run = True),
])
builder("flaky", workers = ["ours"], collapse = "never", steps = [
    talk("flaky", retries = 1, retry_delay = "100ms"),
    talk("report"),
])
builder("last", workers = ["ours"], collapse = "never", locks = [seats.exclusive(), printer.exclusive()], steps = [
    talk("report"),
])
triggerable("children", builders = ["child"])
force(
    "by-hand",
    builders = ["plain", "wide", "locked", "parent", "failing", "flaky", "last"],
    params = [text_param("round"), text_param("job")],
)
"#;

/// The command. It breaks when two hold the lock `printer`, and at the first start of a flaky step.
const TALK: &str = r#"
round=$1 job=$2 step=$3 lines=$4 bursts=$5 pause=$6 code=$7 side=$8
counts=${COUNTS:-$(dirname "$0")/counts}
echo "$job $step" >> "$counts/starts-$round"
if [ "$step" = pack ]; then
    mkdir "$counts/printer-$round" || { echo "two of us hold the lock"; exit 9; }
fi
burst=1
while [ "$burst" -le "$bursts" ]; do
    awk -v job="$job" -v step="$step" -v burst="$burst" -v lines="$lines" 'BEGIN {
        for (n = 1; n <= lines; n++) {
            printf "%s %s %d.%d %08x", job, step, burst, n, (n * 26544 + burst * 97) % 16777216
            if (n % 7 == 0) printf " grüße\t→ ja"
            if (n % 50 == 0) for (k = 0; k < 40; k++) printf " 0123456789abcdefghijklmnopqrstuvwxyz"
            if (n % 11 == 0) printf "\n"
            printf "\n"
        }
    }'
    echo "$job $step: burst $burst" >&2
    echo "$job $step: side $burst" >> "$side"
    sleep "$pause"
    burst=$((burst + 1))
done
if [ "$step" = pack ]; then
    rmdir "$counts/printer-$round"
fi
if [ "$step" = flaky ] && mkdir "$counts/tried-$round-$job" 2>/dev/null; then
    code=7
fi
printf "%s" "$job $step ends without an end of line"
exit "$code"
"#;

/// What commands print, as told by the script itself without any CI: standard output by job and step.
pub struct Known {
    place: PathBuf,
    texts: BTreeMap<(String, String), Vec<u8>>,
}

impl Known {
    /// Knows nothing yet; works in a directory of its own.
    pub fn new(place: &Path) -> Self {
        let place = place.join("known");
        write(&place);
        Self { place, texts: BTreeMap::new() }
    }

    /// Standard output of a step's command; none if the step has no command.
    pub fn stdout(&mut self, job: &str, step: &str) -> Option<&[u8]> {
        let talk = TALKS.iter().find(|talk| talk.step == step)?;
        let key = (job.to_owned(), step.to_owned());
        let place = &self.place;
        let text = self.texts.entry(key).or_insert_with(|| {
            let words = [talk.lines.to_string(), talk.bursts.to_string(), "0".to_owned(), talk.code.to_string()];
            let mut command = Command::new("sh");
            command.arg(place.join("talk.sh")).args(["known", job, step]).args(words).arg("side");
            command.current_dir(place).output().unwrap().stdout
        });
        Some(text)
    }
}

//! `log`: prints logs, and follows them while they grow.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::Value as Json;

use super::client::{BuildTarget, Client, outcome_of};
use super::error::{CliError, exit_code};
use super::output::{check, errln, outln};
use super::terminal::{cleaned, printable};
use super::watch::LOOK_EVERY;
use crate::base::nearest;

/// Lines asked for at once: an answer of some hundred kilobytes.
const LINES_AT_ONCE: u64 = 5_000;

pub(super) fn run<'a>(
    client: Client,
    build: &'a str,
    step: Option<&'a str>,
    follow: bool,
    colours: bool,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    Ok(async move {
        let (record, named_step) = match client.named(build).await? {
            BuildTarget::Build { build, step } => (build, step),
            BuildTarget::Builder { name, id } if follow => {
                (current_or_coming(&client.clone().patient(), &name, id).await?, None)
            }
            BuildTarget::Builder { name, id } => (client.newest_build(&name, id).await?, None),
        };
        let id = record["buildid"].as_u64().unwrap_or_default();
        let step = match (step, named_step) {
            (Some(step), Some(other)) if step != other => {
                let text = format!("`{build}` already names step `{other}`, so `{step}` cannot be given as well");
                return Err(CliError::user(text).hint("name one step"));
            }
            (step, other) => step.map(str::to_owned).or(other),
        };
        let client = if follow { client.patient() } else { client };
        let printed = BTreeMap::new();
        let mut printer = Printer { client, printed, heading: None, with_headings: step.is_none(), colours };
        loop {
            // The build is read before its logs: what ended before the last look is printed whole.
            let record = printer.client.build_by_id(id).await?;
            printer.build(id, step.as_deref(), follow && record["complete"] != true).await?;
            if record["complete"] == true || !follow {
                let outcome = outcome_of(&record).filter(|_| follow);
                return Ok(outcome.map_or(ExitCode::SUCCESS, exit_code));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
}

/// The build of a builder to follow: the one that runs, else the one that a waiting request will get, else the newest.
async fn current_or_coming(client: &Client, builder: &str, id: u64) -> Result<Json, CliError> {
    let newest = client.newest_build_if_any(id).await?;
    let waiting = client.oldest_waiting(id).await?;
    if let Some(running) = newest.filter(|build| build["complete"] != true) {
        if waiting.is_some() {
            errln!("following build {builder}/{}, which is running; further requests are waiting", running["number"]);
        }
        return Ok(running);
    }
    let Some(request) = waiting else { return client.newest_build(builder, id).await };
    errln!("build request {request} of {builder} is waiting; its log follows when its build starts");
    loop {
        let record = client.list(&format!("buildrequests/{request}"), "buildrequests").await?;
        let record = record.and_then(|mut items| items.pop()).unwrap_or_default();
        let builds = client.list(&format!("buildrequests/{request}/builds"), "builds").await?.unwrap_or_default();
        if let Some(build) = builds.into_iter().last() {
            return Ok(build);
        }
        if record["complete"] == true || record.is_null() {
            return Err(CliError::environment(format!("build request {request} ended without a build")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

struct Printer {
    client: Client,
    /// Lines printed, by log.
    printed: BTreeMap<u64, u64>,
    heading: Option<u64>,
    with_headings: bool,
    colours: bool,
}

impl Printer {
    /// Prints what is new of a build's logs. A step that is wanted `may_come` while the build runs.
    async fn build(&mut self, build: u64, wanted: Option<&str>, may_come: bool) -> Result<(), CliError> {
        let steps = self.client.list(&format!("builds/{build}/steps"), "steps").await?.unwrap_or_default();
        let chosen: Vec<&Json> =
            steps.iter().filter(|step| wanted.is_none_or(|wanted| is_named(step, wanted))).collect();
        if let (Some(wanted), true) = (wanted, chosen.is_empty() && !may_come) {
            return Err(no_such_step(wanted, &steps));
        }
        for step in chosen {
            let logs = self.client.list(&format!("steps/{}/logs", step["stepid"]), "logs").await?.unwrap_or_default();
            for log in &logs {
                self.log(step, log).await?;
            }
        }
        Ok(())
    }

    async fn log(&mut self, step: &Json, log: &Json) -> Result<(), CliError> {
        let id = log["logid"].as_u64().unwrap_or_default();
        let total = log["num_lines"].as_u64().unwrap_or_default();
        let mut from = self.printed.get(&id).copied().unwrap_or_default();
        while from < total {
            let path = format!("logs/{id}/contents?offset={from}&limit={}", LINES_AT_ONCE.min(total - from));
            let chunk =
                self.client.list(&path, "logchunks").await?.and_then(|mut items| items.pop()).unwrap_or_default();
            let content = chunk["content"].as_str().unwrap_or_default();
            if content.is_empty() {
                break;
            }
            self.head(id, step, log);
            from += self.print_lines(content, log["type"] == "s");
        }
        self.printed.insert(id, from);
        Ok(())
    }

    fn head(&mut self, id: u64, step: &Json, log: &Json) {
        if self.with_headings && self.heading != Some(id) {
            let name = |json: &Json| printable(json.as_str().unwrap_or_default());
            outln!("── step {}: {} · {} ──", step["number"], name(&step["name"]), name(&log["name"]));
            self.heading = Some(id);
        }
    }

    /// Prints lines; those of a stdio log begin with the letter of their stream. Returns their number.
    fn print_lines(&self, content: &str, streams: bool) -> u64 {
        let mut text = String::with_capacity(content.len());
        let mut count = 0;
        for line in content.lines() {
            let mut letters = line.chars();
            let line = if streams && letters.next().is_some() { letters.as_str() } else { line };
            text.push_str(&cleaned(line, self.colours));
            text.push('\n');
            count += 1;
        }
        let mut out = std::io::stdout().lock();
        check(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        count
    }
}

fn is_named(step: &Json, wanted: &str) -> bool {
    step["name"] == wanted || wanted.parse::<u64>().is_ok_and(|number| step["number"].as_u64() == Some(number))
}

fn no_such_step(wanted: &str, steps: &[Json]) -> CliError {
    let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
    let error = CliError::user(format!("the build has no step `{wanted}`"));
    match nearest(wanted, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => {
            let numbered =
                steps.iter().filter_map(|step| Some(format!("{} {}", step["number"], step["name"].as_str()?)));
            error.hint(format!("its steps are: {}", numbered.collect::<Vec<_>>().join(", ")))
        }
    }
}

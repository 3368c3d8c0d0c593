//! Asks for the builds of a round, a few at a time, and waits for their ends, whatever happens to the master meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

use super::client::{force, items};
use super::history::ended;
use super::recipe::{BUILDS, Job, jobs, last};

/// Builds that are asked for and not at their end: more than the workers have room for, so that some wait.
const OPEN_MAX: usize = 14;
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// If nothing ends for so long, nothing will: no command takes a tenth of it.
const STANDSTILL: Duration = Duration::from_mins(3);

/// How far a round is.
#[derive(Default)]
pub struct Progress {
    pub ended: AtomicUsize,
}

/// Does a round. Returns when every build of it ended; what was not, if nothing moves any more.
pub fn work(address: &str, round: &str, progress: &Progress) -> Result<(), String> {
    let mut open: Vec<Job> = jobs();
    open.reverse();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut moved = (0, Instant::now());
    loop {
        if let Ok(jobs) = finals(address, round) {
            progress.ended.store(jobs.len(), Ordering::Relaxed);
            if jobs.len() == BUILDS {
                return Ok(());
            }
            if jobs.len() > moved.0 {
                moved = (jobs.len(), Instant::now());
            }
            if open.is_empty() && jobs.len() == BUILDS - 1 && !asked.contains(&last().name) {
                open.push(last());
            }
            while asked.iter().filter(|job| !jobs.contains(*job)).count() < OPEN_MAX
                && let Some(job) = open.pop()
            {
                if ask(address, round, &job).is_err() {
                    open.push(job);
                    break;
                }
                asked.insert(job.name);
            }
        }
        if moved.1.elapsed() > STANDSTILL {
            let jobs = finals(address, round);
            let missing: Vec<_> =
                asked.iter().filter(|job| !jobs.as_ref().is_ok_and(|jobs| jobs.contains(*job))).collect();
            return Err(format!("round {round}: nothing moves; {} builds ended, open are {missing:?}", moved.0));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Jobs with a build that is not to be repeated.
fn finals(address: &str, round: &str) -> io::Result<BTreeSet<String>> {
    let is_final = |build: &Json| build["results"] != 5;
    let jobs = ended(address, round)?.into_iter();
    Ok(jobs.filter(|(_, builds)| builds.iter().any(is_final)).map(|(job, _)| job).collect())
}

/// Asks once. If the answer is cut off, the next master knows whether the question arrived: it is durable, or it is not.
fn ask(address: &str, round: &str, job: &Job) -> io::Result<()> {
    if is_known(address, round, job)? { Ok(()) } else { force(address, job.builder, round, &job.name) }
}

fn is_known(address: &str, round: &str, job: &Job) -> io::Result<bool> {
    let requests = items(address, "buildrequests?order=-buildrequestid&limit=200&property=round&property=job")?;
    Ok(requests.iter().any(|request| {
        request["properties"]["round"][0] == round && request["properties"]["job"][0] == job.name.as_str()
    }))
}

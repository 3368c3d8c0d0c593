//! `up`: a master, its local workers and the pages in one process.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::args::MasterArgs;
use super::error::CliError;
use super::master::{StartedMaster, in_runtime};
use super::output::say;
use crate::base::{LogForm, chain, init_logging};
use crate::master::Handle;
use crate::model::{AlertSubject, Event, Plan};
use crate::worker;

/// The kind of the alert about a local worker that ended by itself.
const ENDED: &str = "ended";

pub(super) fn run(args: &MasterArgs, form: LogForm) -> Result<ExitCode, CliError> {
    init_logging(form, "warn,starwright=info,warp=off,sled=warn");
    in_runtime(async {
        let Some(started) = StartedMaster::open(args, true).await? else { return Ok(ExitCode::SUCCESS) };
        greet(args, &started);
        let workers = LocalWorkers {
            handle: started.handle().clone(),
            address: started.address,
            dir: started.data.join("workers"),
            running: BTreeMap::new(),
        };
        started.serve(|stop| workers.keep(stop)).await
    })
}

fn greet(args: &MasterArgs, started: &StartedMaster) {
    let plan = started.handle().plan();
    let local: Vec<&str> = local_names(&plan).collect();
    let workers = if local.is_empty() {
        "none on this machine; declare worker(\"local\"), without a password, to run builds here".to_owned()
    } else {
        local.join(", ")
    };
    say("Starwright is up.");
    say(&format!("  pages          {}", started.local_url()));
    if started.url != started.local_url() {
        say(&format!("  public address {}", started.url));
    }
    say(&format!("  configuration  {} (reloaded whenever you save it)", args.config.display()));
    say(&format!("  state          {}", started.data.display()));
    say(&format!("  workers        {workers}"));
    say("Press Ctrl-C to stop.");
}

fn local_names(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.workers.values().filter(|worker| worker.password.is_none()).map(|worker| worker.name.as_str())
}

/// Keeps one worker task for each worker of the configuration that has no password.
struct LocalWorkers {
    handle: Handle,
    address: SocketAddr,
    dir: PathBuf,
    running: BTreeMap<String, (CancellationToken, JoinHandle<()>)>,
}

impl LocalWorkers {
    async fn keep(mut self, stop: CancellationToken) {
        let mut facts = self.handle.subscribe();
        self.reconcile();
        loop {
            let fact = tokio::select! {
                () = stop.cancelled() => break,
                fact = facts.recv() => fact,
            };
            match fact {
                Ok(fact) if matches!(fact.event, Event::PlanAdopted { .. }) => self.reconcile(),
                Ok(_) => {}
                // Facts were missed; the plan among them may be new.
                Err(RecvError::Lagged(_)) => self.reconcile(),
                Err(RecvError::Closed) => break,
            }
        }
        for (token, task) in std::mem::take(&mut self.running).into_values() {
            token.cancel();
            let _ends_with_its_token = task.await;
        }
    }

    fn reconcile(&mut self) {
        let plan = self.handle.plan();
        let wanted: Vec<&str> = local_names(&plan).collect();
        self.running.retain(|name, (token, _)| {
            let keep = wanted.contains(&name.as_str());
            if !keep {
                token.cancel();
            }
            keep
        });
        for name in wanted {
            if !self.running.contains_key(name)
                && let Some(password) = self.handle.local_password(name)
            {
                let started = start(&self.handle, self.dir.join(name), self.address, (name, password));
                self.running.insert(name.to_owned(), started);
            }
        }
    }
}

/// Starts a worker; an alert says so if it ends by itself.
fn start(
    handle: &Handle,
    dir: PathBuf,
    address: SocketAddr,
    (name, password): (&str, String),
) -> (CancellationToken, JoinHandle<()>) {
    let (token, handle) = (CancellationToken::new(), handle.clone());
    let options = worker::Options { master: address.to_string(), name: name.to_owned(), password, dir };
    let (stop, subject) = (token.clone(), AlertSubject::Worker(name.to_owned()));
    handle.alerts().clear(&subject, ENDED);
    let task = tokio::spawn(async move {
        if let Err(error) = worker::run(options, stop).await {
            let hint = "fix the cause, then restart `starwright up`".to_owned();
            handle.alerts().raise(subject, ENDED, format!("the local worker failed to {}", chain(&error)), Some(hint));
        }
    });
    (token, task)
}

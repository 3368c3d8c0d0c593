//! A master in this process, on a scratch directory, with its facts in view.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use starwright::testing::base::Clock;
use starwright::testing::master::{Handle, Launcher, Master, Options, Reach, Reply, StartError};
use starwright::testing::model::{Actor, BuildId, Event, Fact, ForceOrder, LogId, Order, Via};
use tempfile::TempDir;
use tokio::sync::broadcast;

use crate::support::starwright::PROGRAM;

/// Nothing that a test waits for takes longer, however busy the machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A scratch directory: configuration, state, and what a test puts there.
pub struct House {
    dir: TempDir,
}

/// A master that runs, and the facts since it does.
pub struct Running {
    pub master: Master,
    facts: broadcast::Receiver<Arc<Fact>>,
    seen: Vec<Arc<Fact>>,
}

impl House {
    pub fn new(config: &str) -> Self {
        let house = Self { dir: TempDir::new().unwrap() };
        house.write("master.star", config);
        house
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces a file as editors do.
    pub fn write(&self, name: &str, text: &str) {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, &path).unwrap();
    }

    pub async fn start(&self) -> Running {
        self.try_start().await.unwrap()
    }

    pub async fn try_start(&self) -> Result<Running, StartError> {
        Master::start(self.options()).await.map(Running::new)
    }

    /// A master that looks for changes of its configuration by itself.
    pub async fn start_watching(&self) -> Running {
        Running::new(Master::start(Options { watch: true, ..self.options() }).await.unwrap())
    }

    /// A master whose time is the test's.
    pub async fn start_at(&self, clock: Arc<dyn Clock>) -> Running {
        Running::new(Master::start_at(self.options(), clock).await.unwrap())
    }

    /// A master with other options.
    pub async fn start_with(&self, change: impl FnOnce(&mut Options)) -> Running {
        let mut options = self.options();
        change(&mut options);
        Running::new(Master::start(options).await.unwrap())
    }

    /// The same, if it starts.
    pub async fn try_start_with(&self, change: impl FnOnce(&mut Options)) -> Result<Running, StartError> {
        let mut options = self.options();
        change(&mut options);
        Master::start(options).await.map(Running::new)
    }

    fn options(&self) -> Options {
        // A name of its own, by which its processes can be told from those of other tests.
        let program = self.path("starwright");
        if !program.exists() && std::fs::hard_link(PROGRAM, &program).is_err() {
            std::fs::copy(PROGRAM, &program).unwrap();
        }
        Options {
            config: self.path("master.star"),
            data: self.path("data"),
            url: "http://localhost:8010/".to_owned(),
            watch: false,
            local_workers: true,
            reach: Reach::Machine,
            launcher: Launcher { program: Some(program), ..Launcher::default() },
        }
    }
}

impl Running {
    fn new(master: Master) -> Self {
        let facts = master.handle.subscribe();
        // What was recorded before we listened; the same fact may come once more, which hurts nobody.
        let recorded = master.handle.store().recover().unwrap().facts;
        let started = recorded.iter().rposition(|fact| matches!(fact.event, Event::MasterStarted { .. })).unwrap_or(0);
        let seen = recorded.into_iter().skip(started).map(Arc::new).collect();
        Self { master, facts, seen }
    }

    pub fn handle(&self) -> &Handle {
        &self.master.handle
    }

    /// Waits for the first fact since the start that `pick` takes.
    pub async fn fact<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        if let Some(found) = self.seen.iter().find_map(|fact| pick(&fact.event)) {
            return found;
        }
        loop {
            let fact = tokio::time::timeout(PATIENCE, self.facts.recv()).await;
            let Ok(fact) = fact else { panic!("no {what} among {:#?}", self.seen) };
            let fact = fact.expect("the master runs and the test keeps up");
            let found = pick(&fact.event);
            self.seen.push(fact);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Waits until a build ended; its outcome and state.
    pub async fn ended(&mut self, id: BuildId) -> (starwright::testing::model::Outcome, String) {
        self.fact("end of the build", |event| match event {
            Event::BuildEnded { build, outcome, state, .. } if *build == id => Some((*outcome, state.clone())),
            _ => None,
        })
        .await
    }

    /// Ann gives an order.
    pub async fn order(&self, order: Order) -> Reply {
        self.handle().order(order, ann()).await.unwrap()
    }

    /// Forces a builder and waits until its build runs.
    pub async fn force(&mut self, builder: &str) -> BuildId {
        let Reply::Buildset { requests, .. } = self.order(force(builder)).await else { panic!("refused") };
        let request = *requests.values().next().unwrap();
        self.fact("start of the build", |event| match event {
            Event::BuildStarted { build, requests, .. } if requests.contains(&request) => Some(*build),
            _ => None,
        })
        .await
    }

    /// What a step's log `stdio` holds of standard output.
    pub fn stdout(&self, build: BuildId, step: &str) -> Vec<String> {
        let store = self.handle().store();
        let step = store.steps(build).unwrap().into_iter().find(|found| found.name == step).expect("the step");
        let log = store.logs_of_step(step.id).unwrap().into_iter().find(|log| log.name == "stdio").expect("its log");
        self.lines(build, log.id, 'o')
    }

    fn lines(&self, build: BuildId, log: LogId, stream: char) -> Vec<String> {
        let lines = self.handle().store().logs().read(build, log, 0, 1000).unwrap();
        let lines = lines.into_iter().filter(|line| line.stream == stream);
        lines.map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }
}

/// A person.
pub fn ann() -> Actor {
    Actor::person("ann", Via::Api)
}

/// The order to build something.
pub fn force(builder: &str) -> Order {
    Order::Force(ForceOrder { builders: vec![builder.to_owned()], reason: "test".to_owned(), ..ForceOrder::default() })
}

/// The order to load the configuration again.
pub fn reload() -> Order {
    Order::Reload { why: "test".to_owned() }
}

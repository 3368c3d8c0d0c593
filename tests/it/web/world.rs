//! A store filled by hand-made facts, and a master that only remembers what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use starwright::testing::base::{Span, SystemClock, Timestamp};
use starwright::testing::master::{
    AdmittedWorker, Alerts, Frame, HookAccess, HookAnswer, HookCall, HookError, OrderError, Refusal, RefusalKind,
    RefusedWorker, Reply, ShuttingDown, Socket, SubmissionResult,
};
use starwright::testing::model::{
    Action, Actor, Answer, Artifact, Ask, BuildId, BuilderAbout, BuilderId, BuildsetId, BuildsetRecord, Caller, Cause,
    Change, ChangeId, ChangeSourceId, CodebasePlan, CommandEnd, CommandResult, ConfigDigest, Denial, Event, Fact,
    ForceParam, ForceParamKind, Identity, Key, LogId, LogKind, LogOpened, MadeBy, Moved, NameChanges, NewChange,
    Object, Order, Outcome, Plan, Properties, RequestId, RequestRecord, SchedulerId, SchedulerKind, SchedulerPlan,
    SourcePlace, SourceStamp, SourceStampId, StampSpec, StepId, Value, WorkerId,
};
use starwright::testing::store::{ArtifactStore as _, History, LogPart, Store, UploadContent, UploadForm};
use starwright::testing::web::Control;
use tokio::sync::broadcast;

/// The first moment of the world: 2026-11-22 08:00:00 UTC.
pub const BEGIN: i64 = 1_795_334_400;

/// Names that come into force, with ids in their order.
fn added<Id>(names: &[&str], id: impl Fn(u64) -> Id) -> NameChanges<Id> {
    names.iter().zip(1..).map(|(name, number)| ((*name).to_owned(), id(number))).collect()
}

/// A store and its facts.
pub struct World {
    pub store: Store,
    _dir: tempfile::TempDir,
    pub plan: Plan,
    seq: u64,
    now: i64,
    next: u64,
    worker_ids: BTreeMap<String, u64>,
    facts: broadcast::Sender<Arc<Fact>>,
}

/// What a build is made with.
#[derive(Clone, Debug)]
pub struct Made {
    pub build: u64,
    pub request: u64,
    pub buildset: u64,
}

impl World {
    /// An empty store; the master has started.
    pub fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::in_memory(dir.path()).unwrap();
        let (facts, _) = broadcast::channel(64);
        let mut world = Self {
            store,
            _dir: dir,
            plan: Plan::default(),
            seq: 0,
            now: BEGIN,
            next: 0,
            worker_ids: BTreeMap::new(),
            facts,
        };
        world.fact(Event::MasterStarted { name: "ci-host:/srv/master".to_owned(), installation: "x".to_owned() });
        world
    }

    /// Lets time pass.
    pub fn wait(&mut self, seconds: i64) {
        self.now += seconds;
    }

    /// Makes one fact true.
    pub fn fact(&mut self, event: Event) {
        self.caused(Cause::Clock, event);
    }

    /// Makes a fact true that somebody's order caused.
    pub fn ordered(&mut self, by: Actor, event: Event) {
        self.caused(Cause::Order(by), event);
    }

    fn caused(&mut self, cause: Cause, event: Event) {
        self.seq += 1;
        let fact = Arc::new(Fact { seq: self.seq, at: Timestamp::from_seconds(self.now), cause, event });
        self.store.commit_blocking(vec![Arc::clone(&fact)]).unwrap();
        // Nobody may be listening.
        let _ = self.facts.send(fact);
    }

    /// A number that was not used before.
    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Adopts a configuration: builders with their workers, in order of their ids.
    pub fn adopt(&mut self, builders: &[(&str, &[&str])], workers: &[&str], force: Option<SchedulerPlan>) {
        let names: Vec<&str> = builders.iter().map(|(name, _)| *name).collect();
        let about = builders.iter().zip(1..).map(|((name, workers), id)| {
            let about = BuilderAbout {
                tags: if id % 2 == 1 { vec!["linux".to_owned(), "fast".to_owned()] } else { vec!["slow".to_owned()] },
                description: (id == 1).then(|| format!("builds {name} & <all>")),
                workers: workers.iter().map(|worker| (*worker).to_owned()).collect(),
                project: None,
            };
            (BuilderId(id), about)
        });
        let about = about.collect();
        self.worker_ids = workers.iter().zip(1..).map(|(name, id)| ((*name).to_owned(), id)).collect();
        self.plan.digest = ConfigDigest(format!("digest-{}", self.seq));
        let mut schedulers = vec!["nightly"];
        let force_name = force.as_ref().map(|force| force.name.clone());
        schedulers.extend(force_name.as_deref());
        if let Some(force) = force {
            self.plan.schedulers.insert(force.name.clone(), force);
        }
        self.fact(Event::PlanAdopted {
            digest: self.plan.digest.clone(),
            why: "start".to_owned(),
            changes: Vec::new(),
            builders: added(&names, BuilderId),
            workers: added(workers, WorkerId),
            schedulers: added(&schedulers, SchedulerId),
            change_sources: added(&["poller"], ChangeSourceId),
            about,
            projects: starwright::testing::model::ProjectChanges::default(),
        });
    }

    /// A worker connects.
    pub fn connect(&mut self, worker: &str) {
        let info =
            [("admin", "Ann <ann@example.org>"), ("host", "a machine\n"), ("version", "4.3.0"), ("environ", "K=V")];
        self.fact(Event::WorkerConnected {
            worker: WorkerId(self.worker_ids[worker]),
            epoch: self.seq,
            instance: String::new(),
            resumes: false,
            info: info.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        });
    }

    /// A change arrives; its stamp has the change's number.
    pub fn change(&mut self, branch: &str, comments: &str, files: &[&str]) -> Change {
        let id = self.fresh();
        let revision = format!("{id:040x}");
        let stamp = self.stamp(id, Some(branch), Some(&revision));
        let mut properties = Properties::default();
        properties.set("cprop", i64::try_from(id).unwrap(), "Change");
        let change = Change {
            id: ChangeId(id),
            data: NewChange {
                author: "Ann <ann@example.org>".to_owned(),
                committer: Some("Cy <cy@example.org>".to_owned()),
                comments: comments.to_owned(),
                files: files.iter().map(|file| (*file).to_owned()).collect(),
                branch: Some(branch.to_owned()),
                revision: Some(revision.clone()),
                revlink: Some(format!("https://example.org/c/{revision}")),
                category: Some("push".to_owned()),
                repository: "git@example.org:demo.git".to_owned(),
                project: "demo".to_owned(),
                codebase: String::new(),
                when: Some(Timestamp::from_seconds(self.now - 60)),
                properties,
            },
            parent: id.checked_sub(1).filter(|id| *id > 0).map(ChangeId),
            stamp,
            arrived: Timestamp::from_seconds(self.now),
            source: Some(ChangeSourceId(1)),
        };
        self.fact(Event::ChangeArrived { change: change.clone() });
        change
    }

    fn stamp(&self, id: u64, branch: Option<&str>, revision: Option<&str>) -> SourceStamp {
        SourceStamp {
            id: SourceStampId(id),
            spec: StampSpec {
                codebase: String::new(),
                repository: "git@example.org:demo.git".to_owned(),
                project: "demo".to_owned(),
                branch: branch.map(str::to_owned),
                revision: revision.map(str::to_owned),
            },
            created: Timestamp::from_seconds(self.now),
        }
    }

    /// A request for a build, which waits.
    pub fn request(&mut self, builder: u64, reason: &str, change: Option<&Change>) -> Made {
        let (buildset, request) = (self.fresh(), self.fresh());
        let stamp = change.map_or_else(|| self.stamp(900, None, None), |change| change.stamp.clone());
        let mut properties = Properties::default();
        properties.set("scheduler", "nightly", "Scheduler");
        properties.set("owner", "Eve <eve@example.org>", "Force Build Form");
        let submitted = Timestamp::from_seconds(self.now);
        self.fact(Event::BuildsetMade {
            buildset: BuildsetRecord {
                id: BuildsetId(buildset),
                reason: reason.to_owned(),
                made_by: MadeBy::Scheduler(SchedulerId(1)),
                external_id: None,
                submitted,
                completed: None,
                outcome: None,
                parent: None,
                rebuilt: None,
                stamps: vec![stamp],
                properties: properties.clone(),
                changes: change.iter().map(|change| change.id).collect(),
                requests: vec![RequestId(request)],
            },
            requests: vec![RequestRecord {
                id: RequestId(request),
                buildset: BuildsetId(buildset),
                builder: BuilderId(builder),
                priority: 0,
                submitted,
                claimed: None,
                completed: None,
                outcome: None,
                waited_for: false,
                collapsed_into: None,
                properties,
            }],
        });
        Made { build: 0, request, buildset }
    }

    /// A build of a new request starts.
    pub fn start(&mut self, builder: u64, number: u64, worker: u64, reason: &str, change: Option<&Change>) -> Made {
        let made = self.request(builder, reason, change);
        let build = self.fresh();
        let mut properties = Properties::default();
        properties.set("scheduler", "nightly", "Scheduler");
        properties.set("owner", "Eve <eve@example.org>", "Force Build Form");
        properties.set("buildnumber", i64::try_from(number).unwrap(), "Build");
        properties.set("alist", Value::List(vec!["x".into(), "<y>".into()]), "sh");
        if let Some(change) = change {
            properties.set("branch", change.data.branch.clone().unwrap(), "Build");
            properties.set("got_revision", change.data.revision.clone().unwrap(), "git");
        }
        self.fact(Event::BuildStarted {
            build: BuildId(build),
            number,
            builder: BuilderId(builder),
            worker: WorkerId(worker),
            dir: format!("builder_{builder}"),
            lender: None,
            requests: vec![RequestId(made.request)],
            plan: self.plan.digest.clone(),
            properties,
            changes: change.iter().map(|change| change.id).collect(),
            reason: reason.to_owned(),
        });
        Made { build, ..made }
    }

    /// A step of a build starts.
    pub fn step(&mut self, made: &Made, number: u64, name: &str) -> StepId {
        let step = StepId(self.fresh());
        self.fact(Event::StepStarted {
            build: BuildId(made.build),
            step,
            number,
            name: name.to_owned(),
            parent: None,
            index: None,
            key: None,
            attempt: 0,
            state: "running".to_owned(),
        });
        step
    }

    /// A step shows a link.
    pub fn link(&mut self, made: &Made, step: StepId, name: &str, url: &str) {
        let ask = Ask::AddUrl { step: None, name: name.to_owned(), url: url.to_owned() };
        self.asked(made, step, ask, Vec::new());
    }

    fn asked(&mut self, made: &Made, step: StepId, ask: Ask, logs: Vec<LogOpened>) {
        self.fact(Event::Asked {
            build: BuildId(made.build),
            step,
            key: Key(vec![0]),
            ask,
            command: None,
            logs,
            due: None,
        });
    }

    /// A step opens a log; `lines` are stream and text.
    pub fn log(&mut self, made: &Made, step: StepId, name: &str, kind: LogKind, lines: &[(char, &[u8])]) -> LogId {
        let log = LogId(self.fresh());
        let slug: String = name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let opened = LogOpened { log, name: name.to_owned(), slug, kind };
        self.asked(made, step, Ask::Wait(Span::ZERO), vec![opened]);
        self.append(made, log, 0, lines);
        log
    }

    /// More lines come, as part `n`.
    pub fn append(&mut self, made: &Made, log: LogId, n: u64, lines: &[(char, &[u8])]) {
        let logs = self.store.logs();
        for (at, (stream, text)) in (n..).zip(lines) {
            let part = LogPart {
                stream: *stream,
                text: Bytes::from([text, b"\n".as_slice()].concat()),
                times: vec![Timestamp::from_seconds(self.now + i64::try_from(at).unwrap() / 10)],
            };
            futures_executor(logs.append(BuildId(made.build), log, "master", at, part));
        }
    }

    /// A build keeps an artifact.
    pub fn artifact(&mut self, made: &Made, name: &str, bytes: &[u8]) -> Artifact {
        let contents = self.store.artifact_contents().unwrap();
        contents.append("upload", 0, bytes).unwrap();
        let content =
            UploadContent::File { name: name.to_owned(), mode: Some(0o644), modified: Some(BEGIN.unsigned_abs()) };
        let artifacts = contents.finish("upload", &UploadForm { digest: None, content }).unwrap();
        let kept = artifacts[0].clone();
        let result = CommandResult {
            moved: Some(Box::new(Moved::Kept(artifacts))),
            ..CommandResult::of(CommandEnd::Exited(0), &BTreeMap::new())
        };
        let key = Key(vec![u32::try_from(self.fresh()).unwrap()]);
        self.fact(Event::Answered { build: BuildId(made.build), key, answer: Answer::Command(result) });
        kept
    }

    /// No more lines come.
    pub fn close(&mut self, made: &Made, step: StepId, log: LogId) {
        futures_executor(self.store.logs().close(BuildId(made.build), log));
        self.fact(Event::LogClosed { build: BuildId(made.build), step, log });
    }

    /// A step ends.
    pub fn end_step(&mut self, made: &Made, step: StepId, outcome: Outcome, state: &str) {
        let build = BuildId(made.build);
        self.fact(Event::StepEnded { build, step, outcome, state: state.to_owned(), hidden: false });
    }

    /// A build ends, with its request and buildset.
    pub fn end(&mut self, made: &Made, outcome: Outcome, state: &str) {
        self.fact(Event::BuildEnded {
            build: BuildId(made.build),
            outcome,
            state: state.to_owned(),
            culprits: Vec::new(),
        });
        self.fact(Event::RequestEnded { request: RequestId(made.request), outcome });
        self.fact(Event::BuildsetEnded { buildset: BuildsetId(made.buildset), outcome });
    }

    /// A master over this world.
    pub fn master(&self) -> FakeMaster {
        FakeMaster(Arc::new(Inner {
            store: self.store.clone(),
            plan: Arc::new(self.plan.clone()),
            silent: Mutex::default(),
            facts: self.facts.clone(),
            orders: Mutex::default(),
            reply: Mutex::new(Reply::Done),
            hooks: Mutex::default(),
            alerts: Alerts::new(Arc::new(SystemClock)),
            shown: Mutex::default(),
        }))
    }
}

fn futures_executor<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future).unwrap();
}

/// A force scheduler with a field of each type.
pub fn force_scheduler(builders: &[&str]) -> SchedulerPlan {
    let param = |name: &str, kind: ForceParamKind, default: Value| ForceParam {
        name: name.to_owned(),
        label: format!("The {name}:"),
        tooltip: format!("what <{name}> is for"),
        kind,
        default,
        required: name == "version",
        multiple: name == "targets",
        regex: None,
        length_max: Some(40),
        hidden: name == "secret",
    };
    let choices = |strict| ForceParamKind::Choice { choices: vec!["debug".into(), "release \"x\"".into()], strict };
    SchedulerPlan {
        name: "by-hand".to_owned(),
        builders: builders.iter().map(|name| (*name).to_owned()).collect(),
        properties: Properties::default(),
        properties_fn: None,
        codebases: vec![CodebasePlan {
            stamp: StampSpec {
                repository: "git@example.org:demo.git".to_owned(),
                branch: Some("main".to_owned()),
                ..StampSpec::default()
            },
        }],
        priority: None,
        reason: None,
        kind: SchedulerKind::Force {
            label: "Start by hand".to_owned(),
            button: "Start".to_owned(),
            params: vec![
                param("version", ForceParamKind::Text, "1.0".into()),
                param("notes", ForceParamKind::TextArea { rows: 3, columns: 60 }, "".into()),
                param("jobs", ForceParamKind::Int, Value::Int(4)),
                param("clean", ForceParamKind::Bool, Value::Bool(true)),
                param("mode", choices(true), "debug".into()),
                param("targets", choices(false), Value::List(vec!["debug".into()])),
                param("secret", ForceParamKind::Fixed, "fixed".into()),
            ],
        },
        place: SourcePlace::default(),
    }
}

/// A master that remembers what it was asked, and answers what it was told to.
#[derive(Clone)]
pub struct FakeMaster(Arc<Inner>);

struct Inner {
    store: Store,
    plan: Arc<Plan>,
    facts: broadcast::Sender<Arc<Fact>>,
    orders: Mutex<Vec<(Order, Actor)>>,
    reply: Mutex<Reply>,
    hooks: Mutex<Vec<(String, HookCall)>>,
    alerts: Alerts,
    shown: Mutex<Option<Vec<Object>>>,
    silent: Mutex<Vec<SocketAddr>>,
}

impl FakeMaster {
    /// What it was told to do since the last look.
    pub fn orders(&self) -> Vec<Order> {
        self.orders_by().into_iter().map(|(order, _)| order).collect()
    }

    /// The same, with those who gave the orders.
    pub fn orders_by(&self) -> Vec<(Order, Actor)> {
        std::mem::take(&mut self.0.orders.lock().unwrap())
    }

    /// What it answers from now on.
    pub fn reply(&self, reply: Reply) {
        *self.0.reply.lock().unwrap() = reply;
    }

    /// From now on visitors may read only these. It takes a plan whose rights are not open.
    pub fn show_only(&self, objects: Vec<Object>) {
        *self.0.shown.lock().unwrap() = Some(objects);
    }

    /// Connections that said nothing, so far.
    pub fn silent(&self) -> Vec<SocketAddr> {
        self.0.silent.lock().unwrap().clone()
    }

    /// Hooks it was told of since the last look.
    pub fn hooks(&self) -> Vec<(String, HookCall)> {
        std::mem::take(&mut self.0.hooks.lock().unwrap())
    }
}

/// The address in links.
pub const URL: &str = "http://ci.example.org/";

impl Control for FakeMaster {
    fn store(&self) -> &dyn History {
        &self.0.store
    }

    fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.0.plan)
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Fact>> {
        self.0.facts.subscribe()
    }

    fn url(&self) -> String {
        URL.to_owned()
    }

    /// Everybody may do everything, unless [`FakeMaster::show_only`] said something else.
    fn may(&self, identity: &Identity, action: Action, object: &Object) -> Result<(), Box<Denial>> {
        match &*self.0.shown.lock().unwrap() {
            Some(shown) if action != Action::Read || !shown.contains(object) => Err(Box::new(Denial {
                who: identity.to_string(),
                action,
                object: object.clone(),
                roles: Vec::new(),
                anonymous: true,
                token: false,
            })),
            Some(_) | None => Ok(()),
        }
    }

    fn order(&self, order: Order, by: Caller) -> BoxFuture<'_, Result<Reply, OrderError>> {
        self.0.orders.lock().unwrap().push((order, by.actor));
        let reply = self.0.reply.lock().unwrap().clone();
        Box::pin(async move { Ok(reply) })
    }

    fn why_waits(
        &self,
        requests: Vec<RequestId>,
    ) -> BoxFuture<'_, Result<BTreeMap<RequestId, Vec<String>>, ShuttingDown>> {
        let why = |id: RequestId| (id, vec!["worker `<w>`: never connected".to_owned(), "its turn comes".to_owned()]);
        let why = requests.into_iter().map(why).collect();
        Box::pin(async move { Ok(why) })
    }

    fn may_hook(&self, dialect: &str, credentials: Option<(&str, &str)>, _: Option<SocketAddr>) -> HookAccess {
        let right = dialect != "guarded" || credentials == Some(("hook", "pa:ss"));
        if right { HookAccess::Open } else { HookAccess::Denied }
    }

    fn connection_was_silent(&self, peer: SocketAddr) {
        self.0.silent.lock().unwrap().push(peer);
    }

    fn hook<'a>(
        &'a self,
        hook: &'a str,
        call: HookCall,
        _: Option<SocketAddr>,
    ) -> BoxFuture<'a, Result<HookAnswer, HookError>> {
        let count = call.params.get("n").and_then(|n| n[0].parse().ok()).unwrap_or(1);
        let answer = Ok(HookAnswer::Changes(vec![SubmissionResult::Recorded(ChangeId(1)); count]));
        self.0.hooks.lock().unwrap().push((hook.to_owned(), call));
        Box::pin(async move { answer })
    }

    fn admit_worker(&self, authorization: Option<&str>, _: Option<SocketAddr>) -> Result<AdmittedWorker, Refusal> {
        match authorization {
            // w1:pass
            Some("Basic dzE6cGFzcw==") => Ok(AdmittedWorker { worker: "w1".to_owned() }),
            Some(header) if !header.starts_with("Basic ") => Err(Refusal::Malformed("the scheme".to_owned())),
            _ => Err(Refusal::Unauthorized),
        }
    }

    fn refused_workers(&self) -> Vec<RefusedWorker> {
        vec![RefusedWorker {
            kind: RefusalKind::Login,
            name: "<intruder>".to_owned(),
            peer: Some("192.0.2.1:5".parse().unwrap()),
            why: "the password is wrong".to_owned(),
            at: Timestamp::from_seconds(BEGIN),
            count: 3,
        }]
    }

    fn alerts(&self) -> &Alerts {
        &self.0.alerts
    }

    /// Sends back every frame, until the worker goes.
    fn serve_worker(&self, seat: AdmittedWorker, mut socket: Socket) -> BoxFuture<'_, ()> {
        use futures_util::{SinkExt, StreamExt};
        Box::pin(async move {
            let hello = format!("{} from {}", seat.worker, socket.peer.unwrap().ip());
            socket.outgoing.send(Frame::Text(hello)).await.unwrap();
            while let Some(Ok(frame)) = socket.incoming.next().await {
                match frame {
                    Frame::Close => break,
                    // Answered below us.
                    Frame::Ping(_) => {}
                    frame => socket.outgoing.send(frame).await.unwrap(),
                }
            }
        })
    }
}

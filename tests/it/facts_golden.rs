//! Facts of every released form still read.
//!
//! `tests/golden/facts/v1.txt` has one fact a line: its event, and its stored bytes as hexadecimal digits. There is at least
//! one of each kind of event, cause, ask and answer. `STARWRIGHT_BLESS=1` writes those of the *present* form anew; those of
//! older forms are never written again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use starwright::testing::base::{Span, Timestamp};
use starwright::testing::model::*;

/// The present form, which is blessed, and all that are read.
const FORMS: [&str; 1] = ["v1"];

fn golden(form: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/facts").join(format!("{form}.txt"))
}

fn at() -> Timestamp {
    Timestamp::from_millis(1_795_334_400_123)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn names<Id>(name: &str, added: Id, removed: Id) -> NameChanges<Id> {
    NameChanges { added: named(name, added), removed: vec![removed] }
}

fn named<T>(name: &str, value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(text(name), value)])
}

fn properties() -> Properties {
    let mut properties = Properties::default();
    let list = vec![Value::Null, Value::Bool(true), Value::Int(-7), Value::Float(0.5), Value::from("x")];
    properties.set("list", Value::List(list), "Scheduler");
    properties.set("map", Value::Map(named("key", Value::Int(1))), "Force Build Form");
    properties
}

fn stamp() -> SourceStamp {
    let (branch, revision) = (Some(text("main")), Some(text("c0ffee")));
    let spec = StampSpec { codebase: text("core"), repository: text("r"), project: text("p"), branch, revision };
    SourceStamp { id: SourceStampId(4), spec, created: at() }
}

fn change() -> NewChange {
    NewChange {
        author: text("Ada <ada@example.org>"),
        committer: Some(text("Cy <cy@example.org>")),
        comments: text("does a thing"),
        files: vec![text("a/b.rs")],
        branch: Some(text("main")),
        revision: Some(text("c0ffee")),
        revlink: Some(text("https://example.org/c0ffee")),
        category: Some(text("push")),
        repository: text("https://example.org/r.git"),
        project: text("p"),
        codebase: text("core"),
        when: Some(at()),
        properties: properties(),
    }
}

fn changes_of_plans() -> Vec<PlanChange> {
    let how = Difference::Changed;
    vec![
        PlanChange::Builder { id: BuilderId(1), name: text("linux"), how: Difference::Removed, waiting: 2 },
        PlanChange::Worker { id: WorkerId(2), name: text("w"), how: Difference::Added },
        PlanChange::Scheduler { id: SchedulerId(3), name: text("s"), how: Difference::Replaced },
        PlanChange::ChangeSource { id: ChangeSourceId(4), name: text("p"), how },
        PlanChange::Notifier { name: text("mail"), how },
        PlanChange::Lock { name: text("db"), how },
        PlanChange::Project { name: text("app"), how },
        PlanChange::Codebase { name: text("lib"), how },
        PlanChange::Settings(Section::Master),
        PlanChange::Settings(Section::Web),
        PlanChange::Settings(Section::Rights),
        PlanChange::Settings(Section::Database),
        PlanChange::Settings(Section::Secrets),
        PlanChange::Settings(Section::Properties),
        PlanChange::Scripts,
    ]
}

fn command() -> CommandSpec {
    let address = Piece::Address { part: AddressPart::Server, of: Text::plain("https://example.org/") };
    let secrets = [Piece::Secret(text("token")), Piece::QuotedSecret(text("token"), Quote::Double), address];
    let piece = Text([Piece::Plain(text("make "))].into_iter().chain(secrets).collect());
    CommandSpec {
        program: Program::Shell(piece.clone()),
        workdir: text("build"),
        env: [
            (text("A"), EnvValue::Set(piece.clone())),
            (text("B"), EnvValue::Join(vec![Text::plain("x")])),
            (text("C"), EnvValue::Unset),
        ]
        .into(),
        idle_timeout: Some(Span::from_seconds(20)),
        total_timeout: Some(Span::from_minutes(2)),
        lines_max: Some(1_000),
        log: text("stdio"),
        log_files: named("test.log", LogFileSpec { path: text("out/test.log"), follow: true }),
        stdin: Some(piece),
        exit_codes: [(0, Outcome::Success), (2, Outcome::Warnings)].into(),
        want_output: true,
        log_stdout: true,
        log_stderr: false,
        pty: true,
        grace: Span::from_seconds(10),
        on_lost: OnLost::RunAgain,
        output: Box::default(),
    }
}

fn asks() -> Vec<Ask> {
    let locks = vec![
        LockAccess { lock: text("db"), mode: LockMode::Counting(2) },
        LockAccess { lock: text("bench"), mode: LockMode::Exclusive },
    ];
    let argv = CommandSpec { program: Program::Argv(vec![Text::plain("make")]), on_lost: OnLost::Fail, ..command() };
    let files = [
        FileCommand::MakeDirs(vec![text("a")]),
        FileCommand::Remove(vec![text("b")]),
        FileCommand::Copy { from: text("c"), to: text("d") },
        FileCommand::Stat(text("e")),
        FileCommand::List(text("f")),
        FileCommand::Glob(text("*.rs")),
        FileCommand::Write(WriteSpec {
            path: text("g"),
            content: command().stdin.unwrap_or_default(),
            mode: Some(0o600),
        }),
        FileCommand::Upload(UploadSpec {
            path: text("h"),
            name: text("dist/h"),
            is_directory: true,
            bytes_max: Some(1 << 20),
            mode: Some(0o755),
            modified: Some(1_795_334_400),
        }),
        FileCommand::Download(DownloadSpec {
            from: ArtifactSource::ThisBuild,
            name: text("dist/h"),
            path: text("i"),
            mode: None,
        }),
        FileCommand::Download(DownloadSpec {
            from: ArtifactSource::Build { builder: text("linux"), number: 3 },
            name: text("dist/h"),
            path: text("i"),
            mode: Some(0o700),
        }),
        FileCommand::Download(DownloadSpec {
            from: ArtifactSource::LastSuccessful { builder: text("linux") },
            name: text("dist/h"),
            path: text("i"),
            mode: None,
        }),
    ];
    let mut asks = vec![Ask::Run(command()), Ask::Run(argv)];
    asks.extend(files.map(Ask::File));
    asks.extend([
        Ask::Wait(Span::from_seconds(3)),
        Ask::Now,
        Ask::Trigger(TriggerSpec {
            schedulers: vec![text("s")],
            wait: true,
            properties: properties(),
            stamps: vec![stamp().spec],
        }),
        Ask::BeginStep(BeginStep { name: text("unit"), parent: Some(Key(vec![1])), locks }),
        Ask::EndStep(EndStep {
            begun: Key(vec![1, 0, 2]),
            outcome: Outcome::Failure,
            summary: Some(text("2 failed")),
            hidden: true,
        }),
        Ask::SetProperty { name: text("got"), value: Value::Int(1), source: text("unit") },
        Ask::SetSummary { step: None, text: text("2 failed") },
        Ask::AddUrl { step: Some(Key(vec![1])), name: text("docs"), url: text("https://example.org/") },
        Ask::WriteLog { step: None, log: text("notes"), html: true, text: text("<b>x</b>") },
        Ask::Run(CommandSpec { output: Box::new(output()), ..command() }),
        Ask::ReadLog { request: log_request(), found: FoundLog { text: text_ref(), cut: true } },
        Ask::RecordTests { step: Some(Key(vec![1])), set: Box::new(test_set()) },
        Ask::RecordValue { step: None, measurement: measurement() },
        Ask::SetData { datum: datum() },
    ]);
    asks
}

fn output() -> OutputPlan {
    OutputPlan {
        more: Some(MoreOutput { end: TextEnd::Tail, bytes_max: 1 << 20 }),
        encoding: Some(text("windows-1252")),
        log_bytes_max: Some(100 << 20),
    }
}

fn log_request() -> LogRequest {
    LogRequest {
        log: text("stdio"),
        step: Some(text("compile")),
        part: LogPlaces::Last(7),
        end: TextEnd::Tail,
        bytes_max: 1 << 20,
    }
}

fn text_ref() -> TextRef {
    TextRef { log: LogId(9), first: 3, end: 70_000, streams: text("oe"), bytes: 1 << 20, digest: "0f".repeat(32) }
}

fn test_set() -> TestSet {
    let result = |name: &str, outcome| TestResult {
        name: text(name),
        path: text("a.c"),
        line: Some(7),
        outcome,
        duration_ns: Some(9),
        message: text("why"),
    };
    let results: Vec<TestResult> = TestOutcome::ALL.iter().map(|outcome| result(outcome.word(), *outcome)).collect();
    TestSet {
        name: text("suite"),
        category: text("pass_fail"),
        counts: TestCounts::of(TestOutcome::ALL),
        results: ByDigest::of(TestColumns::of(&results)),
    }
}

fn measurement() -> Measurement {
    Measurement { name: text("size"), category: text("binary_size"), value: text("12.5"), unit: text("B") }
}

fn datum() -> BuildDatum {
    BuildDatum { name: text("notes"), source: text("Build"), text: ByDigest::of(text("hello")) }
}

fn answers() -> Vec<Answer> {
    let result = CommandResult {
        end: CommandEnd::Exited(2),
        outcome: Outcome::Warnings,
        stdout: Some(text("out")),
        stderr: Some(text("err")),
        cut: true,
        files: vec![text("a")],
        stat: Some(vec![1, 2]),
        elapsed: Span::from_millis(7),
        moved: None,
        logged: None,
    };
    let ends = [
        CommandEnd::Exited(2),
        CommandEnd::Killed(Some(9)),
        CommandEnd::IdleTimeout,
        CommandEnd::TotalTimeout,
        CommandEnd::TooManyLines,
        CommandEnd::Interrupted(text("stopped")),
        CommandEnd::NotStarted(text("no such file")),
        CommandEnd::Broken(text("no disk")),
        CommandEnd::Lost(text("gone")),
    ];
    let logged = LoggedOutput { stdout: Some(text_ref()), stderr: None };
    let referring = CommandResult { stdout: None, logged: Some(Box::new(logged)), ..result.clone() };
    let mut answers = vec![Answer::Done, Answer::Time(at())];
    answers.extend(ends.map(|end| Answer::Command(CommandResult { end, ..result.clone() })));
    let kept = Artifact {
        name: text("dist/app.whl"),
        size: 4_096,
        digest: ContentDigest("ab".repeat(32)),
        mode: Some(0o644),
        modified: Some(1_795_334_400),
    };
    for moved in [Moved::Kept(vec![kept.clone()]), Moved::Downloaded(kept)] {
        answers.push(Answer::Command(CommandResult { moved: Some(Box::new(moved)), ..result.clone() }));
    }
    answers.push(Answer::Triggered(Triggered {
        outcome: Outcome::Exception,
        builds: vec![TriggeredBuild {
            builder: text("linux"),
            builder_id: BuilderId(1),
            build: Some(BuildId(8)),
            number: Some(3),
            outcome: Outcome::Exception,
        }],
    }));
    answers.push(Answer::Command(referring));
    answers
}

fn project_changes() -> ProjectChanges {
    let about = About {
        title: Some(text("T")),
        description: Some(text("d")),
        links: vec![(text("Manual"), text("https://example.org"))],
    };
    let codebase = CodebaseAbout {
        project: Some(text("app")),
        repository: text("git:lib"),
        branch: Some(text("main")),
        about: about.clone(),
    };
    ProjectChanges {
        whole: true,
        projects: [(text("app"), about)].into(),
        codebases: [(text("lib"), codebase)].into(),
        projects_removed: [text("old")].into(),
        codebases_removed: [text("older")].into(),
    }
}

fn of_the_master() -> Vec<Event> {
    let about = BuilderAbout {
        tags: vec![text("fast")],
        description: Some(text("d")),
        workers: vec![text("w")],
        project: Some(text("app")),
    };
    let started = ReportSubject::Start { build: BuildId(8), builder: BuilderId(1) };
    let requested = ReportSubject::Request {
        request: RequestId(9),
        builder: BuilderId(1),
        buildset: BuildsetId(7),
        outcome: Some(Outcome::Cancelled),
    };
    let set = ReportSubject::Set { buildset: BuildsetId(7), outcome: Outcome::Warnings };
    vec![
        Event::MasterStarted { name: text("host:dir"), installation: text("inst") },
        Event::MasterStopped,
        Event::PlanAdopted {
            digest: ConfigDigest(text("aa")),
            why: text("start"),
            changes: changes_of_plans(),
            builders: names("linux", BuilderId(1), BuilderId(11)),
            workers: names("w", WorkerId(2), WorkerId(12)),
            schedulers: names("s", SchedulerId(3), SchedulerId(13)),
            change_sources: names("p", ChangeSourceId(4), ChangeSourceId(14)),
            about: [(BuilderId(1), about)].into(),
            projects: project_changes(),
        },
        Event::PlanRefused { why: text("reload"), message: text("line 3: no") },
        Event::ReportQueued { report: report() },
        Event::ReportQueued { report: Report { again: Some(ReportId(4)), subject: started, ..report() } },
        Event::ReportQueued { report: Report { latest_only: true, subject: requested, ..report() } },
        Event::ReportQueued { report: Report { reason: ReportReason::Set, subject: set, ..report() } },
        Event::ReportSuperseded { report: ReportId(5), by: ReportId(6) },
        Event::ReportRemarked { report: ReportId(5), remarks: vec![text("`x` did not get it")] },
        Event::ReportSent { report: ReportId(5) },
        Event::ReportFailed { report: ReportId(5), error: text("no route"), tries: 2, retry: at() },
        Event::ReportDropped { report: ReportId(5), why: text("too old") },
    ]
}

fn report() -> Report {
    Report {
        id: ReportId(5),
        notifier: text("mail"),
        plan: ConfigDigest(text("aa")),
        reason: ReportReason::Problem,
        subject: ReportSubject::Build {
            build: BuildId(8),
            builder: BuilderId(1),
            outcome: Outcome::Failure,
            previous: Some(Outcome::Success),
        },
        made: at(),
        target: "c0ffee".to_owned(),
        latest_only: false,
        again: None,
    }
}

fn of_changes() -> Vec<Event> {
    let (scheduler, source, id) = (SchedulerId(3), ChangeSourceId(4), ChangeId(6));
    let recorded =
        Change { id, data: change(), parent: Some(ChangeId(5)), stamp: stamp(), arrived: at(), source: Some(source) };
    let function = UserFunction::new(FunctionKind::Filter, scheduler);
    let (stamps, changes) = (vec![stamp().spec], vec![id]);
    vec![
        Event::ChangeArrived { change: recorded },
        Event::ChangeAnnounced { change: change(), sources: vec![source] },
        Event::DeliveryTaken { delivery: text("d1"), change: Some(id) },
        Event::SourcePolled { source, cursor: named("main", text("c0ffee")) },
        Event::SourceFailed { source, error: text("no route"), failures: 2, retry: at() },
        Event::ChangeQueued { scheduler, change: id, important: true, due: Some(at()) },
        Event::SchedulerTimed { scheduler, next: Some(at()), skipped: true },
        Event::SchedulerEnabled { scheduler, enabled: false },
        Event::ChangeUndecided { scheduler, change: id, tries: 1, retry: Some(at()) },
        Event::ChangeDeclined { scheduler, change: id, why: Declined::Filter },
        Event::ChangeDeclined { scheduler, change: id, why: Declined::TooMany },
        Event::BuildsetUndecided { scheduler, tries: 1, retry: None },
        Event::BuildsetOwed { scheduler, stamps: stamps.clone(), changes: changes.clone() },
        Event::BuildsetForgone { scheduler, stamps, changes },
        Event::ScriptFailed { function, message: text("no field x"), losses: 1 },
        Event::ScriptSuspended { function, message: text("no field x") },
        Event::ScriptRecovered { function },
    ]
}

fn of_requests() -> Vec<Event> {
    let (buildset, request) = (BuildsetId(7), RequestId(9));
    let record = BuildsetRecord {
        id: buildset,
        reason: text("changes on main"),
        made_by: MadeBy::Scheduler(SchedulerId(3)),
        external_id: Some(text("x")),
        submitted: at(),
        completed: None,
        outcome: None,
        parent: Some(BuildId(1)),
        rebuilt: Some(BuildId(2)),
        stamps: vec![stamp()],
        properties: properties(),
        changes: vec![ChangeId(6)],
        requests: vec![request],
    };
    let one = RequestRecord {
        id: request,
        buildset,
        builder: BuilderId(1),
        priority: -3,
        submitted: at(),
        claimed: None,
        completed: None,
        outcome: None,
        waited_for: true,
        collapsed_into: None,
        properties: properties(),
    };
    let by = |made_by| BuildsetRecord { made_by, ..record.clone() };
    vec![
        Event::BuildsetMade { buildset: by(MadeBy::Force), requests: vec![] },
        Event::BuildsetMade { buildset: by(MadeBy::Rebuild), requests: vec![] },
        Event::BuildsetMade { buildset: record, requests: vec![one] },
        Event::RequestCollapsed { request, into: RequestId(10) },
        Event::RequestPriority { request, priority: 7 },
        Event::RequestEnded { request, outcome: Outcome::Skipped },
        Event::RequestWaits { request, why: text("retry") },
        Event::BuildsetEnded { buildset, outcome: Outcome::Cancelled },
    ]
}

fn of_builds() -> Vec<Event> {
    let (build, step, log, key) = (BuildId(8), StepId(11), LogId(12), Key(vec![1, 0, 2]));
    let command = CommandId(text("inst-8-1"));
    let opened = LogOpened { log, name: text("err.html"), slug: text("err_html"), kind: LogKind::Html };
    let locks = vec![LockAccess { lock: text("db"), mode: LockMode::Exclusive }];
    let mut events = vec![
        Event::BuildStarted {
            build,
            number: 3,
            builder: BuilderId(1),
            worker: WorkerId(2),
            dir: text("linux"),
            lender: Some(BuildId(1)),
            requests: vec![RequestId(9)],
            plan: ConfigDigest(text("aa")),
            properties: properties(),
            changes: vec![ChangeId(6)],
            reason: text("changes on main"),
        },
        Event::LocksAwaited { build, step: Some(step), locks: locks.clone(), state: text("waits for locks") },
        Event::LocksTaken { build, step: Some(step), locks },
        Event::LocksReleased { build, step: None },
        Event::LocksWaited { build, waited: Span::from_seconds(3) },
        Event::BuildState { build, state: text("building") },
        Event::StepStarted {
            build,
            step,
            number: 1,
            name: text("compile"),
            parent: Some(StepId(10)),
            index: Some(0),
            key: Some(key.clone()),
            attempt: 1,
            state: text("running"),
        },
        Event::StepDecided { build, step, yes: true },
        Event::StepRetried { build, step, at: at() },
        Event::StepEnded { build, step, outcome: Outcome::Warnings, state: text("2 warnings"), hidden: true },
        Event::StepLinked { build, step, name: text("s #9"), url: text("https://example.org/requests/9") },
        Event::TriggerRefused { build, key: key.clone(), why: text("scheduler `s` is switched off") },
        Event::TriggerUndecided { build, key: key.clone(), tries: 2, retry: Some(at()) },
        Event::CommandRestarted { build, key: key.clone(), command: command.clone(), why: text("gone") },
        Event::LogClosed { build, step, log },
        Event::BuildStopping { build, why: text("enough"), reason: StopReason::Ordered, outcome: Outcome::Cancelled },
        Event::BuildStopping {
            build,
            why: text("over"),
            reason: StopReason::ParentEnded(BuildId(4)),
            outcome: Outcome::Cancelled,
        },
        Event::StopEscalated { build, command: command.clone(), level: StopLevel::Interrupt, due: at() },
        Event::StopEscalated { build, command: command.clone(), level: StopLevel::Kill, due: at() },
        Event::CommandGivenUp { build, command: command.clone() },
        Event::BuildEnded { build, outcome: Outcome::Retry, state: text("will run again"), culprits: vec![step] },
    ];
    let text = text("no such file");
    for (note, opened) in [(Note::ScriptFailed, Some(opened.clone())), (Note::FileFailed(key.clone()), None)] {
        events.push(Event::StepNoted { build, step, note, log, opened, text: text.clone() });
    }
    for part in [EvalPart::DoIf, EvalPart::Body, EvalPart::HideIf] {
        let (name, message) = ("compile".to_owned(), text.clone());
        events.push(Event::EvaluationLost { build, step, name, part, message, losses: 1 });
    }
    for ask in asks() {
        let (key, command, logs) = (key.clone(), Some(command.clone()), vec![opened.clone()]);
        events.push(Event::Asked { build, step, key, ask, command, logs, due: Some(at()) });
    }
    events.extend(answers().into_iter().map(|answer| Event::Answered { build, key: key.clone(), answer }));
    events
}

fn of_workers() -> Vec<Event> {
    let worker = WorkerId(2);
    vec![
        Event::WorkerConnected {
            worker,
            epoch: 3,
            instance: text("spool"),
            resumes: true,
            info: named("host", text("h")),
        },
        Event::WorkerLost { worker, epoch: 3, why: text("gone"), give_up: Some(at()) },
        Event::LeftoversInterrupted { worker, commands: vec![CommandId(text("inst-8-1"))] },
        Event::LeftoverEnded { worker, command: CommandId(text("inst-8-1")), heard: true },
        Event::WorkerPaused { worker, paused: true, reason: Some(text("tired")) },
        Event::WorkerGraceful { worker, graceful: true },
    ]
}

fn causes() -> Vec<Cause> {
    let mut causes = vec![
        Cause::Worker(WorkerId(2)),
        Cause::Source(ChangeSourceId(4)),
        Cause::Clock,
        Cause::Configuration,
        Cause::Script(BuildId(8)),
        Cause::Delivery(ReportId(5)),
        Cause::Recovery,
        Cause::Shutdown,
        Cause::Order(Actor::Token { name: text("deploy"), class: AuthorClass::Bot }),
        Cause::Order(Actor::User {
            name: text("ann"),
            via: Via::Page,
            login: LoginMethod::Password,
            class: AuthorClass::Person,
        }),
        Cause::Order(Actor::Hook { dialect: text("base") }),
    ];
    let ways = [Via::Page, Via::Api, Via::CommandLine, Via::Signal];
    causes.extend(ways.map(|via| Cause::Order(Actor::Person { name: Some(text("ada")), via })));
    causes
}

/// One of each: all events once, and with the first of them all causes.
fn samples() -> Vec<Fact> {
    let fact = |cause: Cause, event: Event| (cause, event);
    let caused = causes().into_iter().map(|cause| fact(cause, Event::MasterStopped));
    let events = [of_the_master(), of_changes(), of_requests(), of_builds(), of_workers()].into_iter().flatten();
    let all = caused.chain(events.map(|event| fact(Cause::Clock, event)));
    all.zip(1..).map(|((cause, event), seq)| Fact { seq, at: at(), cause, event }).collect()
}

/// The names of an enum's variants, which its own decoder tells.
fn variants<T: DeserializeOwned>() -> Vec<String> {
    let error = serde_json::from_str::<T>("\"?\"").err().expect("no variant is called `?`").to_string();
    let (_, known) = error.split_once("expected ").expect(&error);
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words that a value consists of: names of fields and variants, and texts.
fn words(json: &serde_json::Value, found: &mut BTreeSet<String>) {
    match json {
        serde_json::Value::String(word) => drop(found.insert(word.clone())),
        serde_json::Value::Array(list) => list.iter().for_each(|json| words(json, found)),
        serde_json::Value::Object(map) => map.iter().for_each(|(word, json)| {
            found.insert(word.clone());
            words(json, found);
        }),
        _ => {}
    }
}

fn event_name(fact: &Fact) -> String {
    match serde_json::to_value(&fact.event).unwrap() {
        serde_json::Value::String(name) => name,
        serde_json::Value::Object(map) => map.keys().next().unwrap().clone(),
        other => panic!("{other}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn stored(fact: &Fact) -> Vec<u8> {
    rmp_serde::to_vec_named(fact).unwrap()
}

#[test]
fn there_is_a_sample_of_each_kind_of_fact() {
    let events: BTreeSet<String> = samples().iter().map(event_name).collect();
    for name in variants::<Event>() {
        assert!(events.contains(&name), "`Event::{name}` has no sample: put one in here, and bless it");
    }
    let mut all = BTreeSet::new();
    for fact in samples() {
        words(&serde_json::to_value(&fact).unwrap(), &mut all);
    }
    let kinds = [
        ("Cause", variants::<Cause>()),
        ("Actor", variants::<Actor>()),
        ("Via", variants::<Via>()),
        ("Ask", variants::<Ask>()),
        ("Answer", variants::<Answer>()),
        ("CommandEnd", variants::<CommandEnd>()),
        ("FileCommand", variants::<FileCommand>()),
        ("Program", variants::<Program>()),
        ("PlanChange", variants::<PlanChange>()),
        ("Difference", variants::<Difference>()),
        ("Section", variants::<Section>()),
        ("Note", variants::<Note>()),
        ("StopLevel", variants::<StopLevel>()),
        ("Declined", variants::<Declined>()),
        ("Value", variants::<Value>()),
        ("Piece", variants::<Piece>()),
        ("EnvValue", variants::<EnvValue>()),
        ("LockMode", variants::<LockMode>()),
    ];
    for (kind, name) in kinds.iter().flat_map(|(kind, names)| names.iter().map(move |name| (kind, name))) {
        assert!(all.contains(name), "`{kind}::{name}` has no sample: put one in here, and bless it");
    }
}

#[test]
fn facts_of_every_released_form_are_read() {
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        let mut lines = String::new();
        for fact in samples() {
            writeln!(lines, "{} {}", event_name(&fact), hex(&stored(&fact))).unwrap();
        }
        fs::create_dir_all(golden("v1").parent().unwrap()).unwrap();
        fs::write(golden(FORMS[FORMS.len() - 1]), lines).unwrap();
    }
    for form in FORMS {
        for line in fs::read_to_string(golden(form)).unwrap().lines() {
            let (name, digits) = line.split_once(' ').unwrap();
            let read: Fact =
                rmp_serde::from_slice(&unhex(digits)).unwrap_or_else(|error| panic!("{form} {name}: {error}"));
            assert_eq!(event_name(&read), name, "{form}");
        }
    }
    let kept = fs::read_to_string(golden(FORMS[FORMS.len() - 1])).unwrap();
    let kept: Vec<&str> = kept.lines().collect();
    let samples = samples();
    assert_eq!(kept.len(), samples.len(), "STARWRIGHT_BLESS=1 writes the facts anew; look at the difference");
    for (fact, line) in samples.iter().zip(kept) {
        let (name, digits) = line.split_once(' ').unwrap();
        assert_eq!(hex(&stored(fact)), digits, "{name}: stored facts cannot change their form any more");
        assert_eq!(rmp_serde::from_slice::<Fact>(&unhex(digits)).unwrap(), *fact, "{name}");
    }
}

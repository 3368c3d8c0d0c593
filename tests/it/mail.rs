//! What mails about builds say. Golden files in `tests/golden/mail/`; `STARWRIGHT_BLESS=1` rewrites them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use starwright::testing::base::Timestamp;
use starwright::testing::model::{
    BuildId, BuildRecord, BuilderId, BuilderRecord, BuildsetId, BuildsetRecord, Change, ChangeId, ChangeSourceId,
    ConfigDigest, FnId, MadeBy, MailPlan, NewChange, Outcome, Properties, Recipients, Report, ReportId, ReportReason,
    ReportSubject, RequestId, SchedulerId, SourceStamp, SourceStampId, StampSpec, StepId, StepRecord, Value, WorkerId,
};
use starwright::testing::notify::{self, BuildFacts, Excerpt, MailMessage, ReportFacts, Templates};

const START: i64 = 1_795_000_000;

fn render_mail(plan: &MailPlan, facts: &BuildFacts, templates: Templates<'_>) -> MailMessage {
    notify::render_mail(plan, &ReportFacts::Build(Box::new(facts.clone())), templates)
}

fn plan() -> MailPlan {
    MailPlan {
        host: "localhost".into(),
        port: 25,
        tls: starwright::testing::model::MailTls::None,
        user: None,
        password: None,
        from: "Starwright <ci@example.org>".into(),
        recipients: Recipients { to: vec!["team@example.org".into()], blame: true, domain: None },
        headers: BTreeMap::new(),
        subject: None,
        body: None,
        html: None,
        log_lines: 20,
    }
}

/// A build that failed in its second step, with one change.
pub fn facts() -> BuildFacts {
    let stamp = stamp("main", REVISION);
    let changes =
        vec![change(1, "Ann Smith <ann@example.org>", "Fix the parser\n\nIt took commas for ends.", REVISION)];
    BuildFacts {
        report: Report {
            id: ReportId(7),
            notifier: "mail".into(),
            plan: ConfigDigest::default(),
            reason: ReportReason::Failure,
            subject: ReportSubject::Build {
                build: BuildId(40),
                builder: BuilderId(3),
                outcome: Outcome::Failure,
                previous: Some(Outcome::Success),
            },
            made: Timestamp::from_seconds(START + 200),
            target: "c0ffee".to_owned(),
            latest_only: false,
            again: None,
        },
        installation: "5f0c1a".into(),
        title: "SysGrove".into(),
        url: "http://ci.example.org/".into(),
        builder: BuilderRecord { id: BuilderId(3), name: "linux".into(), active: true, ..Default::default() },
        worker: "linux-1".into(),
        build: BuildRecord {
            id: BuildId(40),
            number: 12,
            builder: BuilderId(3),
            worker: WorkerId(1),
            request: RequestId(9),
            requests: vec![RequestId(9)],
            started: Timestamp::from_seconds(START),
            completed: Some(Timestamp::from_seconds(START + 200)),
            outcome: Some(Outcome::Failure),
            state: "failed in `compile`: 'make' ended with exit code 2".into(),
            culprits: vec![StepId(102)],
            locks_wait_ms: 0,
            properties: Properties::default(),
            plan: ConfigDigest::default(),
            changes: vec![ChangeId(1)],
        },
        buildset: Some(BuildsetRecord {
            id: BuildsetId(5),
            reason: "changes on main".into(),
            made_by: MadeBy::Scheduler(SchedulerId(1)),
            external_id: None,
            submitted: Timestamp::from_seconds(START),
            completed: None,
            outcome: None,
            parent: None,
            rebuilt: None,
            stamps: vec![stamp],
            properties: Properties::default(),
            changes: vec![ChangeId(1)],
            requests: vec![RequestId(9)],
        }),
        scheduler: "on-change".into(),
        changes,
        steps: vec![
            step(1, "git", None, Outcome::Success, "fetched 4f3a2b1c9d"),
            step(2, "compile", None, Outcome::Failure, "'make' ended with exit code 2"),
            step(3, "clean up", None, Outcome::Success, ""),
        ],
        previous: None,
        excerpts: vec![Excerpt {
            step: "compile".into(),
            log: "stdio".into(),
            lines: vec![
                "cc -c parser.c".into(),
                "\u{1b}[1mparser.c:12:5: \u{1b}[31merror:\u{1b}[0m expected ';' before '}' & more".into(),
                "make: *** [Makefile:3: parser.o] Error 1".into(),
            ],
            before: 320,
        }],
        now: Timestamp::from_seconds(START + 201),
    }
}

const REVISION: &str = "4f3a2b1c9d00112233445566778899aabbccddee";

fn stamp(branch: &str, revision: &str) -> SourceStamp {
    SourceStamp {
        id: SourceStampId(1),
        spec: StampSpec {
            repository: "https://example.org/sysgrove.git".into(),
            branch: Some(branch.into()),
            revision: Some(revision.into()),
            ..Default::default()
        },
        created: Timestamp::from_seconds(START),
    }
}

fn change(id: u64, author: &str, comments: &str, revision: &str) -> Change {
    Change {
        id: ChangeId(id),
        data: NewChange {
            author: author.into(),
            comments: comments.into(),
            files: vec!["src/parser.c".into()],
            branch: Some("main".into()),
            revision: Some(revision.into()),
            repository: "https://example.org/sysgrove.git".into(),
            when: Some(Timestamp::from_seconds(START - 60)),
            ..Default::default()
        },
        parent: None,
        stamp: stamp("main", revision),
        arrived: Timestamp::from_seconds(START - 30),
        source: Some(ChangeSourceId(1)),
    }
}

fn step(number: u64, name: &str, parent: Option<u64>, outcome: Outcome, state: &str) -> StepRecord {
    StepRecord {
        id: StepId(100 + number),
        build: BuildId(40),
        number,
        name: name.into(),
        parent: parent.map(|number| StepId(100 + number)),
        started: Some(Timestamp::from_seconds(START)),
        locks_acquired: None,
        completed: Some(Timestamp::from_seconds(START + 30)),
        outcome: Some(outcome),
        state: state.into(),
        urls: Vec::new(),
        hidden: false,
    }
}

fn ended(facts: &mut BuildFacts, reason: ReportReason, now: Outcome, before: Option<Outcome>) {
    facts.report.reason = reason;
    let ReportSubject::Build { outcome, previous, .. } = &mut facts.report.subject else { panic!("it is of a build") };
    (*outcome, *previous) = (now, before);
    facts.build.outcome = Some(now);
}

fn render(facts: &BuildFacts) -> MailMessage {
    render_mail(&plan(), &blamed(facts), &|_, _| panic!("no template is set"))
}

/// The same, with the steps blamed that a test made bad: those that ended as the build, the innermost each.
fn blamed(facts: &BuildFacts) -> BuildFacts {
    let mut facts = facts.clone();
    let bad = |step: &&StepRecord| step.outcome == facts.build.outcome;
    let has_bad_child = |id: StepId| facts.steps.iter().filter(bad).any(|step| step.parent == Some(id));
    let culprits = facts.steps.iter().filter(bad).map(|step| step.id).filter(|id| !has_bad_child(*id));
    facts.build.culprits = culprits.collect();
    facts
}

/// Compares both parts of a mail with their golden files.
fn golden(name: &str, mail: &MailMessage) {
    let head = format!("Subject: {}\nFrom: {}\nTo: {}\n\n", mail.subject, mail.from, mail.to.join(", "));
    golden_file(&format!("{name}.txt"), &format!("{head}{}", mail.text));
    if let Some(html) = &mail.html {
        golden_file(&format!("{name}.html"), html);
    }
}

fn golden_file(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mail").join(name);
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "{} differs; STARWRIGHT_BLESS=1 rewrites it", path.display());
}

#[test]
fn a_failure_says_what_broke_where_and_whose_change() {
    golden("failure", &render(&facts()));
}

#[test]
fn a_recovery_is_good_news() {
    let mut facts = facts();
    ended(&mut facts, ReportReason::Recovery, Outcome::Success, Some(Outcome::Failure));
    facts.build.state = "build successful".into();
    facts.steps[1].outcome = Some(Outcome::Success);
    facts.excerpts.clear();
    golden("recovery", &render(&facts));
}

#[test]
fn warnings_name_their_step() {
    let mut facts = facts();
    ended(&mut facts, ReportReason::Warnings, Outcome::Warnings, Some(Outcome::Success));
    facts.steps[1] = step(2, "lint", None, Outcome::Warnings, "3 warnings");
    facts.excerpts[0].step = "lint".into();
    facts.excerpts[0].lines = vec!["parser.c:3: unused variable `x`".into()];
    facts.excerpts[0].before = 0;
    golden("warnings", &render(&facts));
}

#[test]
fn an_exception_tells_what_the_system_could_not_do() {
    let mut facts = facts();
    ended(&mut facts, ReportReason::Exception, Outcome::Exception, None);
    facts.steps = vec![step(1, "pick", None, Outcome::Exception, "the script failed at master.star:31")];
    facts.excerpts = vec![Excerpt {
        step: "pick".into(),
        log: "error".into(),
        lines: vec!["master.star:31:9: division by zero".into()],
        before: 0,
    }];
    golden("exception", &render(&facts));
}

#[test]
fn a_forced_build_is_the_business_of_who_forced_it() {
    let mut facts = facts();
    facts.build.properties.set("owner", "Bob Ross <bob@example.org>", "Force Build Form");
    facts.build.properties.set("got_revision", "99887766554433221100ffeeddccbbaa99887766", "git");
    facts.changes.clear();
    let buildset = facts.buildset.as_mut().unwrap();
    buildset.reason = "forced by Bob Ross: try the new compiler".into();
    buildset.stamps[0].spec.revision = None;
    golden("forced", &render(&facts));
}

#[test]
fn a_build_without_changes_is_nobodys() {
    let mut facts = facts();
    ended(&mut facts, ReportReason::Failure, Outcome::Failure, Some(Outcome::Failure));
    facts.changes.clear();
    facts.buildset.as_mut().unwrap().reason = "it is 3 o'clock".into();
    golden("no_changes", &render(&facts));
}

#[test]
fn many_changes_and_failures_are_cut_with_a_count() {
    let mut facts = facts();
    let people = [
        "Ann Smith <ann@example.org>",
        "Łukasz Żak <lz@example.org>",
        "carol",
        "Dan <dan@example.org>",
        "Eve <eve@example.org>",
        "Finn <finn@example.org>",
        "Gus <gus@example.org>",
    ];
    facts.changes = (1..=45)
        .map(|n| {
            let author = people[usize::try_from(n).unwrap() % people.len()];
            change(n, author, &format!("Change number {n} <b>of many</b>"), &format!("{n:040x}"))
        })
        .collect();
    facts.changes[44].data.revlink = Some("https://example.org/c/45?a=1&b=2".into());
    facts.steps = vec![
        step(1, "shards", None, Outcome::Failure, "2 of 3 failed"),
        step(2, "shard 0", Some(1), Outcome::Failure, "7 tests failed"),
        step(3, "shard 1", Some(1), Outcome::Success, ""),
        step(4, "shard 2", Some(1), Outcome::Failure, "1 test failed"),
    ];
    facts.excerpts = (0..8)
        .map(|n| Excerpt {
            step: format!("shard {n}"),
            log: "stdio".into(),
            lines: (0..30).map(|line| format!("line {line} of shard {n}")).collect(),
            before: 5,
        })
        .collect();
    let mail = render_mail(&MailPlan { log_lines: 2, ..plan() }, &blamed(&facts), &|_, _| panic!("no template is set"));
    golden("many", &mail);
}

#[test]
fn fixed_recipients_come_first_and_nobody_twice() {
    let mut facts = facts();
    facts.build.properties.set("owner", "bob@example.org", "Force Build Form");
    facts.changes = vec![
        change(1, "Old <old@example.org>", "a", "1"),
        change(2, "TEAM <Team@Example.org>", "b", "2"),
        change(3, "carol", "c", "3"),
        change(4, "Ann <1+ann@users.noreply.github.com>", "d", "4"),
        change(5, "Dave with spaces", "e", "5"),
        change(6, "Łukasz, \"the\" Żak <lz@example.org>", "f", "6"),
    ];
    let mut plan = plan();
    plan.recipients.domain = Some("@example.net".into());
    plan.recipients.to.push("not an address".into());
    let mail = render_mail(&plan, &facts, &|_, _| panic!("no template is set"));
    assert_eq!(
        mail.to,
        [
            "team@example.org",
            "bob@example.org",
            "\"Łukasz, \\\"the\\\" Żak\" <lz@example.org>",
            "carol@example.net",
            "Old <old@example.org>",
        ]
    );
    assert!(
        mail.text.contains("Remark: `not an address` is not a valid mail address and was left out."),
        "{}",
        mail.text
    );

    plan.recipients.blame = false;
    assert_eq!(render_mail(&plan, &facts, &|_, _| panic!("no template is set")).to, ["team@example.org"]);
}

#[test]
fn the_message_id_names_the_report_for_all_time() {
    let mut facts = facts();
    let first = render(&facts);
    assert_eq!(first.message_id, "<report-7.5f0c1a@starwright>");
    facts.now = Timestamp::from_seconds(START + 100_000);
    let later = render(&facts);
    assert_eq!((&later.message_id, later.date, &later.text), (&first.message_id, first.date, &first.text));
    assert!(first.wait_for_all && !later.wait_for_all);
    facts.installation = "a>\r\nBcc: x@example.org".into();
    assert_eq!(render(&facts).message_id, "<report-7.aBccxexampleorg@starwright>");
}

#[test]
fn templates_of_the_user_replace_subject_text_and_html() {
    let mut plan = plan();
    (plan.subject, plan.body) = (Some(FnId(1)), Some(FnId(2)));
    let seen = std::cell::RefCell::new(None);
    let mail = render_mail(&plan, &facts(), &|function, facts| {
        *seen.borrow_mut() = Some(facts.clone());
        let Value::Map(facts) = facts else { panic!("a map") };
        Ok(match function.0 {
            1 => format!("{} {}\nBcc: all@example.org", facts["builder"], facts["outcome"]),
            _ => format!("{}Regards\n", facts["text"]),
        })
    });
    assert_eq!(mail.subject, "linux failure Bcc: all@example.org");
    assert!(mail.text.starts_with("linux #12 failed in compile") && mail.text.ends_with("Regards\n"), "{}", mail.text);
    assert_eq!(mail.html, None, "our page must not contradict the user's text");
    let facts = seen.into_inner().unwrap().to_json();
    golden_file("template_facts.json", &format!("{facts:#}\n"));

    plan.html = Some(FnId(3));
    let mail = render_mail(&plan, &self::facts(), &|function, _| Ok(format!("<p>{}</p>", function.0)));
    assert_eq!((mail.text.as_str(), mail.html.as_deref()), ("<p>2</p>", Some("<p>3</p>")));
}

#[test]
fn a_template_that_fails_gives_the_usual_text_with_a_remark() {
    let mut plan = plan();
    (plan.subject, plan.body, plan.html) = (Some(FnId(1)), Some(FnId(2)), Some(FnId(3)));
    let mail = render_mail(&plan, &facts(), &|function, _| match function.0 {
        3 => Ok("<p>mine</p>".into()),
        n => Err(format!("master.star:{n}: no key `x`")),
    });
    assert_eq!(mail.subject, "[SysGrove] linux #12 failed in compile (Ann Smith)");
    assert!(mail.text.starts_with("linux #12 failed in compile"), "{}", mail.text);
    for remark in [
        "Remark: the function given as `subject` failed, so this is the usual one: master.star:1: no key `x`",
        "Remark: the function given as `body` failed, so this is the usual one: master.star:2: no key `x`",
    ] {
        assert!(mail.text.contains(remark), "{}", mail.text);
    }
    assert_eq!(mail.html.as_deref(), Some("<p>mine</p>"));
}

#[test]
fn headers_are_the_users_but_never_those_that_steer_the_mail() {
    let mut plan = plan();
    for (name, value) in [
        ("Reply-To", "dev@example.org\r\nBcc: all@example.org"),
        ("x-starwright-outcome", "mine"),
        ("BCC", "all@example.org"),
        ("X-Bad: y\r\nBcc", "all@example.org"),
    ] {
        plan.headers.insert(name.into(), value.into());
    }
    let mail = render_mail(&plan, &facts(), &|_, _| panic!("no template is set"));
    let headers: Vec<(&str, &str)> = mail.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [
            ("Auto-Submitted", "auto-generated"),
            ("Reply-To", "dev@example.org Bcc: all@example.org"),
            ("X-Starwright-Builder", "linux"),
            ("x-starwright-outcome", "mine"),
        ]
    );
    assert!(mail.text.contains("the header `BCC` was left out: the mail has one of its own."), "{}", mail.text);
    assert!(
        mail.text.contains("the header `X-Bad: y Bcc` was left out: that is not a valid name for a header."),
        "{}",
        mail.text
    );
}

#[test]
fn names_from_outside_cannot_break_out_of_their_line() {
    let mut facts = facts();
    facts.builder.name = "linux\r\nBcc: all@example.org".into();
    facts.changes[0].data.author = "Eve\r\nTo: all@example.org <eve@example.org>".into();
    facts.changes[0].data.comments = "\u{1b}[31m<script>alert(1)</script>\r\nmore".into();
    facts.changes[0].data.revlink = Some("javascript:alert(1)".into());
    let mail = render(&facts);
    assert!(!mail.subject.contains(['\r', '\n']), "{}", mail.subject);
    assert_eq!(mail.to, ["team@example.org", "\"Eve To: all@example.org\" <eve@example.org>"]);
    let html = mail.html.unwrap();
    assert!(!html.contains("<script>") && !html.contains("javascript:"), "{html}");
    assert!(!mail.text.contains('\u{1b}') && !mail.text.contains("javascript:"), "{}", mail.text);
}

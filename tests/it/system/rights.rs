//! Who may do what with a real master: rules, the function, and a network that may reach it.

use starwright::testing::master::{Reach, Reply};
use starwright::testing::model::{
    Action, AlertSubject, Caller, Event, Identity, Intake, LoginMethod, NewChange, Object, Order, Via,
};

use super::house::{House, ann, force, reload};

const CONFIG: &str = r#"
worker("w1", password = "secret")
builder("linux", workers = ["w1"], steps = [step("s", run = lambda ctx: None)])
builder("release", workers = ["w1"], steps = [step("s", run = lambda ctx: None)])
role("managers", users = ["bob"])
allow(roles = ["anyone"], actions = ["read"])
allow(roles = ["authenticated"], actions = ["force"], builders = ["linux"])
allow(roles = ["managers"], actions = ["force", "reload"])
allow(roles = ["owner"], actions = ["cancel"])
"#;

fn user(name: &str) -> Caller {
    Caller::new(Identity::user(name, LoginMethod::Password), "", Via::Page)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_for_those_who_have_the_right() {
    let house = House::new(CONFIG);
    let running = house.start().await;
    let denied = |reply: Reply| match reply {
        Reply::Denied(why) => why,
        other => panic!("{other:?}"),
    };
    let why = denied(running.handle().order(force("linux"), ann()).await.unwrap());
    let wanted = "a visitor who is not logged in does not have the right `force` for builder `linux`: log in first; roles \
                  `authenticated`, `managers` and `admin` have it";
    assert_eq!(why, wanted, "the name that a visitor tells counts for nothing");
    let why = denied(running.handle().order(force("release"), user("ann")).await.unwrap());
    assert!(why.starts_with("user `ann` does not have the right `force` for builder `release`"), "{why}");
    denied(running.handle().order(reload(), user("ann")).await.unwrap());

    let Reply::Buildset { requests, .. } = running.handle().order(force("linux"), user("ann")).await.unwrap() else {
        panic!("ann may")
    };
    let request = *requests.values().next().unwrap();
    let cancel = || Order::CancelRequest { request, why: String::new() };
    denied(running.handle().order(cancel(), user("eve")).await.unwrap());
    assert_eq!(running.handle().order(cancel(), user("ann")).await.unwrap(), Reply::Done, "it is hers");
    assert!(matches!(running.handle().order(force("release"), user("bob")).await.unwrap(), Reply::Buildset { .. }));
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_decides_before_the_rules_and_no_answer_means_no() {
    let function = r#"
def decide(user, action, object):
    if user.name == "crash":
        return 7
    if object.kind == "builder" and object.name == "release":
        return "release" in user.groups
    return None

rights(decide)
"#;
    let house = House::new(&format!("{CONFIG}{function}"));
    let running = house.start().await;
    let handle = running.handle().clone();
    let asked = tokio::task::spawn_blocking(move || {
        let may = |name: &str, groups: &[&str], action, object: &Object| {
            let groups = groups.iter().map(|group| (*group).to_owned()).collect();
            let identity = Identity { groups, ..Identity::user(name, LoginMethod::Password) };
            handle.may(&identity, action, object).is_ok()
        };
        let release = Object::builder("release");
        assert!(may("ann", &["release"], Action::Force, &release), "though no rule allows it");
        assert!(!may("bob", &[], Action::Force, &release), "though a rule allows it");
        assert!(
            !may("bob", &[], Action::Read, &release) && !may("bob", &[], Action::Read, &release),
            "also remembered"
        );
        assert!(may("ann", &[], Action::Force, &Object::builder("linux")), "it is left to the rules");
        assert!(!may("crash", &[], Action::Read, &Object::builder("linux")));
        assert!(handle.may(&Identity::machine(), Action::Admin, &Object::Installation).is_ok());
    });
    asked.await.unwrap();
    let reply = running.handle().order(force("release"), user("bob")).await.unwrap();
    assert!(matches!(reply, Reply::Denied(_)), "{reply:?}");
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_others_reach_wants_its_rights_declared() {
    let open = "worker(\"w1\")\n";
    let house = House::new(open);
    let refused = house.try_start_with(|options| options.reach = Reach::Network).await.err().expect("it is refused");
    let report = refused.report().unwrap_or_default();
    assert!(report.contains("nothing says who may do what") && report.contains("access(\"open\")"), "{report}");

    house.start().await.master.stop().await;
    let refused = house.try_start_with(|options| options.reach = Reach::Network).await.err().expect("it is refused");
    assert!(refused.report().is_some(), "also when the configuration was in force before: {refused}");

    house.write("master.star", &format!("{open}access(\"open\")\n"));
    let running = house.start_with(|options| options.reach = Reach::Network).await;
    house.write("master.star", open);
    let reply = running.handle().order(reload(), Caller::machine("", Via::Signal)).await.unwrap();
    assert!(matches!(&reply, Reply::Refused(why) if why.contains("who may do what")), "{reply:?}");
    assert!(running.handle().plan().rights.open, "the one before stays in force");
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_fails_is_told_once_and_not_asked_on_each_view() {
    let function = "\ndef decide(user, action, object):\n    return user.groups[0] == \"x\"\n\nrights(decide)\n";
    let house = House::new(&format!("{CONFIG}{function}"));
    let running = house.start().await;
    let handle = running.handle().clone();
    let alerts = move || handle.alerts().of(&AlertSubject::Configuration);
    let handle = running.handle().clone();
    let seen = tokio::task::spawn_blocking(move || {
        let ask = || handle.may(&Identity::user("ann", LoginMethod::Password), Action::Read, &Object::builder("linux"));
        assert!(ask().is_err());
        let first = alerts();
        assert!(ask().is_err(), "it stays denied");
        (first, alerts())
    });
    let (first, second) = seen.await.unwrap();
    assert!(first[0].text.contains("`rights` gave no answer") && first[0].text.contains("out of bound"), "{first:?}");
    assert_eq!(first, second, "it was not asked again");
    house.write("master.star", CONFIG);
    running.handle().order(reload(), Caller::machine("", Via::Signal)).await.unwrap();
    let handle = running.handle().clone();
    let ask =
        move || handle.may(&Identity::user("ann", LoginMethod::Password), Action::Read, &Object::builder("linux"));
    assert!(tokio::task::spawn_blocking(ask).await.unwrap().is_ok());
    assert!(running.handle().alerts().of(&AlertSubject::Configuration).is_empty());
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_a_project_are_those_of_its_declared_repositories() {
    let config = r#"
worker("w1", password = "secret")
project("app")
project("lib")
codebase("app", repository = "https://example.org/app.git", project = "app")
codebase("lib", repository = "https://example.org/lib.git", project = "lib")
allow(roles = ["authenticated"], actions = ["change"], projects = ["app"])
"#;
    let house = House::new(config);
    let mut running = house.start().await;
    let handle = running.handle().clone();
    let change = |repository: &str, codebase: &str, project: &str| NewChange {
        repository: repository.to_owned(),
        codebase: codebase.to_owned(),
        project: project.to_owned(),
        ..NewChange::default()
    };
    let tell = async |change: NewChange| {
        let order = Order::AddChanges { changes: vec![change], delivery: None, intake: Intake::Report };
        handle.order(order, user("ann")).await.unwrap()
    };
    let reply = tell(change("git@example.org:app.git", "", "")).await;
    assert!(matches!(reply, Reply::Changes(_)), "{reply:?}");
    let recorded = running.fact("the change", |event| match event {
        Event::ChangeArrived { change } => Some(change.data.project.clone()),
        _ => None,
    });
    assert_eq!(recorded.await, "app", "where it belongs");
    for other in [
        change("https://example.org/lib.git", "", "app"),
        change("https://example.org/app.git", "lib", "app"),
        change("", "", "app"),
        change("https://elsewhere.example.org/app.git", "app", "app"),
    ] {
        let reply = tell(other.clone()).await;
        assert!(matches!(reply, Reply::Denied(_)), "{other:?}: {reply:?}");
    }
    running.master.stop().await;
}

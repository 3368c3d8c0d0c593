//! Projects and codebases: in the API, and on pages.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use starwright::testing::model::{
    About, BuilderAbout, BuilderId, CodebaseAbout, ConfigDigest, Event, NameChanges, ProjectChanges,
};

use super::served::Served;
use super::world::World;

fn adopted(projects: ProjectChanges, about: BTreeMap<BuilderId, BuilderAbout>) -> Event {
    Event::PlanAdopted {
        digest: ConfigDigest("projects".to_owned()),
        why: "test".to_owned(),
        changes: Vec::new(),
        builders: NameChanges::default(),
        workers: NameChanges::default(),
        schedulers: NameChanges::default(),
        change_sources: NameChanges::default(),
        about,
        projects,
    }
}

/// Two projects; the first builder belongs to the second one, and so does a codebase.
fn world() -> World {
    let mut world = World::empty();
    world.adopt(&[("tests", &["w1"]), ("other", &["w1"])], &["w1"], None);
    let about = About {
        title: Some("The <app>".to_owned()),
        description: Some("What we sell.".to_owned()),
        links: vec![("Manual".to_owned(), "https://example.org/manual".to_owned())],
    };
    let codebase = CodebaseAbout {
        project: Some("app".to_owned()),
        repository: "https://example.org/app.git".to_owned(),
        ..CodebaseAbout::default()
    };
    let projects = ProjectChanges {
        projects: [("aaa".to_owned(), About::default()), ("app".to_owned(), about)].into(),
        codebases: [("app".to_owned(), codebase)].into(),
        ..ProjectChanges::default()
    };
    let of_project =
        BuilderAbout { workers: vec!["w1".to_owned()], project: Some("app".to_owned()), ..BuilderAbout::default() };
    world.fact(adopted(projects, [(BuilderId(1), of_project)].into()));
    world
}

#[test]
fn the_api_has_projects_with_their_builders_and_codebases() {
    let served = Served::new(world().master());
    let projects = served.items("projects");
    assert_eq!(projects[1]["name"], "app");
    assert_eq!((&projects[1]["active"], &projects[1]["description"]), (&json!(true), &json!("What we sell.")));
    let id = projects[1]["projectid"].as_u64().unwrap();
    assert_eq!(served.items("projects/app"), served.items(&format!("projects/{id}")));
    let builders = served.items(&format!("projects/{id}/builders"));
    assert_eq!(builders.len(), 1);
    assert_eq!((&builders[0]["name"], builders[0]["projectid"].as_u64()), (&json!("tests"), Some(id)));
    assert_eq!(served.items("builders/other")[0]["projectid"], Json::Null);
    assert_eq!(served.items(&format!("builders?projectid={id}")).len(), 1);
    let codebases = served.items("codebases");
    assert_eq!((&codebases[0]["name"], codebases[0]["projectid"].as_u64()), (&json!("app"), Some(id)));
    assert_eq!(served.items(&format!("projects/{id}/codebases/app")), codebases);
    assert_eq!(served.api("projects/9").status, 404);
}

#[test]
fn a_project_has_a_page_and_its_builders_lead_there() {
    let served = Served::new(world().master());
    let page = served.page("/projects/app").text();
    for part in ["The &#60;app&#62;", "What we sell.", "https://example.org/manual", "/builders/tests"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("/builders/other"), "{page}");
    assert!(served.page("/builders/tests").text().contains("/projects/app"));
    assert!(served.page("/").text().contains("/projects/app"));
    assert_eq!(served.page("/projects/nope").status, 404);
}

#[test]
fn a_project_that_leaves_the_configuration_stays_in_the_history() {
    let mut world = world();
    let removed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let gone = ProjectChanges { projects_removed: removed(&["app"]), ..ProjectChanges::default() };
    world.fact(adopted(gone, BTreeMap::new()));
    let served = Served::new(world.master());
    let active = |served: &Served| -> Vec<Json> {
        served.items("projects").iter().map(|project| project["active"].clone()).collect()
    };
    assert_eq!(active(&served), [json!(true), json!(false)]);
    assert!(!served.page("/").text().contains("/projects/app"));
    // A configuration whose predecessor is not known tells all that there is.
    let whole = ProjectChanges {
        whole: true,
        projects: [("app".to_owned(), About::default())].into(),
        ..ProjectChanges::default()
    };
    world.fact(adopted(whole, BTreeMap::new()));
    let served = Served::new(world.master());
    assert_eq!(active(&served), [json!(false), json!(true)]);
    assert_eq!(served.items("projects/app")[0]["projectid"], json!(2), "a name keeps its number");
}

#[test]
fn a_codebase_has_a_page_with_its_title_and_links() {
    let served = Served::new(world().master());
    let page = served.page("/codebases/app").text();
    assert!(page.contains("https://example.org/app.git"), "{page}");
    assert_eq!(served.page("/codebases/nothing").status, 404);
}

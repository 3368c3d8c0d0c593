//! Where a change belongs, as the configuration declares it: by its repository, a source or a codebase says its name, its
//! codebase and its project. Pure.
//!
//! A caller says what they like of a change. What they may report is decided by where it belongs, and so is what schedulers
//! see of it.

use std::collections::BTreeSet;

use crate::model::{NewChange, Object, Plan, normal_address, without_login};

/// What a source or a codebase of the configuration says of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place<'a> {
    repository: &'a str,
    codebase: &'a str,
    project: &'a str,
}

/// All that are declared.
fn places(plan: &Plan) -> impl Iterator<Item = Place<'_>> {
    let sources = plan.change_sources.values().map(|source| Place {
        repository: source.kind.repository(),
        codebase: &source.codebase,
        project: &source.project,
    });
    let codebases = plan.codebases.values().map(|codebase| Place {
        repository: &codebase.repository,
        codebase: &codebase.name,
        project: codebase.project.as_deref().unwrap_or_default(),
    });
    sources.chain(codebases).filter(|place| !place.repository.is_empty())
}

/// Those of the repository that has one of these addresses. Forges do not tell upper from lower case.
fn places_of<'a>(plan: &'a Plan, addresses: &[String]) -> Vec<Place<'a>> {
    let normal: Vec<String> = addresses.iter().map(|address| normal_address(address)).collect();
    let is_it = |place: &Place<'_>| {
        let declared = normal_address(place.repository);
        normal.iter().any(|address| address.eq_ignore_ascii_case(&declared))
    };
    places(plan).filter(is_it).collect()
}

/// Changes that a hook tells, as the configuration names them. `addresses` are all that the forge knows of their repository; if
/// there is none, each change names its own.
pub(super) fn placed(plan: &Plan, changes: Vec<NewChange>, addresses: &[String]) -> Vec<NewChange> {
    let of_all = places_of(plan, addresses);
    let each = changes.into_iter().map(|change| {
        let own = if change.repository.is_empty() { Vec::new() } else { vec![change.repository.clone()] };
        let (places, told) = match addresses.first() {
            Some(first) => (of_all.clone(), first),
            None => (places_of(plan, &own), &change.repository),
        };
        let repository = without_login(places.first().map_or(told, |place| place.repository));
        owned(NewChange { repository, ..change }, &places)
    });
    each.collect()
}

/// With the codebase and project that are declared, where the change says none. Where several are declared, nothing says
/// which one it is.
fn owned(change: NewChange, places: &[Place<'_>]) -> NewChange {
    let is_its = |place: &&Place<'_>| change.codebase.is_empty() || place.codebase == change.codebase;
    let only = |part: fn(&Place<'_>) -> String| {
        let all: BTreeSet<String> = places.iter().filter(is_its).map(part).filter(|part| !part.is_empty()).collect();
        if all.len() == 1 { all.into_iter().next() } else { None }
    };
    let (codebase, project) = (only(|place| place.codebase.to_owned()), only(|place| place.project.to_owned()));
    let or = |told: &String, declared: Option<String>| {
        if told.is_empty() { declared.unwrap_or_default() } else { told.clone() }
    };
    NewChange { codebase: or(&change.codebase, codebase), project: or(&change.project, project), ..change }
}

/// What somebody who reports a change needs the right for: every project to which it belongs by its repository and its
/// codebase, as they are declared. Whatever is not declared, or said to be of another project, is about the installation.
pub(super) fn objects_of(plan: &Plan, change: &NewChange) -> BTreeSet<Object> {
    let by_address = if change.repository.is_empty() {
        Vec::new()
    } else {
        places_of(plan, std::slice::from_ref(&change.repository))
    };
    let by_name = places(plan).filter(|place| !change.codebase.is_empty() && place.codebase == change.codebase);
    let projects: BTreeSet<&str> = by_address.iter().copied().chain(by_name).map(|place| place.project).collect();
    let is_declared = !projects.is_empty() && (change.repository.is_empty() || !by_address.is_empty());
    let is_said = change.project.is_empty() || projects.contains(change.project.as_str());
    let mut objects: BTreeSet<Object> = projects.into_iter().map(of_project).collect();
    if !is_declared || !is_said {
        objects.insert(Object::Installation);
    }
    objects
}

fn of_project(name: &str) -> Object {
    if name.is_empty() { Object::Installation } else { Object::Project { name: name.to_owned() } }
}

/// A change that somebody reports, with the project to which it belongs, if they do not say one.
pub(super) fn with_project(plan: &Plan, change: NewChange) -> NewChange {
    let (NewChange { codebase, .. }, own) = (change.clone(), [change.repository.clone()]);
    let places = if change.repository.is_empty() {
        places(plan).filter(|place| !codebase.is_empty() && place.codebase == codebase).collect()
    } else {
        places_of(plan, &own)
    };
    NewChange { codebase, ..owned(change, &places) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::model::{BranchChoice, ChangeSourceKind, ChangeSourcePlan, DeclaredCodebase, GitPlan, SourcePlace};

    const APP: &str = "https://forge.example.org/team/app";
    const LIB: &str = "https://forge.example.org/team/lib";

    fn polled(repository: &str) -> Plan {
        let source = ChangeSourcePlan {
            name: "poller".to_owned(),
            project: String::new(),
            codebase: String::new(),
            category: None,
            every: Span::from_minutes(5),
            timeout: Span::from_minutes(5),
            changes_max: 100,
            kind: ChangeSourceKind::Git(GitPlan {
                repository: repository.to_owned(),
                branches: BranchChoice::Default,
                tags: Vec::new(),
            }),
            place: SourcePlace::default(),
        };
        Plan { change_sources: [("poller".to_owned(), source)].into(), ..Plan::default() }
    }

    /// Two codebases, each of its project.
    fn declared() -> Plan {
        let codebase = |name: &str, repository: &str| DeclaredCodebase {
            name: name.to_owned(),
            project: Some(format!("{name}s")),
            repository: format!("{repository}.git"),
            ..DeclaredCodebase::default()
        };
        let all = [codebase("app", APP), codebase("lib", LIB)];
        Plan { codebases: all.map(|one| (one.name.clone(), one)).into(), ..Plan::default() }
    }

    fn change(repository: &str, codebase: &str, project: &str) -> NewChange {
        let [repository, codebase, project] = [repository, codebase, project].map(str::to_owned);
        NewChange { repository, project, codebase, ..NewChange::default() }
    }

    #[test]
    fn a_repository_is_named_as_its_poller_names_it() {
        let addresses = ["https://forge.example.org/Team/app.git", "ssh://git@forge.example.org:2222/Team/app.git"];
        let addresses: Vec<String> = addresses.map(str::to_owned).into();
        let named =
            |declared: &str| placed(&polled(declared), vec![NewChange::default()], &addresses)[0].repository.clone();
        for declared in [APP, "git@forge.example.org:Team/app.git", "ssh://git@FORGE.example.org:2222/Team/app"] {
            assert_eq!(named(declared), declared);
        }
        assert_eq!(named("https://ann:secret@forge.example.org/team/app"), APP);
        assert_eq!(named("https://forge.example.org/team/other"), addresses[0]);
        assert_eq!(placed(&polled(""), vec![NewChange::default()], &[])[0].repository, "");
    }

    #[test]
    fn a_hook_without_a_poller_knows_the_declared_codebase() {
        let of = |told: NewChange, addresses: &[&str]| {
            let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
            let [placed] = placed(&declared(), vec![told], &addresses).try_into().unwrap();
            (placed.repository, placed.codebase, placed.project)
        };
        let app = (format!("{APP}.git"), "app".to_owned(), "apps".to_owned());
        assert_eq!(of(change("", "", ""), &["https://forge.example.org/Team/App"]), app);
        assert_eq!(of(change("git@forge.example.org:team/app", "", ""), &[]), app, "a generic hook names it itself");
        let own = of(change("", "other", "mine"), &[APP]);
        assert_eq!((own.1.as_str(), own.2.as_str()), ("other", "mine"), "what the hook itself says counts");
        let two = Plan {
            codebases: declared()
                .codebases
                .into_values()
                .map(|one| (one.name.clone(), DeclaredCodebase { repository: APP.to_owned(), ..one }))
                .collect(),
            ..Plan::default()
        };
        let [both] = placed(&two, vec![change(APP, "", "")], &[]).try_into().unwrap();
        assert_eq!((both.codebase.as_str(), both.project.as_str()), ("", ""), "nothing says which of the two it is");
    }

    #[test]
    fn what_a_change_is_about_is_decided_by_what_is_declared() {
        let objects = |told: NewChange| {
            let all = objects_of(&declared(), &told).into_iter();
            all.map(|object| object.to_string()).collect::<Vec<_>>().join(", ")
        };
        let of_installation = Object::Installation.to_string();
        let of = |name: &str| Object::Project { name: name.to_owned() }.to_string();
        assert_eq!(objects(change(APP, "", "")), of("apps"));
        assert_eq!(objects(change(APP, "app", "apps")), of("apps"));
        assert_eq!(objects(change("", "lib", "")), of("libs"));
        // Whoever may report those of `apps` only may report none of these.
        for told in
            [change(LIB, "", "apps"), change(APP, "lib", "apps"), change(LIB, "app", "apps"), change("", "lib", "apps")]
        {
            assert!(objects(told.clone()).contains(&of("libs")), "{told:?}");
        }
        for told in [
            change("", "", "apps"),
            change("https://elsewhere.example.org/app", "", "apps"),
            change("https://elsewhere.example.org/app", "app", "apps"),
            change(APP, "", "others"),
        ] {
            assert!(objects(told.clone()).contains(&of_installation), "{told:?}");
        }
    }

    #[test]
    fn a_reported_change_gets_the_project_to_which_it_belongs() {
        let of = |told| {
            let placed = with_project(&declared(), told);
            (placed.codebase, placed.project)
        };
        assert_eq!(of(change(APP, "", "")), (String::new(), "apps".to_owned()));
        assert_eq!(of(change("", "lib", "")), ("lib".to_owned(), "libs".to_owned()));
        assert_eq!(of(change(APP, "", "mine")).1, "mine");
        assert_eq!(of(change("", "", "")).1, "");
    }
}

//! Who may do what: the only place that decides it, for pages, API, command line and hooks alike.
//!
//! Pure: the rules of the configuration, who asks, what for, and what the function `rights` said. Knows neither the
//! store nor the evaluator ([`super::rights`] brings both).

use std::collections::{BTreeMap, BTreeSet};

use globset::{GlobBuilder, GlobMatcher};

use crate::model::{
    ADMIN, ANYONE, AUTHENTICATED, Action, Denial, Identity, LoginMethod, OWNER, Object, Only, Plan, RightsPlan,
    RulePlan,
};

/// What the function `rights` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// There is none, or it leaves it to the rules.
    Nothing,
    Yes,
    No,
    /// It gave no answer; that means no.
    Undecided,
}

/// The rules of one configuration, ready to be matched.
#[derive(Debug, Default)]
pub(super) struct Rules {
    open: bool,
    list: Vec<Rule>,
    plan: RightsPlan,
    /// The projects of builders that have one.
    projects: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Rule {
    of: RulePlan,
    builders: Patterns,
    workers: Patterns,
    projects: Patterns,
}

/// Shell patterns; most are plain names.
#[derive(Debug, Default)]
struct Patterns {
    names: BTreeSet<String>,
    globs: Vec<GlobMatcher>,
}

impl Patterns {
    fn of(patterns: &[String]) -> Self {
        let mut found = Self::default();
        for pattern in patterns {
            let glob = GlobBuilder::new(pattern).literal_separator(false).build();
            match glob {
                // Which patterns are right was checked when the configuration was loaded.
                Ok(glob) if pattern.contains(['*', '?', '[', '{', '\\']) => found.globs.push(glob.compile_matcher()),
                Ok(_) | Err(_) => drop(found.names.insert(pattern.clone())),
            }
        }
        found
    }

    fn have(&self, name: &str) -> bool {
        self.names.contains(name) || self.globs.iter().any(|glob| glob.is_match(name))
    }
}

impl Rules {
    /// Those of a configuration.
    pub fn of(plan: &RightsPlan) -> Self {
        let none = Only::default();
        let rule = |of: &RulePlan| {
            let only = of.only.as_ref().unwrap_or(&none);
            Rule {
                of: of.clone(),
                builders: Patterns::of(&only.builders),
                workers: Patterns::of(&only.workers),
                projects: Patterns::of(&only.projects),
            }
        };
        let list = plan.rules.iter().map(rule).collect();
        Self { open: plan.is_open(), list, plan: plan.clone(), projects: BTreeMap::new() }
    }

    /// Those of a whole configuration: a rule about a project is about its builders, too.
    pub fn of_plan(plan: &Plan) -> Self {
        let builders = plan.builders.values();
        let projects = builders.filter_map(|builder| Some((builder.name.clone(), builder.project.clone()?)));
        Self { projects: projects.collect(), ..Self::of(&plan.rights) }
    }

    /// The project that a thing belongs to.
    fn project_of<'a>(&'a self, object: &'a Object) -> Option<&'a str> {
        match object {
            Object::Builder { name, .. } => self.projects.get(name).map(String::as_str),
            Object::Project { name } => Some(name),
            Object::Worker { .. }
            | Object::Scheduler { .. }
            | Object::Source { .. }
            | Object::Installation
            | Object::Operation => None,
        }
    }

    /// Whether the function `rights` has a say in what this identity does.
    pub fn asks(&self, identity: &Identity) -> bool {
        let known = matches!(identity.login, LoginMethod::Machine | LoginMethod::Hook);
        !self.open && !known && self.plan.function.is_some()
    }

    /// Whether somebody may do something.
    ///
    /// # Errors
    /// Why not.
    pub fn authorize(
        &self,
        identity: &Identity,
        action: Action,
        object: &Object,
        said: Said,
    ) -> Result<(), Box<Denial>> {
        if self.may(identity, action, object, said) {
            Ok(())
        } else {
            Err(Box::new(self.denial(identity, action, object)))
        }
    }

    fn may(&self, identity: &Identity, action: Action, object: &Object, said: Said) -> bool {
        match identity.login {
            LoginMethod::Machine => return true,
            LoginMethod::Hook => return action == Action::Change,
            LoginMethod::None
            | LoginMethod::Password
            | LoginMethod::Token
            | LoginMethod::Proxy
            | LoginMethod::Provider
            | LoginMethod::Ldap => {}
        }
        if !grants(identity, action, object) {
            return false;
        }
        if self.open {
            return true;
        }
        match said {
            Said::Yes => return true,
            Said::No | Said::Undecided => return false,
            Said::Nothing => {}
        }
        // A token that belongs to nobody has what it was made for.
        if identity.grant.is_some() && identity.user.is_none() {
            return true;
        }
        let roles = self.roles_of(identity, object);
        let project = self.project_of(object);
        let allows = |rule: &Rule| rule.has(identity, &roles) && rule.is_about(action, object, project);
        roles.contains(ADMIN) || self.list.iter().any(allows)
    }

    /// The roles of somebody, for this object.
    fn roles_of<'a>(&'a self, identity: &'a Identity, object: &Object) -> BTreeSet<&'a str> {
        let mut roles = BTreeSet::from([ANYONE]);
        if identity.is_anonymous() {
            return roles;
        }
        roles.insert(AUTHENTICATED);
        let groups: BTreeSet<&str> = identity.groups.iter().map(String::as_str).collect();
        for (name, role) in &self.plan.roles {
            let is_user = identity.user.as_ref().is_some_and(|user| role.users.contains(user));
            if is_user || role.groups.iter().any(|group| groups.contains(group.as_str())) {
                roles.insert(name);
            }
        }
        roles.extend(groups);
        if object.is_of(identity) {
            roles.insert(OWNER);
        }
        roles
    }

    fn denial(&self, identity: &Identity, action: Action, object: &Object) -> Denial {
        let mut roles: Vec<String> = Vec::new();
        let project = self.project_of(object);
        for rule in self.list.iter().filter(|rule| rule.is_about(action, object, project)) {
            for role in &rule.of.roles {
                if !roles.contains(role) {
                    roles.push(role.clone());
                }
            }
        }
        roles.push(ADMIN.to_owned());
        Denial {
            who: identity.to_string(),
            action,
            object: object.clone(),
            roles,
            anonymous: identity.is_anonymous(),
            token: !grants(identity, action, object),
        }
    }
}

impl Rule {
    /// Whether it is for somebody with these roles.
    fn has(&self, identity: &Identity, roles: &BTreeSet<&str>) -> bool {
        let is_user =
            !identity.is_anonymous() && identity.user.as_ref().is_some_and(|user| self.of.users.contains(user));
        is_user || self.of.roles.iter().any(|role| roles.contains(role.as_str()))
    }

    fn is_about(&self, action: Action, object: &Object, project: Option<&str>) -> bool {
        self.of.actions.contains(&action)
            && (self.of.only.is_none()
                || project.is_some_and(|project| self.projects.have(project))
                || match object {
                    Object::Builder { name, .. } => self.builders.have(name),
                    Object::Worker { name } => self.workers.have(name),
                    Object::Project { .. } => false,
                    // Who may see something sees the pages around it.
                    Object::Installation => action == Action::Read,
                    Object::Scheduler { .. } | Object::Source { .. } | Object::Operation => false,
                })
    }
}

/// Whether a token, if it is one, covers the action.
fn grants(identity: &Identity, action: Action, object: &Object) -> bool {
    let Some(grant) = &identity.grant else { return true };
    let covered = grant.builders.is_empty()
        || match object {
            Object::Builder { name, .. } => Patterns::of(&grant.builders).have(name),
            Object::Installation => action == Action::Read,
            Object::Worker { .. }
            | Object::Scheduler { .. }
            | Object::Source { .. }
            | Object::Project { .. }
            | Object::Operation => false,
        };
    grant.actions.contains(&action) && covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BuilderPlan, FnId, Grant, RolePlan};

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn list(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn rule(roles: &[&str], actions: &[Action], only: Option<Only>) -> RulePlan {
        RulePlan { roles: set(roles), users: BTreeSet::new(), actions: actions.iter().copied().collect(), only }
    }

    fn builders(patterns: &[&str]) -> Option<Only> {
        Some(Only { builders: list(patterns), ..Only::default() })
    }

    fn rules() -> Rules {
        Rules::of(&RightsPlan {
            rules: vec![
                rule(&[ANYONE], &[Action::Read], builders(&["public-*"])),
                rule(&["dev"], &[Action::Read, Action::Force], None),
                rule(&[OWNER], &[Action::Stop], None),
                rule(&["operators"], &[Action::Pause], Some(Only { workers: list(&["lab-*"]), ..Only::default() })),
            ],
            roles: BTreeMap::from([
                ("operators".to_owned(), RolePlan { users: set(&["olga"]), groups: set(&["ops"]) }),
                (ADMIN.to_owned(), RolePlan { users: set(&["root"]), groups: BTreeSet::new() }),
            ]),
            ..RightsPlan::default()
        })
    }

    fn user(name: &str, groups: &[&str]) -> Identity {
        Identity { groups: set(groups), ..Identity::user(name, LoginMethod::Password) }
    }

    fn may(identity: &Identity, action: Action, object: &Object) -> bool {
        rules().authorize(identity, action, object, Said::Nothing).is_ok()
    }

    #[test]
    fn visitors_see_what_is_public_and_do_nothing() {
        let nobody = Identity::anonymous();
        assert!(may(&nobody, Action::Read, &Object::builder("public-linux")));
        assert!(may(&nobody, Action::Read, &Object::Installation), "the pages around it");
        assert!(!may(&nobody, Action::Read, &Object::builder("private")));
        assert!(!may(&nobody, Action::Read, &Object::worker("lab-1")));
        assert!(!may(&nobody, Action::Force, &Object::builder("public-linux")));
    }

    #[test]
    fn roles_come_from_groups_and_from_declarations() {
        let (dev, olga, ops) = (user("ann", &["dev"]), user("olga", &[]), user("otto", &["ops"]));
        assert!(may(&dev, Action::Force, &Object::builder("private")));
        assert!(!may(&dev, Action::Pause, &Object::worker("lab-1")));
        for operator in [&olga, &ops] {
            assert!(may(operator, Action::Pause, &Object::worker("lab-1")));
            assert!(!may(operator, Action::Pause, &Object::worker("other")));
        }
        assert!(may(&user("root", &[]), Action::Admin, &Object::Installation));
        assert!(!may(&dev, Action::Admin, &Object::Installation));
    }

    #[test]
    fn owners_have_rights_over_what_is_theirs() {
        let build = |owner: &str| Object::Builder { name: "b".to_owned(), owners: set(&[owner]) };
        let ann = user("ann", &[]);
        assert!(may(&ann, Action::Stop, &build("ann")));
        assert!(!may(&ann, Action::Stop, &build("bob")));
        let told = Identity { user: Some("ann".to_owned()), ..Identity::anonymous() };
        assert!(!may(&told, Action::Stop, &build("ann")), "a name that nobody checked owns nothing");
    }

    #[test]
    fn a_token_does_what_it_was_made_for_and_never_more_than_its_user() {
        let grant = Grant {
            token: "deploy".to_owned(),
            actions: BTreeSet::from([Action::Read, Action::Force]),
            builders: list(&["release"]),
        };
        let alone = Identity { login: LoginMethod::Token, grant: Some(grant), ..Identity::default() };
        assert!(may(&alone, Action::Force, &Object::builder("release")));
        assert!(!may(&alone, Action::Force, &Object::builder("linux")));
        assert!(!may(&alone, Action::Stop, &Object::builder("release")));
        assert!(!may(&alone, Action::Force, &Object::Installation));
        let of_ann = Identity { user: Some("ann".to_owned()), ..alone };
        assert!(!may(&of_ann, Action::Force, &Object::builder("release")), "ann may not");
        let open = Rules::of(&RightsPlan { open: true, ..RightsPlan::default() });
        let denial = open.authorize(&of_ann, Action::Stop, &Object::builder("release"), Said::Nothing).unwrap_err();
        assert!(denial.token, "a token is limited where nobody else is: {denial}");
    }

    #[test]
    fn the_function_comes_first_and_no_answer_means_no() {
        let mut plan = rules().plan;
        plan.function = Some(FnId(0));
        let rules = Rules::of(&plan);
        let (nobody, dev) = (Identity::anonymous(), user("ann", &["dev"]));
        let object = Object::builder("private");
        let judged = |identity, said| rules.authorize(identity, Action::Force, &object, said).is_ok();
        assert!(judged(&nobody, Said::Yes) && !judged(&nobody, Said::Nothing));
        assert!(judged(&dev, Said::Nothing) && !judged(&dev, Said::No) && !judged(&dev, Said::Undecided));
        assert!(rules.asks(&dev) && !rules.asks(&Identity::machine()));
        assert!(judged(&Identity::machine(), Said::No), "nobody locks out the owner of the machine");
    }

    #[test]
    fn a_hook_may_only_tell_of_changes() {
        let open = Rules::of(&RightsPlan::default());
        let hook = Identity::hook();
        assert!(open.authorize(&hook, Action::Change, &Object::Installation, Said::Nothing).is_ok());
        assert!(open.authorize(&hook, Action::Poll, &Object::Installation, Said::Nothing).is_err());
    }

    #[test]
    fn a_rule_about_a_project_is_about_its_builders_and_changes() {
        let only = Some(Only { projects: list(&["app"]), ..Only::default() });
        let builder = |name: &str, project: Option<&str>| {
            let project = project.map(str::to_owned);
            (name.to_owned(), BuilderPlan { name: name.to_owned(), project, ..BuilderPlan::default() })
        };
        let rules = Rules::of_plan(&Plan {
            builders: BTreeMap::from([
                builder("in", Some("app")),
                builder("other", Some("lib")),
                builder("none", None),
            ]),
            rights: RightsPlan { rules: vec![rule(&[ANYONE], &[Action::Read], only)], ..RightsPlan::default() },
            ..Plan::default()
        });
        let sees =
            |object: Object| rules.authorize(&Identity::anonymous(), Action::Read, &object, Said::Nothing).is_ok();
        assert!(sees(Object::builder("in")) && sees(Object::Project { name: "app".to_owned() }));
        assert!(!sees(Object::builder("other")) && !sees(Object::builder("none")));
        assert!(!sees(Object::Project { name: "lib".to_owned() }));
    }

    #[test]
    fn a_denial_names_the_roles_that_have_the_right() {
        let denied = |action, object: &Object| {
            rules().authorize(&user("eve", &[]), action, object, Said::Nothing).unwrap_err().to_string()
        };
        let text = "user `eve` does not have the right `force` for builder `x`: roles `dev` and `admin` have it";
        assert_eq!(denied(Action::Force, &Object::builder("x")), text);
        let text = "user `eve` does not have the right `reload` for this installation: role `admin` has it";
        assert_eq!(denied(Action::Reload, &Object::Installation), text);
    }
}

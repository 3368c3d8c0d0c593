//! Rights that contradict each other, and a master that others can reach without any.

use std::collections::BTreeSet;

use globset::GlobBuilder;

use super::super::args::unknown_hint;
use super::super::collect::{Collector, Kind, NamePattern};
use crate::base::Authority;
use crate::model::{DECLARE_RIGHTS, LoginKind, LoginPlan, Plan, RESERVED_ROLES};

/// Patterns that are compared with all names; each warning that is shown comes from one of these.
const COMPARED_MAX: usize = 1_000;

/// Notes what is wrong with the rights of a plan as a whole.
pub(super) fn note_access(collector: &Collector, plan: &Plan) {
    if plan.rights.open && (!plan.rights.rules.is_empty() || plan.rights.function.is_some()) {
        let message = "`access(\"open\")` lets everybody do everything, so `allow` and `rights` have no effect";
        let hint = "keep one of the two".to_owned();
        collector.note(collector.spot_of(Kind::Once, "access"), message, Some(hint));
    }
    if let Some(way) = plan.logins.ways.first()
        && !plan.rights.is_declared()
    {
        let message = "people can log in, and nothing says who may do what";
        collector.note(collector.spot_of(Kind::Login, &way.name), message, Some(DECLARE_RIGHTS.to_owned()));
    }
    note_names_in_common(collector, &plan.logins.ways);
    for way in plan.logins.ways.iter().filter(|way| matches!(way.kind, LoginKind::Header(_))) {
        if plan.web.trusted_proxies.is_empty() {
            let message = format!("login `{}`: no proxy is trusted, so nobody can log in by a header", way.name);
            let hint = "name the proxy: web(trusted_proxies = [\"10.0.0.5\"])".to_owned();
            collector.note(collector.spot_of(Kind::Login, &way.name), message, Some(hint));
        }
    }
    if let Some(listen) = &plan.web.listen
        && !plan.rights.is_declared()
        && !is_loopback(listen)
    {
        let message = format!("others can reach the master at `{listen}`, and nothing says who may do what");
        collector.note(collector.spot_of(Kind::Once, "web"), message, Some(DECLARE_RIGHTS.to_owned()));
    }
}

/// Warns of patterns of rules that match nothing, and of roles that nobody can have.
pub(super) fn warn_unmatched(collector: &Collector, plan: &Plan) {
    for pattern in collector.patterns.take().into_iter().take(COMPARED_MAX) {
        let NamePattern { by, of, pattern, site } = pattern;
        let (what, known) = match of {
            "builders" => ("builder", plan.builders.keys().map(String::as_str).collect()),
            "workers" => ("worker", plan.workers.keys().map(String::as_str).collect()),
            "projects" => ("project", projects(plan)),
            _ if groups_are_told(plan) => continue,
            _ => ("role", roles(plan)),
        };
        if matches(&pattern, &known) {
            continue;
        }
        let (message, hint) = if what == "role" {
            (
                format!("{by}: nobody has the role `{pattern}`"),
                format!("give it: role(\"{pattern}\", users = [\"ada\"])"),
            )
        } else {
            let hint = if known.is_empty() {
                format!("there is no {what} at all")
            } else {
                unknown_hint(&pattern, known.iter().copied())
            };
            (format!("{by}: no {what} matches `{pattern}`"), hint)
        };
        collector.warn(site, message, Some(hint));
    }
}

/// Projects that are declared, or that changes say.
fn projects(plan: &Plan) -> BTreeSet<&str> {
    let declared = plan.projects.keys().map(String::as_str);
    let sources = plan.change_sources.values().map(|source| source.project.as_str());
    let hooks = plan.web.hooks.values().map(|hook| hook.settings.project.as_str());
    declared.chain(sources).chain(hooks).filter(|project| !project.is_empty()).collect()
}

/// Roles that somebody may have by the configuration.
fn roles(plan: &Plan) -> BTreeSet<&str> {
    plan.rights.roles.keys().map(String::as_str).chain(RESERVED_ROLES).collect()
}

/// Whether some login says groups, which are roles: then any name may be one. Without any login nobody has a role yet.
fn groups_are_told(plan: &Plan) -> bool {
    let ways = &plan.logins.ways;
    ways.is_empty() || ways.iter().any(|way| !matches!(way.kind, LoginKind::Htpasswd { .. }))
}

/// Whether a pattern is the name of something, or matches one.
fn matches(pattern: &str, known: &BTreeSet<&str>) -> bool {
    if known.contains(pattern) {
        return true;
    }
    // Which patterns are right has been checked.
    let glob = GlobBuilder::new(pattern).literal_separator(false).build();
    glob.is_ok_and(|glob| {
        let matcher = glob.compile_matcher();
        known.iter().any(|name| matcher.is_match(name))
    })
}

/// Whether only this machine reaches an address to listen at.
fn is_loopback(listen: &str) -> bool {
    // What is no address at all has been noted already.
    Authority::parse(listen).is_none_or(|listen| listen.port.is_none() || listen.host.is_loopback())
}

/// Notes ways of logging in by which a server elsewhere could give somebody the name of another login's user.
fn note_names_in_common(collector: &Collector, ways: &[LoginPlan]) {
    for (index, way) in ways.iter().enumerate() {
        let Some(prefix) = way.kind.prefix() else { continue };
        let shares = |(at, other): (usize, &LoginPlan)| match other.kind.prefix() {
            // Names of two servers: whatever follows the shorter prefix may be the rest of the longer one.
            Some(other) => at < index && (prefix.starts_with(other) || other.starts_with(prefix)),
            None => prefix.is_empty(),
        };
        if ways.iter().enumerate().any(shares) {
            let message = format!("login `{}`: its users could have the names of another login's users", way.name);
            let hint = format!("tell them apart: prefix = \"{}:\"", way.name);
            collector.note(collector.spot_of(Kind::Login, &way.name), message, Some(hint));
        }
    }
}

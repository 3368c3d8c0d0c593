//! Rights that contradict each other, and a master that others can reach without any.

use super::super::collect::{Collector, Kind};
use crate::base::Authority;
use crate::model::{DECLARE_RIGHTS, LoginKind, LoginPlan, Plan};

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

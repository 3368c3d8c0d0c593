//! `login`: how people log in. Each kind has a file and a line of [`KINDS`].

mod forge;
mod header;
mod htpasswd;
mod ldap;
mod local;
mod oidc;

use std::sync::LazyLock;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::signature::{Native, Param, required};
use super::kinds::{KindOf, native, read};
use crate::base::Authority;
use crate::model::{LoginKind, LoginPlan};

static KINDS: &[KindOf<LoginKind>] =
    &[local::LOCAL, htpasswd::HTPASSWD, header::HEADER, oidc::OIDC, forge::GITHUB, forge::BITBUCKET, ldap::LDAP];

const NAME: &[Param] = &[required("name", "text", "Its name, which must be unique.")];

pub(super) static LOGIN: LazyLock<Native> = LazyLock::new(|| {
    let common = Native {
        name: "login",
        doc: "Declares a way of logging in. Prefer the functions of @stdlib//login.star; they call this one. Who may do \
              what after a login is said by `allow` and `rights`.",
        example: "login(\"users\", \"local\")\nallow(roles = [\"authenticated\"], actions = [\"read\", \"force\"])",
        positional: 2,
        params: NAME,
        kinds: &[],
    };
    native(common, "How people prove who they are.", &[], KINDS, &[])
});

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn login<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&LOGIN, args, eval)?;
        let name = call.subject("login");
        call.collector.declare(Kind::Login, &name, &call.site);
        let Some(kind) = read(&mut call, KINDS) else { return Ok(NoneType) };
        let place = call.place();
        let ways = &mut call.collector.plan.borrow_mut().logins.ways;
        if ways.iter().all(|way| way.name != name) {
            ways.push(LoginPlan { name, kind, place });
        }
        Ok(NoneType)
    }
}

/// An address that a secret or a password is sent to: encrypted, unless it is this machine.
pub(super) fn safe_url(call: &Call<'_, '_, '_, '_, '_>, name: &'static str, usual: &str) -> String {
    let url = call.string(name).unwrap_or_else(|| usual.to_owned());
    let lower = url.to_ascii_lowercase();
    let is_local = || Authority::of_url(&url).is_some_and(|authority| authority.host.is_loopback());
    let fits = lower.starts_with("https://") || (lower.starts_with("http://") && is_local());
    if call.value(name).is_some() && (!fits || Authority::of_url(&url).is_none()) {
        call.wrong(name, "must begin with https://", Some("for example \"https://sso.example.org/\"".to_owned()));
    }
    url
}

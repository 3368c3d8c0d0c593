//! `login`: how people log in. Each kind has a file and a line of [`KINDS`].

mod header;
mod htpasswd;
mod local;

use std::sync::LazyLock;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::signature::{Native, Param, required};
use super::kinds::{KindOf, native, read};
use crate::model::{LoginKind, LoginPlan};

static KINDS: &[KindOf<LoginKind>] = &[local::LOCAL, htpasswd::HTPASSWD, header::HEADER];

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

//! `access`, `role`, `allow`, `rights`: who may do what.

use std::collections::BTreeSet;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::{Kind, NamePattern, ReferenceKind};
use super::super::signature::{Native, optional, required};
use crate::model::{ANYONE, AUTHENTICATED, Action, OWNER, Only, RolePlan, RulePlan};

pub(super) static ACCESS: Native = Native {
    name: "access",
    doc: "Says that everybody who reaches the master may do everything. Without it, and without `allow` or `rights`, the \
          master only listens on this machine.",
    example: "access(\"open\")",
    positional: 1,
    kinds: &[],
    params: &[required("mode", "\"open\"", "There is only this one; `allow` and `rights` say anything else.")],
};

pub(super) static ROLE: Native = Native {
    name: "role",
    doc: "Gives a role to users, and to the members of groups. Every group is also a role by its own name. The role \
          `admin` may do everything, and is only given here or by `starwright user`.",
    example: "role(\"admin\", users = [\"ada\"], groups = [\"ci-admins\"])",
    positional: 1,
    kinds: &[],
    params: &[
        required("name", "text", "Its name."),
        optional("users", "list of text", "[]", "Names of users who have it."),
        optional("groups", "list of text", "[]", "Groups, as the login reports them, whose members have it."),
    ],
};

pub(super) static ALLOW: Native = Native {
    name: "allow",
    doc: "Allows actions. What no `allow` allows, and `rights` does not either, is denied. \
          Without `builders`, `workers` and `projects`, it is about everything.",
    example: "allow(roles = [\"anyone\"], actions = [\"read\"])\n\
              allow(roles = [\"developers\"], actions = [\"force\", \"rebuild\"], builders = [\"test-*\"])\n\
              allow(roles = [\"owner\"], actions = [\"stop\", \"cancel\"])",
    positional: 0,
    kinds: &[],
    params: &[
        optional(
            "roles",
            "list of text",
            "[]",
            "Roles and groups. Four are built in: `anyone`, `authenticated` (everybody who logged in), `owner` (who \
             requested the build or request in question) and `admin`.",
        ),
        required(
            "actions",
            "list of words",
            "`read`, `force`, `stop`, `cancel`, `rebuild`, `prioritise`, `enable` (schedulers), `pause` (workers; also \
             stop and kill), `poll`, `reload`, `change` (report changes), `try`, `resend` (reports), `audit` (read who \
             did what), `admin` (users and tokens).",
        ),
        optional("builders", "list of text", "None", "Builders: names, or patterns such as `test-*`."),
        optional("workers", "list of text", "None", "Workers: names, or patterns."),
        optional("projects", "list of text", "None", "Projects, with their builders and changes: names, or patterns."),
        optional("users", "list of text", "[]", "Names of users, beside those of the roles."),
    ],
};

pub(super) static RIGHTS: Native = Native {
    name: "rights",
    doc: "Sets a function that decides before the rules of `allow` do: it returns True or False, or None to leave it to \
          the rules. If it gives no answer, because it fails or takes too long, the action is denied.",
    example: "def only_release_may_deploy(user, action, object):\n    \
              if action == \"force\" and object.name == \"deploy\" and \"release\" not in user.groups:\n        \
              return False\n    \
              return None\n\n\
              rights(only_release_may_deploy)",
    positional: 1,
    kinds: &[],
    params: &[required(
        "function",
        "function of (user, action, object)",
        "See [`user`](#user) and [`object`](#object).",
    )],
};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn access<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let call = Call::open(&ACCESS, args, eval)?;
        call.collector.declare(Kind::Once, ACCESS.name, &call.site);
        let other = |_: &str| {
            let hint =
                "leave `access` out and say who may do what: allow(roles = [\"authenticated\"], actions = [\"read\"])";
            Some(hint.to_owned())
        };
        let open = call.word_or("mode", &[("open", true)], other).unwrap_or_default();
        call.collector.plan.borrow_mut().rights.open = open;
        Ok(NoneType)
    }

    fn role<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&ROLE, args, eval)?;
        // Not `subject`, whose argument is called `name` in all of them.
        let name = call.subject("role");
        if [ANYONE, AUTHENTICATED, OWNER].contains(&name.as_str()) {
            call.wrong("name", "is built in, and nobody can be given it", None);
        }
        call.collector.declare(Kind::Role, &name, &call.site);
        let role = RolePlan { users: texts(&call, "users"), groups: texts(&call, "groups") };
        if role == RolePlan::default() {
            let message = format!("{} is given to nobody", call.title);
            call.collector.note(call.site.clone(), message, Some("name `users` or `groups`".to_owned()));
        }
        call.collector.plan.borrow_mut().rights.roles.entry(name).or_insert(role);
        Ok(NoneType)
    }

    fn allow<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let call = Call::open(&ALLOW, args, eval)?;
        let words = Action::ALL.map(|action| (action.word(), action));
        let actions: BTreeSet<Action> = call.words("actions", &words).unwrap_or_default().into_iter().collect();
        let rule = RulePlan { roles: texts(&call, "roles"), users: texts(&call, "users"), actions, only: only(&call) };
        for role in &rule.roles {
            let site = call.site.at(call.arg("roles"));
            let (by, pattern) = (call.title.clone(), role.clone());
            call.collector.expect_match(NamePattern { by, of: "roles", pattern, site });
        }
        if rule.roles.is_empty() && rule.users.is_empty() {
            let hint = "name `roles` or `users`; roles = [\"anyone\"] is everybody".to_owned();
            call.collector.note(call.site.clone(), "`allow` allows nobody anything", Some(hint));
        }
        call.collector.plan.borrow_mut().rights.rules.push(rule);
        Ok(NoneType)
    }

    fn rights<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&RIGHTS, args, eval)?;
        call.collector.declare(Kind::Once, RIGHTS.name, &call.site);
        let function = call.function("function", &["user", "action", "object"]);
        call.collector.plan.borrow_mut().rights.function = function;
        Ok(NoneType)
    }
}

/// A list of texts that may be named once or twice.
fn texts(call: &Call<'_, '_, '_, '_, '_>, name: &'static str) -> BTreeSet<String> {
    call.strings(name).unwrap_or_default().into_iter().collect()
}

/// What a rule is limited to.
fn only(call: &Call<'_, '_, '_, '_, '_>) -> Option<Only> {
    let kinds =
        [("builders", Some(ReferenceKind::Builder)), ("workers", Some(ReferenceKind::Worker)), ("projects", None)];
    if kinds.iter().all(|(name, _)| call.value(name).is_none()) {
        return None;
    }
    let [builders, workers, projects] = kinds.map(|(name, wanted)| patterns(call, name, wanted));
    Some(Only { builders, workers, projects })
}

/// Names and patterns. A plain name must be that of something that there is.
fn patterns(call: &Call<'_, '_, '_, '_, '_>, name: &'static str, wanted: Option<ReferenceKind>) -> Vec<String> {
    let patterns = call.globs(name);
    for (index, pattern) in patterns.iter().enumerate() {
        let site = call.site.at(call.arg(name).item(index));
        match wanted {
            Some(wanted) if !is_pattern(pattern) => call.collector.refer(&call.title, wanted, pattern, site),
            _ => call.collector.expect_match(NamePattern {
                by: call.title.clone(),
                of: name,
                pattern: pattern.clone(),
                site,
            }),
        }
    }
    patterns
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '{', '\\'])
}

//! `notifier`: who is told about builds. Each kind has a file and a line of [`KINDS`].

mod http;
mod mail;
#[cfg(test)]
mod paper;

use std::sync::LazyLock;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::{Kind, ReferenceKind};
use super::super::convert::{items_of, kind_of};
use super::super::signature::{Native, Param, optional, required};
use super::kinds::{KindOf, native, read};
use crate::model::{NotifierKind, NotifierPlan, NotifyOn};

static KINDS: &[KindOf<NotifierKind>] = &[
    mail::MAIL,
    http::HTTP,
    #[cfg(test)]
    paper::PAPER,
];

const NAME: &[Param] = &[required("name", "text", "Its name, which must be unique.")];

pub(super) static NOTIFIER: LazyLock<Native> = LazyLock::new(|| {
    let common = Native {
        name: "notifier",
        doc: "Declares a notifier, which tells people about builds. Prefer `mail` in @stdlib//notify.star; it calls \
             this one.",
        example: "notifier(\"team\", \"mail\", on = [\"failure\", \"recovery\"], to = [\"dev@example.org\"])",
        positional: 2,
        params: NAME,
        kinds: &[],
    };
    let first = [
        required(
            "on",
            "list of text",
            "When: a build ended with \"success\", \"failure\", \"warnings\", \"exception\" or \"cancelled\"; is a \"problem\" (newly broken), a \"recovery\" (back to green) or a \"change\"; \"always\" for every build that ended. Before that: \"pending\" (a build was requested, or its request ended without one), \"start\" (a build started). After that: \"set\" (all builds of a buildset ended).",
        ),
        optional("builders", "list of text", "all", "Only builds of these builders."),
        optional("tags", "list of text", "all", "Only builders with one of these tags."),
        optional("branches", "list of text or None", "all", "Only builds of these branches."),
        optional(
            "latest_only",
            "bool",
            "False",
            "If several reports about the same builder and revision wait, delivers only the newest. Reports about one \
             builder and revision always arrive in order.",
        ),
    ];
    native(common, "How it reaches people.", &first, KINDS, &[])
});

/// When a notifier speaks.
const ON: [(&str, NotifyOn); 12] = [
    ("success", NotifyOn::Success),
    ("failure", NotifyOn::Failure),
    ("warnings", NotifyOn::Warnings),
    ("exception", NotifyOn::Exception),
    ("cancelled", NotifyOn::Cancelled),
    ("problem", NotifyOn::Problem),
    ("recovery", NotifyOn::Recovery),
    ("change", NotifyOn::Change),
    ("always", NotifyOn::Always),
    ("pending", NotifyOn::Pending),
    ("start", NotifyOn::Start),
    ("set", NotifyOn::Set),
];

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn notifier<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&NOTIFIER, args, eval)?;
        let name = call.subject("notifier");
        call.collector.declare(Kind::Notifier, &name, &call.site);
        let mut on = call.words("on", &ON).unwrap_or_default();
        on.sort_unstable();
        on.dedup();
        if call.value("on").and_then(items_of).is_some_and(<[_]>::is_empty) {
            call.wrong(
                "on",
                "is empty",
                Some("it would never send anything; write for example [\"failure\"]".to_owned()),
            );
        }
        // Of another kind nothing more is known that could be wrong.
        let Some(kind) = read(&mut call, KINDS) else { return Ok(NoneType) };
        let plan = NotifierPlan {
            name: name.clone(),
            on,
            builders: call.value("builders").map(|_| call.references("builders", ReferenceKind::Builder)),
            tags: call.value("tags").map(|_| call.references("tags", ReferenceKind::BuilderTag)).unwrap_or_default(),
            branches: branches(&call),
            latest_only: call.boolean("latest_only", false),
            kind,
            place: call.place(),
        };
        call.collector.plan.borrow_mut().notifiers.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

fn branches(call: &Call<'_, '_, '_, '_, '_>) -> Option<Vec<Option<String>>> {
    let mut branches = Vec::new();
    for (index, item) in call.list("branches")?.into_iter().enumerate() {
        match item.unpack_str() {
            Some(branch) => branches.push(Some(branch.to_owned())),
            None if item.is_none() => branches.push(None),
            None => {
                let message = format!("{}: a branch must be a text or None, not {}", call.title, kind_of(item));
                call.problem(call.arg("branches").item(index), message, None);
            }
        }
    }
    Some(branches)
}

//! `change_source`: what looks for changes. Each kind has a file and a line of [`KINDS`].

mod gerrit;
mod git;
#[cfg(test)]
mod list;
mod pull_requests;
mod trees;

use std::sync::LazyLock;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::signature::{Native, Param, optional, required};
use super::kinds::{KindOf, native, read};
use crate::base::Span;
use crate::model::{ChangeSourceKind, ChangeSourcePlan};

static KINDS: &[KindOf<ChangeSourceKind>] = &[
    git::GIT,
    pull_requests::PULL_REQUESTS,
    gerrit::GERRIT,
    trees::HG,
    trees::SVN,
    trees::BZR,
    #[cfg(test)]
    list::LIST,
];

const NAME: &[Param] = &[required("name", "text", "Its name.")];

pub(super) static CHANGE_SOURCE: LazyLock<Native> = LazyLock::new(|| {
    let common = Native {
        name: "change_source",
        doc: "Declares a change source, which looks for changes. Prefer `git_poller`, `pull_request_poller` \
             and `gerrit_poller` in @stdlib//source.star, `hg_poller` in @stdlib//hg.star, `svn_poller` in \
             @stdlib//svn.star, and `bzr_poller` in @stdlib//bzr.star; they call this one.",
        example: "change_source(\"app\", \"git\", repository = \"https://example.org/app.git\", branches = [\"main\"])",
        positional: 2,
        params: NAME,
        kinds: &[],
    };
    let last = [
        optional("every", "length of time", "\"5m\"", "How often."),
        optional("timeout", "length of time", "\"5m\"", "How long one poll may take."),
        optional(
            "changes_max",
            "whole number",
            "100",
            "Maximum number of new commits to report per branch and poll; if there are more, only the newest are \
             reported.",
        ),
        optional("project", "text", "\"\"", "The project of its changes."),
        optional("codebase", "text", "\"\"", "The codebase of its changes."),
        optional("category", "text", "None", "The category of its changes, for use in filters."),
    ];
    native(common, "The kind of repository.", &[], KINDS, &last)
});

/// Polls more often than this would keep the repository's host busy with nothing.
const EVERY_MIN: Span = Span::from_seconds(1);

/// More changes of one poll would flood every page.
const CHANGES_MAX: i64 = 10_000;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn change_source<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&CHANGE_SOURCE, args, eval)?;
        let name = call.subject("change source");
        call.collector.declare(Kind::ChangeSource, &name, &call.site);
        let kind = read(&mut call, KINDS);
        let every = call.span("every").unwrap_or(Span::from_minutes(5));
        if every < EVERY_MIN {
            call.wrong("every", "must be at least 1s", None);
        }
        let changes_max = call.whole("changes_max", 1..=CHANGES_MAX).and_then(|n| u64::try_from(n).ok());
        let timeout = call.span_above_zero("timeout").unwrap_or(Span::from_minutes(5));
        let (project, codebase) = (call.string("project"), call.string("codebase"));
        let category = call.string("category");
        // Of another kind nothing more is known that could be wrong.
        let Some(kind) = kind else { return Ok(NoneType) };
        let plan = ChangeSourcePlan {
            name: name.clone(),
            project: project.unwrap_or_default(),
            codebase: codebase.unwrap_or_default(),
            category,
            every,
            timeout,
            changes_max: changes_max.unwrap_or(100),
            kind,
            place: call.place(),
        };
        call.collector.plan.borrow_mut().change_sources.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

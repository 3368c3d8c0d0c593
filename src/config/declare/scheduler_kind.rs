//! The kinds of schedulers: which arguments each takes, and what they mean.

use starlark::values::ValueLike as _;

use super::super::args::{Call, is_callable};
use super::super::collect::ReferenceKind;
use super::super::convert::kind_of;
use super::super::values::filter::{FilterValue, ParamValue};
use crate::base::Span;
use crate::model::{ChangeFilter, ForceParam, ImportantFiles, SchedulerKind};

/// The word of a kind, and the arguments that only some kinds take.
const KINDS: [(&str, &[&str]); 7] = [
    ("branch", &["filter", "quiet", "important", "unimportant", "only_important"]),
    ("any_branch", &["filter", "quiet", "important", "unimportant", "only_important"]),
    ("periodic", &["filter", "important", "unimportant", "every", "only_if_changed"]),
    ("nightly", &["filter", "important", "unimportant", "cron", "zone", "only_if_changed"]),
    ("dependent", &["upstream"]),
    ("triggerable", &[]),
    ("force", &["label", "button", "params"]),
];

/// Arguments that every kind takes.
pub(super) const COMMON: [&str; 7] = ["name", "kind", "builders", "properties", "codebases", "priority", "reason"];

/// How long to wait for further changes.
const QUIET: Span = Span::from_minutes(1);

/// The arguments that only some kinds take, of those that this one takes; none if there is no such kind.
pub(super) fn own_arguments(word: &str) -> Option<&'static [&'static str]> {
    KINDS.iter().find(|(kind, _)| *kind == word).map(|(_, own)| *own)
}

/// What makes the scheduler start builds.
pub(super) fn kind(call: &mut Call<'_, '_, '_, '_, '_>, name: &str) -> SchedulerKind {
    let words: Vec<(&str, usize)> = KINDS.iter().enumerate().map(|(index, (word, _))| (*word, index)).collect();
    let kind = call.word("kind", &words).map(|index| KINDS[index].0);
    match kind {
        Some("branch") => SchedulerKind::Branch {
            filter: filter(call),
            quiet: call.span("quiet").unwrap_or(QUIET),
            important: important(call),
            only_important: call.boolean("only_important", false),
        },
        Some("any_branch") => SchedulerKind::AnyBranch {
            filter: filter(call),
            quiet: call.span("quiet").unwrap_or(QUIET),
            important: important(call),
            only_important: call.boolean("only_important", false),
        },
        Some("periodic") => periodic(call),
        Some("nightly") => nightly(call),
        Some("dependent") => SchedulerKind::Dependent { upstream: upstream(call) },
        Some("force") => SchedulerKind::Force {
            label: call.string("label").unwrap_or_else(|| name.to_owned()),
            button: call.string("button").unwrap_or_else(|| name.to_owned()),
            params: params(call),
        },
        _ => SchedulerKind::Triggerable,
    }
}

fn periodic(call: &mut Call<'_, '_, '_, '_, '_>) -> SchedulerKind {
    if call.value("every").is_none() {
        call.wrong("every", "is missing", Some("for example `every = \"12h\"`".to_owned()));
    }
    SchedulerKind::Periodic {
        every: call.span_above_zero("every").unwrap_or(Span::from_minutes(60)),
        filter: filter(call),
        important: important(call),
        only_if_changed: call.boolean("only_if_changed", false),
    }
}

fn nightly(call: &mut Call<'_, '_, '_, '_, '_>) -> SchedulerKind {
    let zone = call.string("zone").unwrap_or_else(|| "UTC".to_owned());
    if jiff::tz::TimeZone::get(&zone).is_err() {
        let names: Vec<String> = jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
        let meant = crate::base::nearest(&zone, names.iter().map(String::as_str));
        let hint = meant.map_or_else(
            || "use a name such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
            |name| format!("did you mean \"{name}\"?"),
        );
        call.wrong("zone", &format!("is not a time zone: `{zone}`"), Some(hint));
    }
    SchedulerKind::Nightly {
        cron: cron(call),
        zone,
        filter: filter(call),
        important: important(call),
        only_if_changed: call.boolean("only_if_changed", false),
    }
}

fn cron(call: &Call<'_, '_, '_, '_, '_>) -> String {
    let hint =
        || Some("five fields: minute, hour, day of month, month, weekday; for example \"30 2 * * *\"".to_owned());
    let Some(cron) = call.string("cron") else {
        if call.value("cron").is_none() {
            call.wrong("cron", "is missing", hint());
        }
        return "0 0 * * *".to_owned();
    };
    if let Err(error) = cron.parse::<croner::Cron>() {
        call.wrong("cron", &format!("is not a valid cron expression: `{cron}`: {error}"), hint());
    }
    cron
}

fn upstream(call: &Call<'_, '_, '_, '_, '_>) -> String {
    let Some(upstream) = call.string("upstream") else {
        if call.value("upstream").is_none() {
            call.wrong("upstream", "is missing", Some("name a scheduler".to_owned()));
        }
        return String::new();
    };
    call.collector.refer(&call.title, ReferenceKind::Scheduler, &upstream, call.site.at(call.arg("upstream")));
    upstream
}

fn filter(call: &Call<'_, '_, '_, '_, '_>) -> ChangeFilter {
    let Some(value) = call.value("filter") else { return ChangeFilter::default() };
    let Some(filter) = value.downcast_ref::<FilterValue>() else {
        let hint = "write `filter = change_filter(branch = \"main\")`".to_owned();
        call.wrong("filter", &format!("must be a change_filter(...), not {}", kind_of(value)), Some(hint));
        return ChangeFilter::default();
    };
    filter.0.clone()
}

fn important(call: &mut Call<'_, '_, '_, '_, '_>) -> Option<ImportantFiles> {
    if call.value("important").is_some_and(is_callable) {
        if call.value("unimportant").is_some() {
            call.wrong("unimportant", "goes with patterns only, not with a function", None);
        }
        return call.function("important", &["change"]).map(ImportantFiles::Function);
    }
    let given = call.value("important").is_some() || call.value("unimportant").is_some();
    let (include, exclude) = (call.globs("important"), call.globs("unimportant"));
    given.then_some(ImportantFiles::Globs { include, exclude })
}

fn params(call: &Call<'_, '_, '_, '_, '_>) -> Vec<ForceParam> {
    let mut params: Vec<ForceParam> = Vec::new();
    for (index, item) in call.list("params").unwrap_or_default().into_iter().enumerate() {
        let at = call.arg("params").item(index);
        let Some(param) = item.downcast_ref::<ParamValue>() else {
            let hint = "make it with param(...)".to_owned();
            call.problem(at, format!("{}: a parameter must not be {}", call.title, kind_of(item)), Some(hint));
            continue;
        };
        if params.iter().any(|other| other.name == param.0.name) {
            call.problem(at, format!("{}: two parameters are named `{}`", call.title, param.0.name), None);
            continue;
        }
        params.push(param.0.clone());
    }
    params
}

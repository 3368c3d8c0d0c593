//! What a user's template function is called with: one map of everything a mail can tell.
//!
//! The keys are listed in `docs/guides/notify.md`; keep the two together.

use std::collections::BTreeMap;

use super::story::{Story, authors, build_page, culprits, duration};
use super::{BuildFacts, Excerpt, ReportFacts, SetBuild, SetFacts};
use crate::base::Span;
use crate::model::{BuildsetRecord, Change, Outcome, Properties, StepRecord, Value};

/// The facts of a message as a map; `text` and `html` are our own parts, for templates that only add to them. Every message
/// has every key; what it has no value for is None or empty.
pub(super) fn template_facts(story: &Story, facts: &ReportFacts, text: &str, html: &str) -> Value {
    let head = facts.head();
    let mut all = map([
        ("id", head.id().into()),
        ("event", head.report.subject.word().into()),
        ("title", head.title.into()),
        ("home", head.url.into()),
        ("url", story.page.as_str().into()),
        ("notifier", head.report.notifier.as_str().into()),
        ("reason", head.report.reason.word().into()),
        ("builder", head.builder.map_or("", |builder| builder.name.as_str()).into()),
        ("builder_tags", head.builder.map_or_else(|| texts(&[]), |builder| texts(&builder.tags))),
        ("number", Value::Null),
        ("request", Value::Null),
        ("worker", "".into()),
        ("outcome", optional(head.outcome().map(Outcome::word))),
        ("previous", Value::Null),
        ("state", "".into()),
        ("why", head.buildset.map_or("", |buildset| buildset.reason.as_str()).into()),
        ("scheduler", head.scheduler.into()),
        ("owner", optional(head.owner)),
        ("started", Value::Null),
        ("completed", Value::Null),
        ("duration", Value::Null),
        ("stamps", stamps(head.buildset)),
        ("properties", head.buildset.map_or_else(|| map([]), |buildset| properties(&buildset.properties))),
        ("authors", texts(&authors(head.changes))),
        ("changes", head.changes.iter().map(change).collect::<Vec<_>>().into_list()),
        ("steps", Value::List(Vec::new())),
        ("culprits", Value::List(Vec::new())),
        ("excerpts", story.excerpts.iter().map(excerpt).collect::<Vec<_>>().into_list()),
        ("builds", Value::List(Vec::new())),
        ("subject", story.subject.as_str().into()),
        ("headline", story.headline.as_str().into()),
        ("detail", optional(story.detail.as_deref())),
        ("text", text.into()),
        ("html", html.into()),
    ]);
    let own = match facts {
        ReportFacts::Build(facts) => of_build(facts),
        ReportFacts::Request(facts) => map([("request", number(facts.request.id.0))]),
        ReportFacts::Set(facts) => of_set(facts),
    };
    if let (Value::Map(all), Value::Map(own)) = (&mut all, own) {
        all.extend(own);
    }
    all
}

fn of_build(facts: &BuildFacts) -> Value {
    let culprits: Vec<&str> = culprits(facts).iter().map(|step| step.name.as_str()).collect();
    let completed = facts.build.completed;
    map([
        ("number", number(facts.build.number)),
        ("request", number(facts.build.request.0)),
        ("worker", facts.worker.as_str().into()),
        ("previous", optional(facts.previous().map(Outcome::word))),
        ("state", facts.build.state.as_str().into()),
        ("started", facts.build.started.as_seconds().into()),
        ("completed", completed.map_or(Value::Null, |moment| moment.as_seconds().into())),
        ("duration", duration(facts).map_or(Value::Null, |span| span.to_string().into())),
        ("properties", properties(&facts.build.properties)),
        ("steps", facts.steps.iter().map(step).collect::<Vec<_>>().into_list()),
        ("culprits", culprits.into_iter().map(Value::from).collect::<Vec<_>>().into_list()),
    ])
}

fn of_set(facts: &SetFacts) -> Value {
    let one = |build: &SetBuild| {
        let page = build.build.map(|(_, number)| build_page(&facts.url, build.builder.id, number));
        map([
            ("builder", build.builder.name.as_str().into()),
            ("number", build.build.map_or(Value::Null, |(_, n)| number(n))),
            ("outcome", optional(build.outcome.map(Outcome::word))),
            ("url", optional(page.as_deref())),
        ])
    };
    map([("builds", facts.builds.iter().map(one).collect::<Vec<_>>().into_list())])
}

fn stamps(buildset: Option<&BuildsetRecord>) -> Value {
    let stamps = buildset.map_or(&[][..], |buildset| &buildset.stamps);
    let one = |stamp: &crate::model::SourceStamp| {
        map([
            ("codebase", stamp.spec.codebase.as_str().into()),
            ("repository", stamp.spec.repository.as_str().into()),
            ("project", stamp.spec.project.as_str().into()),
            ("branch", optional(stamp.spec.branch.as_deref())),
            ("revision", optional(stamp.spec.revision.as_deref())),
        ])
    };
    stamps.iter().map(one).collect::<Vec<_>>().into_list()
}

fn properties(properties: &Properties) -> Value {
    let values = properties.0.iter().map(|(name, property)| (name.clone(), property.value.clone()));
    Value::Map(values.collect())
}

fn change(change: &Change) -> Value {
    let data = &change.data;
    map([
        ("id", number(change.id.0)),
        ("author", data.author.as_str().into()),
        ("comments", data.comments.as_str().into()),
        ("revision", optional(data.revision.as_deref())),
        ("branch", optional(data.branch.as_deref())),
        ("repository", data.repository.as_str().into()),
        ("project", data.project.as_str().into()),
        ("codebase", data.codebase.as_str().into()),
        ("category", optional(data.category.as_deref())),
        ("revlink", optional(data.revlink.as_deref())),
        ("files", texts(&data.files)),
        ("when", data.when.unwrap_or(change.arrived).as_seconds().into()),
    ])
}

fn step(step: &StepRecord) -> Value {
    let took: Option<Span> = step.started.and_then(|started| Some(step.completed?.since(started)));
    map([
        ("number", number(step.number)),
        ("name", step.name.as_str().into()),
        ("outcome", optional(step.outcome.map(Outcome::word))),
        ("state", step.state.as_str().into()),
        ("duration", took.map_or(Value::Null, |span| span.to_string().into())),
        ("hidden", step.hidden.into()),
    ])
}

fn excerpt(excerpt: &Excerpt) -> Value {
    map([
        ("step", excerpt.step.as_str().into()),
        ("log", excerpt.log.as_str().into()),
        ("lines", texts(&excerpt.lines)),
        ("before", number(excerpt.before)),
    ])
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<BTreeMap<_, _>>())
}

fn texts(texts: &[String]) -> Value {
    texts.iter().map(|text| text.as_str().into()).collect::<Vec<Value>>().into_list()
}

fn optional(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::from)
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

trait IntoList {
    fn into_list(self) -> Value;
}

impl IntoList for Vec<Value> {
    fn into_list(self) -> Value {
        Value::List(self)
    }
}

//! What a user's template function is called with: one map of everything a mail can tell.
//!
//! The keys are listed in `docs/guides/mail.md`; keep the two together.

use std::collections::BTreeMap;

use super::story::{Story, authors, culprits, duration};
use super::{BuildFacts, Excerpt};
use crate::base::Span;
use crate::model::{Change, Outcome, StepRecord, Value};

/// The facts of a message as a map; `text` and `html` are our own parts, for templates that only add to them.
pub(super) fn template_facts(story: &Story, facts: &BuildFacts, text: &str, html: &str) -> Value {
    let word = |outcome: Outcome| outcome.word();
    let culprits: Vec<&str> = culprits(facts).iter().map(|step| step.name.as_str()).collect();
    let authors = authors(&facts.changes);
    let completed = facts.build.completed;
    map([
        ("title", facts.title.as_str().into()),
        ("home", facts.url.as_str().into()),
        ("url", story.page.as_str().into()),
        ("notifier", facts.report.notifier.as_str().into()),
        ("reason", facts.report.reason.word().into()),
        ("builder", facts.builder.name.as_str().into()),
        ("builder_tags", texts(&facts.builder.tags)),
        ("number", number(facts.build.number)),
        ("worker", facts.worker.as_str().into()),
        ("outcome", facts.outcome().word().into()),
        ("previous", optional(facts.previous().map(word))),
        ("state", facts.build.state.as_str().into()),
        ("why", facts.buildset.as_ref().map_or("", |buildset| buildset.reason.as_str()).into()),
        ("scheduler", facts.scheduler.as_str().into()),
        ("owner", optional(facts.owner())),
        ("started", facts.build.started.as_seconds().into()),
        ("completed", completed.map_or(Value::Null, |moment| moment.as_seconds().into())),
        ("duration", duration(facts).map_or(Value::Null, |span| span.to_string().into())),
        ("stamps", stamps(facts)),
        ("properties", properties(facts)),
        ("authors", texts(&authors)),
        ("changes", facts.changes.iter().map(change).collect::<Vec<_>>().into_list()),
        ("steps", facts.steps.iter().map(step).collect::<Vec<_>>().into_list()),
        ("culprits", culprits.into_iter().map(Value::from).collect::<Vec<_>>().into_list()),
        ("excerpts", story.excerpts.iter().map(excerpt).collect::<Vec<_>>().into_list()),
        ("subject", story.subject.as_str().into()),
        ("headline", story.headline.as_str().into()),
        ("text", text.into()),
        ("html", html.into()),
    ])
}

fn stamps(facts: &BuildFacts) -> Value {
    let stamps = facts.buildset.as_ref().map_or(&[][..], |buildset| &buildset.stamps);
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

fn properties(facts: &BuildFacts) -> Value {
    let values = facts.build.properties.0.iter().map(|(name, property)| (name.clone(), property.value.clone()));
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

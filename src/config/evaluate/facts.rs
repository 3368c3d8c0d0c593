//! Recorded facts as values that scripts read: changes, stamps, the worker, requests.

use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::structs::AllocStruct;
use starlark::values::{Heap, Value};

use super::super::convert::to_starlark;
use crate::model::{
    CandidateWorker, Change, Identity, Object, Properties, SourceStamp, StepSummary, WaitingRequest, WorkerFacts,
};

fn text_or_none<'v>(text: Option<&String>, heap: Heap<'v>) -> Value<'v> {
    text.map_or(Value::new_none(), |text| heap.alloc(text.as_str()))
}

/// A change.
pub(super) fn change<'v>(change: &Change, heap: Heap<'v>) -> Value<'v> {
    let data = &change.data;
    heap.alloc(AllocStruct([
        ("id", heap.alloc(change.id.0)),
        ("author", heap.alloc(data.author.as_str())),
        ("committer", text_or_none(data.committer.as_ref(), heap)),
        ("comments", heap.alloc(data.comments.as_str())),
        ("files", heap.alloc(AllocList(data.files.iter().map(String::as_str)))),
        ("branch", text_or_none(data.branch.as_ref(), heap)),
        ("revision", text_or_none(data.revision.as_ref(), heap)),
        ("revlink", text_or_none(data.revlink.as_ref(), heap)),
        ("category", text_or_none(data.category.as_ref(), heap)),
        ("repository", heap.alloc(data.repository.as_str())),
        ("project", heap.alloc(data.project.as_str())),
        ("codebase", heap.alloc(data.codebase.as_str())),
        ("properties", properties(&data.properties, heap)),
    ]))
}

/// Properties as a dict.
pub(super) fn properties<'v>(properties: &Properties, heap: Heap<'v>) -> Value<'v> {
    let entries = properties.0.iter().map(|(name, property)| (name.as_str(), to_starlark(&property.value, heap)));
    heap.alloc(AllocDict(entries))
}

/// What to check out of one codebase.
pub(super) fn stamp<'v>(stamp: &SourceStamp, heap: Heap<'v>) -> Value<'v> {
    let spec = &stamp.spec;
    heap.alloc(AllocStruct([
        ("codebase", heap.alloc(spec.codebase.as_str())),
        ("repository", heap.alloc(spec.repository.as_str())),
        ("project", heap.alloc(spec.project.as_str())),
        ("branch", text_or_none(spec.branch.as_ref(), heap)),
        ("revision", text_or_none(spec.revision.as_ref(), heap)),
    ]))
}

/// The worker.
pub(super) fn worker<'v>(facts: &WorkerFacts, heap: Heap<'v>) -> Value<'v> {
    let info = facts.info.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    heap.alloc(AllocStruct([
        ("name", heap.alloc(facts.name.as_str())),
        ("tags", heap.alloc(AllocList(facts.tags.iter().map(String::as_str)))),
        ("system", heap.alloc(facts.system.as_str())),
        ("cpus", heap.alloc(facts.cpus)),
        ("dir", heap.alloc(facts.builder_dir.as_str())),
        ("info", heap.alloc(AllocDict(info))),
    ]))
}

/// A step that ended.
pub(super) fn step<'v>(step: &StepSummary, heap: Heap<'v>) -> Value<'v> {
    heap.alloc(AllocStruct([
        ("name", heap.alloc(step.name.as_str())),
        ("outcome", heap.alloc(step.outcome.word())),
        ("summary", heap.alloc(step.summary.as_str())),
    ]))
}

/// A waiting request.
pub(super) fn request<'v>(request: &WaitingRequest, heap: Heap<'v>) -> Value<'v> {
    heap.alloc(AllocStruct([
        ("id", heap.alloc(request.id.0)),
        ("buildset", heap.alloc(request.buildset.0)),
        ("builder", heap.alloc(request.builder.as_str())),
        ("priority", heap.alloc(request.priority)),
        ("submitted", heap.alloc(request.submitted.as_seconds())),
        ("reason", heap.alloc(request.reason.as_str())),
        ("scheduler", heap.alloc(request.scheduler.as_str())),
        ("owner", text_or_none(request.owner.as_ref(), heap)),
        ("properties", properties(&request.properties, heap)),
        ("stamps", heap.alloc(AllocList(request.stamps.iter().map(|one| stamp(one, heap))))),
        ("changes", heap.alloc(AllocList(request.changes.iter().map(|one| change(one, heap))))),
        ("waited_for", Value::new_bool(request.waited_for)),
    ]))
}

/// A worker that could take a build.
pub(super) fn candidate<'v>(worker: &CandidateWorker, heap: Heap<'v>) -> Value<'v> {
    let info = worker.info.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    heap.alloc(AllocStruct([
        ("name", heap.alloc(worker.name.as_str())),
        ("tags", heap.alloc(AllocList(worker.tags.iter().map(String::as_str)))),
        ("properties", properties(&worker.properties, heap)),
        ("system", heap.alloc(worker.system.as_str())),
        ("slots", heap.alloc(worker.slots)),
        ("busy", heap.alloc(worker.busy)),
        ("info", heap.alloc(AllocDict(info))),
    ]))
}

/// Somebody whose rights are asked for.
pub(super) fn user<'v>(identity: &Identity, heap: Heap<'v>) -> Value<'v> {
    heap.alloc(AllocStruct([
        ("name", text_or_none(identity.user.as_ref(), heap)),
        ("full_name", text_or_none(identity.full_name.as_ref(), heap)),
        ("mail", text_or_none(identity.mail.as_ref(), heap)),
        ("groups", heap.alloc(AllocList(identity.groups.iter().map(String::as_str)))),
        ("login", heap.alloc(identity.login.word())),
        ("token", text_or_none(identity.grant.as_ref().map(|grant| &grant.token), heap)),
        ("kind", heap.alloc(identity.class.word())),
    ]))
}

/// What somebody wants to do something to.
pub(super) fn object<'v>(object: &Object, identity: &Identity, heap: Heap<'v>) -> Value<'v> {
    let owners: Vec<&str> = match object {
        Object::Builder { owners, .. } => owners.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    heap.alloc(AllocStruct([
        ("kind", heap.alloc(object.kind())),
        ("name", object.name().map_or(Value::new_none(), |name| heap.alloc(name))),
        ("owners", heap.alloc(AllocList(owners))),
        ("is_own", Value::new_bool(object.is_of(identity))),
    ]))
}

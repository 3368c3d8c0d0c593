//! `steps`.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may, plain};
use super::read_request::{ReadRequest, ReadResult};
use crate::model::{StepId, StepRecord, Url};

static URL: Kind =
    Kind { name: "url", plural: "urls", fields: &[plain("name", Type::Text), plain("url", Type::Text)], paged: false };

const COLUMNS: &[Column<StepRecord>] = &[
    is("stepid", Type::Int, |step, _| Cell::number(step.id.0)),
    is("number", Type::Int, |step, _| Cell::number(step.number)),
    is("name", Type::Ident, |step, _| Cell::from(step.name.as_str())),
    is("buildid", Type::Int, |step, _| Cell::number(step.build.0)),
    may("started_at", Type::Time, |step, _| Cell::time(step.started)),
    may("locks_acquired_at", Type::Time, |step, _| Cell::time(step.locks_acquired)),
    is("complete", Type::Bool, |step, _| step.completed.is_some().into()),
    may("complete_at", Type::Time, |step, _| Cell::time(step.completed)),
    may("results", Type::Int, |step, _| Cell::outcome(step.outcome)),
    is("state_string", Type::Text, |step, _| Cell::from(step.state.as_str())),
    is("urls", Type::Inners(&URL), |step, _| Cell::List(step.urls.iter().map(url).collect())),
    is("hidden", Type::Bool, |step, _| step.hidden.into()),
    // Ours alone: Buildbot's steps have no children.
    may("parent_stepid", Type::Int, |step, _| step.parent.map_or(Cell::Null, |parent| Cell::number(parent.0))),
];

pub static STEP: Kind =
    Kind { name: "step", plural: "steps", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

fn url(url: &Url) -> Cell<'_> {
    let name = ("name".into(), Cell::from(url.name.as_str()));
    Cell::Object(vec![name, ("url".into(), Cell::from(url.url.as_str()))])
}

impl Resource for StepRecord {
    const KIND: &'static Kind = &STEP;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn of_build(read: &mut ReadRequest<'_>) -> ReadResult {
    let steps = match read.parent_build()? {
        Some(build) => read.store.steps(build.id)?,
        None => Vec::new(),
    };
    read.list(steps)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let step = read.step()?;
    read.one(step)
}

impl ReadRequest<'_> {
    /// The step that the path names: by id, or by number or name in its build.
    pub fn step(&self) -> Result<Option<StepRecord>, ApiError> {
        if self.has("stepid") {
            return Ok(self.store.step(StepId(self.number("stepid")?))?);
        }
        let Some(build) = self.parent_build()? else { return Ok(None) };
        let mut steps = self.store.steps(build.id)?.into_iter();
        if self.has("step_number") {
            let number = self.number("step_number")?;
            Ok(steps.find(|step| step.number == number))
        } else {
            let name = self.text("step_name");
            Ok(steps.find(|step| step.name == name))
        }
    }
}

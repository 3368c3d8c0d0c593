//! `steps`.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use crate::model::{StepId, StepRecord};

static URL: Kind =
    Kind { name: "url", plural: "urls", fields: &[is("name", Type::Text), is("url", Type::Text)], paged: false };

pub static STEP: Kind = Kind {
    name: "step",
    plural: "steps",
    fields: &[
        is("stepid", Type::Int),
        is("number", Type::Int),
        is("name", Type::Ident),
        is("buildid", Type::Int),
        may("started_at", Type::Time),
        may("locks_acquired_at", Type::Time),
        is("complete", Type::Bool),
        may("complete_at", Type::Time),
        may("results", Type::Int),
        is("state_string", Type::Text),
        is("urls", Type::Inners(&URL)),
        is("hidden", Type::Bool),
    ],
    paged: false,
};

impl Resource for StepRecord {
    const KIND: &'static Kind = &STEP;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "stepid" => Cell::number(self.id.0),
            "number" => Cell::number(self.number),
            "name" => Cell::from(self.name.as_str()),
            "buildid" => Cell::number(self.build.0),
            "started_at" => Cell::time(self.started),
            "locks_acquired_at" => Cell::time(self.locks_acquired),
            "complete" => self.completed.is_some().into(),
            "complete_at" => Cell::time(self.completed),
            "results" => Cell::outcome(self.outcome),
            "state_string" => Cell::from(self.state.as_str()),
            "urls" => Cell::List(
                self.urls
                    .iter()
                    .map(|url| {
                        let name = ("name".into(), Cell::from(url.name.as_str()));
                        Cell::Object(vec![name, ("url".into(), Cell::from(url.url.as_str()))])
                    })
                    .collect(),
            ),
            "hidden" => self.hidden.into(),
            _ => Cell::Null,
        }
    }
}

pub fn of_build(ask: &mut Ask<'_>) -> Answered {
    let steps = match ask.parent_build()? {
        Some(build) => ask.store.steps(build.id)?,
        None => Vec::new(),
    };
    ask.list(steps)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let step = ask.step()?;
    ask.one(step)
}

impl Ask<'_> {
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

//! `builders`, including those that are no longer in the configuration, without a master.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::masters::THE_MASTER;
use crate::model::{BuilderId, BuilderRecord};

pub static BUILDER: Kind = Kind {
    name: "builder",
    plural: "builders",
    fields: &[
        is("builderid", Type::Int),
        is("name", Type::Text),
        is("masterids", Type::Ints),
        may("description", Type::Text),
        may("description_format", Type::Text),
        may("description_html", Type::Text),
        may("projectid", Type::Int),
        is("tags", Type::Texts),
    ],
    paged: false,
};

impl Resource for BuilderRecord {
    const KIND: &'static Kind = &BUILDER;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "builderid" => Cell::number(self.id.0),
            "name" => Cell::from(self.name.as_str()),
            "masterids" => Cell::List(if self.active { vec![Cell::number(THE_MASTER.0)] } else { Vec::new() }),
            "description" => Cell::text(self.description.as_deref()),
            "tags" => Cell::List(self.tags.iter().map(|tag| Cell::from(tag.as_str())).collect()),
            // Descriptions are plain text, and projects are not built yet.
            _ => Cell::Null,
        }
    }
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let builders = ask.store.builders()?;
    ask.list(builders)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let builder = ask.builder()?;
    ask.one(builder)
}

/// The builders that a master runs.
pub fn of_master(ask: &mut Ask<'_>) -> Answered {
    let mut builders = if ask.is_our_master()? { ask.store.builders()? } else { Vec::new() };
    builders.retain(|builder| builder.active);
    ask.list(builders)
}

pub fn one_of_master(ask: &mut Ask<'_>) -> Answered {
    let ours = ask.is_our_master()?;
    let builder = ask.builder()?.filter(|builder| ours && builder.active);
    ask.one(builder)
}

/// The builders that a worker may build.
pub fn of_worker(ask: &mut Ask<'_>) -> Answered {
    let worker = ask.worker()?;
    let mut builders = ask.store.builders()?;
    builders.retain(|b| b.active && worker.as_ref().is_some_and(|worker| b.workers.contains(&worker.name)));
    ask.list(builders)
}

impl Ask<'_> {
    /// The builder that the path names by id or name.
    pub fn builder(&self) -> Result<Option<BuilderRecord>, ApiError> {
        if self.has("builderid") {
            Ok(self.store.builder(BuilderId(self.number("builderid")?))?)
        } else {
            Ok(self.store.builder_named(self.text("buildername"))?)
        }
    }
}

//! `sourcestamps`.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::rows::{Index, scan};
use crate::model::{SourceStamp, SourceStampId};

static PATCH: Kind = Kind {
    name: "patch",
    plural: "patches",
    fields: &[
        is("patchid", Type::Int),
        is("body", Type::Binary),
        is("level", Type::Int),
        is("subdir", Type::Text),
        is("author", Type::Text),
        is("comment", Type::Text),
    ],
    paged: false,
};

pub static SOURCE_STAMP: Kind = Kind {
    name: "sourcestamp",
    plural: "sourcestamps",
    fields: &[
        is("ssid", Type::Int),
        may("revision", Type::Text),
        may("branch", Type::Text),
        is("repository", Type::Text),
        is("project", Type::Text),
        is("codebase", Type::Text),
        may("patch", Type::Inner(&PATCH)),
        is("created_at", Type::Time),
    ],
    paged: false,
};

impl Resource for SourceStamp {
    const KIND: &'static Kind = &SOURCE_STAMP;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "ssid" => Cell::number(self.id.0),
            "revision" => Cell::text(self.spec.revision.as_deref()),
            "branch" => Cell::text(self.spec.branch.as_deref()),
            "repository" => Cell::from(self.spec.repository.as_str()),
            "project" => Cell::from(self.spec.project.as_str()),
            "codebase" => Cell::from(self.spec.codebase.as_str()),
            "created_at" => self.created.into(),
            // Patches come with `try`.
            _ => Cell::Null,
        }
    }
}

/// A source stamp inside another resource.
pub fn embedded(stamp: &SourceStamp) -> Cell<'_> {
    let cells = SOURCE_STAMP.fields.iter().map(|field| (field.name.into(), stamp.cell(field.name, &View::Plain)));
    Cell::object(cells.collect())
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<SourceStamp>()?;
    let store = ask.store;
    let index = Index { key: "ssid", alike: &["created_at"], descending: false };
    let rows = scan(&query, &index, |stamp: &SourceStamp| stamp.id.0, move |part| store.stamps(part));
    ask.many(&query, rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let stamp = ask.store.stamp(SourceStampId(ask.number("ssid")?))?;
    ask.one(stamp)
}

pub fn of_buildset(ask: &mut Ask<'_>) -> Answered {
    let stamps = ask.buildset()?.map(|set| set.stamps).unwrap_or_default();
    ask.list(stamps)
}

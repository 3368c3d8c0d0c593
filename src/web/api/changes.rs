//! `changes`, newest first.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::rows::{Index, Rows, scan};
use super::sourcestamps::{SOURCE_STAMP, embedded};
use crate::model::{Change, ChangeId, SourceStampId};

pub static CHANGE: Kind = Kind {
    name: "change",
    plural: "changes",
    fields: &[
        is("changeid", Type::Int),
        is("parent_changeids", Type::Ints),
        is("author", Type::Text),
        may("committer", Type::Text),
        is("files", Type::Texts),
        is("comments", Type::Text),
        may("revision", Type::Text),
        is("when_timestamp", Type::Int),
        may("branch", Type::Text),
        may("category", Type::Text),
        may("revlink", Type::Text),
        is("properties", Type::Props),
        is("repository", Type::Text),
        is("project", Type::Text),
        is("codebase", Type::Text),
        is("sourcestamp", Type::Inner(&SOURCE_STAMP)),
    ],
    paged: true,
};

impl Resource for Change {
    const KIND: &'static Kind = &CHANGE;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        let data = &self.data;
        match field {
            "changeid" => Cell::number(self.id.0),
            "parent_changeids" => Cell::List(self.parent.iter().map(|parent| Cell::number(parent.0)).collect()),
            "author" => Cell::from(data.author.as_str()),
            "committer" => Cell::text(data.committer.as_deref()),
            "files" => Cell::List(data.files.iter().map(|file| Cell::from(file.as_str())).collect()),
            "comments" => Cell::from(data.comments.as_str()),
            "revision" => Cell::text(data.revision.as_deref()),
            "when_timestamp" => data.when.unwrap_or(self.arrived).into(),
            "branch" => Cell::text(data.branch.as_deref()),
            "category" => Cell::text(data.category.as_deref()),
            "revlink" => Cell::text(data.revlink.as_deref()),
            "properties" => Cell::properties(&data.properties),
            "repository" => Cell::from(data.repository.as_str()),
            "project" => Cell::from(data.project.as_str()),
            "codebase" => Cell::from(data.codebase.as_str()),
            "sourcestamp" => embedded(&self.stamp),
            _ => Cell::Null,
        }
    }
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<Change>()?;
    let store = ask.store;
    let rows = match query.bound_numbers("changeid") {
        Some(ids) => {
            let ids = ids.into_iter().rev().map(ChangeId);
            Rows::list(found(ids.map(|id| store.change(id)))?, &query)
        }
        None => {
            let index = Index { key: "changeid", alike: &[], descending: true };
            scan(&query, &index, |change: &Change| change.id.0, move |part| store.changes(part))
        }
    };
    ask.many(&query, rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let change = ask.change()?;
    ask.one(change)
}

/// The changes that are new in a build, newest first.
pub fn of_build(ask: &mut Ask<'_>) -> Answered {
    let build = ask.parent_build()?;
    let ids = build.map(|build| build.changes).unwrap_or_default();
    let changes = found(ids.into_iter().rev().map(|id| ask.store.change(id)))?;
    ask.list(changes)
}

/// The newest change with a source stamp.
pub fn of_stamp(ask: &mut Ask<'_>) -> Answered {
    let change = ask.store.change_of_stamp(SourceStampId(ask.number("ssid")?))?;
    ask.list(change.into_iter().collect())
}

impl Ask<'_> {
    /// The change that the path names.
    pub fn change(&self) -> Result<Option<Change>, ApiError> {
        Ok(self.store.change(ChangeId(self.number("changeid")?))?)
    }
}

fn found(
    changes: impl Iterator<Item = Result<Option<Change>, crate::store::StoreError>>,
) -> Result<Vec<Change>, ApiError> {
    let changes: Vec<Option<Change>> = changes.collect::<Result<_, _>>()?;
    Ok(changes.into_iter().flatten().collect())
}

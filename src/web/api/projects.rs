//! `projects`, `codebases`: what builders and changes belong to. Those that left the configuration stay, without `active`.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::read_request::{ReadRequest, ReadResult};
use crate::model::{CodebaseRecord, ProjectId, ProjectRecord};

const PROJECT_COLUMNS: &[Column<ProjectRecord>] = &[
    is("projectid", Type::Int, |project, _| Cell::number(project.id.0)),
    is("name", Type::Ident, |project, _| Cell::from(project.name.as_str())),
    is("slug", Type::Ident, |project, _| Cell::from(project.name.as_str())),
    may("active", Type::Bool, |project, _| project.active.into()),
    may("description", Type::Text, |project, _| Cell::text(project.about.description.as_deref())),
    // Descriptions are plain text.
    may("description_format", Type::Text, |_, _| Cell::Null),
    may("description_html", Type::Text, |_, _| Cell::Null),
];

pub static PROJECT: Kind = Kind {
    name: "project",
    plural: "projects",
    fields: &fields::<_, { PROJECT_COLUMNS.len() }>(PROJECT_COLUMNS),
    paged: false,
};

impl Resource for ProjectRecord {
    const KIND: &'static Kind = &PROJECT;
    const COLUMNS: &'static [Column<Self>] = PROJECT_COLUMNS;
}

const CODEBASE_COLUMNS: &[Column<CodebaseRecord>] = &[
    is("codebaseid", Type::Int, |codebase, _| Cell::number(codebase.id.0)),
    is("projectid", Type::Int, |codebase, _| Cell::number(codebase.project.unwrap_or_default().0)),
    is("name", Type::Text, |codebase, _| Cell::from(codebase.name.as_str())),
    is("slug", Type::Ident, |codebase, _| Cell::from(codebase.name.as_str())),
];

pub static CODEBASE: Kind = Kind {
    name: "codebase",
    plural: "codebases",
    fields: &fields::<_, { CODEBASE_COLUMNS.len() }>(CODEBASE_COLUMNS),
    paged: true,
};

impl Resource for CodebaseRecord {
    const KIND: &'static Kind = &CODEBASE;
    const COLUMNS: &'static [Column<Self>] = CODEBASE_COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let projects = read.store.projects()?;
    read.list(projects)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let project = read.project()?;
    read.one(project)
}

/// The builders of a project.
pub fn builders(read: &mut ReadRequest<'_>) -> ReadResult {
    let project = read.project()?.map(|project| project.id);
    let mut builders = read.store.builders()?;
    builders.retain(|builder| builder.project.is_some() && builder.project == project);
    read.list(builders)
}

pub fn codebases(read: &mut ReadRequest<'_>) -> ReadResult {
    let codebases = read.store.codebases()?;
    read.list(codebases)
}

pub fn codebase(read: &mut ReadRequest<'_>) -> ReadResult {
    let id = read.number("codebaseid")?;
    let codebase = read.store.codebases()?.into_iter().find(|codebase| codebase.id.0 == id);
    read.one(codebase)
}

pub fn codebases_of_project(read: &mut ReadRequest<'_>) -> ReadResult {
    let codebases = read.codebases_of_project()?;
    read.list(codebases)
}

pub fn codebase_of_project(read: &mut ReadRequest<'_>) -> ReadResult {
    let codebases = read.codebases_of_project()?;
    let codebase = codebases.into_iter().find(|codebase| codebase.name == read.text("codebasename"));
    read.one(codebase)
}

impl ReadRequest<'_> {
    /// The project that the path names by id or name.
    fn project(&self) -> Result<Option<ProjectRecord>, ApiError> {
        if self.has("projectid") {
            Ok(self.store.project(ProjectId(self.number("projectid")?))?)
        } else {
            Ok(self.store.project_named(self.text("projectname"))?)
        }
    }

    fn codebases_of_project(&self) -> Result<Vec<CodebaseRecord>, ApiError> {
        let project = self.project()?.map(|project| project.id);
        let mut codebases = self.store.codebases()?;
        codebases.retain(|codebase| codebase.project.is_some() && codebase.project == project);
        Ok(codebases)
    }
}

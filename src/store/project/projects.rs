//! Projects and codebases. The store numbers their names, in the order in which facts tell of them.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{CodebaseId, CodebaseRecord, ProjectChanges, ProjectId, ProjectRecord};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::txn::{Records as _, Txn};

/// Names of the counters.
const PROJECTS_TOTAL: &str = "projects_total";
const CODEBASES_TOTAL: &str = "codebases_total";

/// Brings the records in line with a configuration.
pub(super) fn adopt(txn: &mut Txn<'_>, changes: &ProjectChanges) -> Result<(), StoreError> {
    let ProjectChanges { whole, projects, codebases, projects_removed, codebases_removed } = changes;
    if *whole {
        retire_all(txn, Table::Project, |record: &mut ProjectRecord| record.active = false)?;
        retire_all(txn, Table::Codebase, |record: &mut CodebaseRecord| record.active = false)?;
    }
    for name in projects_removed {
        retire(txn, (Table::Project, Table::ProjectNamed), name, |record: &mut ProjectRecord| record.active = false)?;
    }
    for name in codebases_removed {
        let tables = (Table::Codebase, Table::CodebaseNamed);
        retire(txn, tables, name, |record: &mut CodebaseRecord| record.active = false)?;
    }
    for (name, about) in projects {
        let id = number(txn, Table::ProjectNamed, PROJECTS_TOTAL, name)?;
        let record = ProjectRecord { id: ProjectId(id), name: name.clone(), active: true, about: about.clone() };
        txn.put(Table::Project.id(id), &record);
    }
    for (name, about) in codebases {
        let id = number(txn, Table::CodebaseNamed, CODEBASES_TOTAL, name)?;
        let project = about.project.as_ref().map(|name| numbered(txn, name)).transpose()?.flatten();
        let (id, name, about) = (CodebaseId(id), name.clone(), about.clone());
        let record = CodebaseRecord { id, name, active: true, project, about };
        txn.put(Table::Codebase.id(id.0), &record);
    }
    Ok(())
}

/// The project of a name; none if no configuration ever had it.
pub(super) fn numbered(txn: &Txn<'_>, name: &str) -> Result<Option<ProjectId>, StoreError> {
    Ok(txn.number(&Table::ProjectNamed.name(name))?.map(ProjectId))
}

/// The number of a name, a new one if it was never there.
fn number(txn: &mut Txn<'_>, named: Table, total: &str, name: &str) -> Result<u64, StoreError> {
    if let Some(id) = txn.number(&named.name(name))? {
        return Ok(id);
    }
    let id = txn.count(Table::Meta.name(total), |total| total + 1)?;
    txn.put_number(named.name(name), id);
    Ok(id)
}

fn retire<T: Serialize + DeserializeOwned>(
    txn: &mut Txn<'_>,
    (table, named): (Table, Table),
    name: &str,
    change: impl FnOnce(&mut T),
) -> Result<(), StoreError> {
    match txn.number(&named.name(name))? {
        Some(id) => txn.update(table.id(id), change),
        None => Ok(()),
    }
}

fn retire_all<T: Serialize + DeserializeOwned>(
    txn: &mut Txn<'_>,
    table: Table,
    change: impl Fn(&mut T),
) -> Result<(), StoreError> {
    let ids: BTreeSet<u64> = txn.ids(&table.all(), Direction::Ascending, usize::MAX)?.into_iter().collect();
    ids.into_iter().try_for_each(|id| txn.update(table.id(id), &change))
}

//! Reading test results, numbers and data of builds.

use serde_bytes::ByteBuf;

use crate::model::{BuildDatumRecord, BuildId, BuilderId, TestId, TestResult, TestRun, TestSetRecord, ValueRun};
use crate::store::backend::{Direction, KeyRange};
use crate::store::key::{Table, last_number};
use crate::store::project::{StoredDatum, StoredValue, columns, datum_text, find_mark, history_key, value_key};
use crate::store::txn::Records as _;
use crate::store::{Scan, Store, StoreError};

impl Store {
    /// Sets and numbers of all builds, by id.
    pub fn all_test_sets(&self, scan: Scan) -> Result<Vec<TestSetRecord>, StoreError> {
        super::list(&*self.backend()?, Table::TestSet, &scan)
    }

    /// Sets and numbers of a build, in the order in which they were recorded.
    pub fn test_sets(&self, build: BuildId) -> Result<Vec<TestSetRecord>, StoreError> {
        let backend = self.backend()?;
        let ids = backend.ids(&Table::TestSetOfBuild.under(build.0), Direction::Ascending, usize::MAX)?;
        super::by_ids(&*backend, Table::TestSet, ids)
    }

    /// One set or number.
    pub fn test_set(&self, id: u64) -> Result<Option<TestSetRecord>, StoreError> {
        self.backend()?.record(&Table::TestSet.id(id))
    }

    /// The results of a set, in order.
    pub fn test_results(&self, set: u64) -> Result<Vec<TestResult>, StoreError> {
        match self.backend()?.record::<ByteBuf>(&Table::TestResults.id(set))? {
            Some(stored) => Ok(columns(&stored)?.results().collect()),
            None => Ok(Vec::new()),
        }
    }

    /// What became of a test in the newest builds of a builder, the oldest first.
    pub fn test_history(&self, builder: BuilderId, test: TestId, limit: usize) -> Result<Vec<TestRun>, StoreError> {
        let range = KeyRange {
            from: history_key(builder, test.bucket, BuildId(0)),
            to: history_key(builder, test.bucket + 1, BuildId(0)),
        };
        let backend = self.backend()?;
        let mut runs = Vec::new();
        for (key, value) in backend.pairs(&range, Direction::Descending, limit)? {
            let stored: ByteBuf = crate::store::codec::decode(&value, "the history of tests")?;
            if let (Some(build), Some(outcome)) = (last_number(&key), find_mark(&stored, test.mark)) {
                runs.push(TestRun { build: BuildId(build), outcome });
            }
        }
        runs.reverse();
        Ok(runs)
    }

    /// A number in the newest builds of a builder, the oldest first.
    pub fn value_history(&self, builder: BuilderId, name: &str, limit: usize) -> Result<Vec<ValueRun>, StoreError> {
        let range =
            KeyRange { from: value_key(builder, name, BuildId(0)), to: value_key(builder, name, BuildId(u64::MAX)) };
        let mut runs = Vec::new();
        for (key, value) in self.backend()?.pairs(&range, Direction::Descending, limit)? {
            let stored: StoredValue = crate::store::codec::decode(&value, "the history of a value")?;
            let build = BuildId(last_number(&key).unwrap_or_default());
            runs.push(ValueRun { build, value: stored.value, unit: stored.unit });
        }
        runs.reverse();
        Ok(runs)
    }

    /// Data of a build, by name.
    pub fn build_data(&self, build: BuildId) -> Result<Vec<BuildDatumRecord>, StoreError> {
        let stored: Vec<StoredDatum> =
            self.backend()?.records(&Table::BuildDatum.under(build.0), Direction::Ascending, usize::MAX)?;
        stored.into_iter().map(|stored| datum(build, stored)).collect()
    }

    /// One datum of a build.
    pub fn build_datum(&self, build: BuildId, name: &str) -> Result<Option<BuildDatumRecord>, StoreError> {
        let stored: Option<StoredDatum> = self.backend()?.record(&Table::BuildDatum.named(build.0, name))?;
        stored.map(|stored| datum(build, stored)).transpose()
    }
}

fn datum(build: BuildId, stored: StoredDatum) -> Result<BuildDatumRecord, StoreError> {
    let text = datum_text(&stored.text)?;
    Ok(BuildDatumRecord { build, name: stored.name, source: stored.source, text })
}

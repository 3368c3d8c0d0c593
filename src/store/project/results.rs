//! Test results, numbers and data of builds, and the index of what became of each test.
//!
//! The index has a record for each build and each part (bucket) in which the build has a test: a mark of four bytes and an
//! outcome for each. So a build writes at most [`TEST_BUCKETS`] of them, and the history of a test is read from one small
//! record for each build.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::base::Timestamp;
use crate::model::{
    Ask, BuildDatum, BuildId, BuildRecord, BuilderId, Fact, Measurement, StepId, TEST_BUCKETS, TestColumns, TestId,
    TestOutcome, TestSet, TestSetRecord,
};
use crate::store::StoreError;
use crate::store::codec::{decode, encode};
use crate::store::compression::{compress, decompress};
use crate::store::key::{Key, Table};
use crate::store::txn::{Records as _, Txn};

/// A datum of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredDatum {
    pub name: String,
    pub source: String,
    /// Compressed.
    pub text: ByteBuf,
}

/// A number in one build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredValue {
    pub value: String,
    pub unit: String,
}

/// Where something was recorded.
struct Place {
    id: u64,
    at: Timestamp,
    builder: BuilderId,
    build: BuildId,
    step: StepId,
}

/// What a script records, if the ask is about that. A build that was removed leaves no trace.
pub(super) fn asked(txn: &mut Txn<'_>, fact: &Fact, build: BuildId, step: StepId, ask: &Ask) -> Result<(), StoreError> {
    let recorded = matches!(ask, Ask::RecordTests { .. } | Ask::RecordValue { .. } | Ask::SetData { .. });
    if !recorded {
        return Ok(());
    }
    let Some(record) = txn.record::<BuildRecord>(&Table::Build.id(build.0))? else { return Ok(()) };
    let place = Place { id: fact.seq, at: fact.at, builder: record.builder, build, step };
    match ask {
        Ask::RecordTests { step: _, set } => tests(txn, &place, set),
        Ask::RecordValue { step: _, measurement } => value(txn, &place, measurement),
        Ask::SetData { datum } => {
            set_data(txn, build, datum);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn tests(txn: &mut Txn<'_>, place: &Place, set: &TestSet) -> Result<(), StoreError> {
    let record = TestSetRecord {
        id: place.id,
        builder: place.builder,
        build: place.build,
        step: place.step,
        name: set.name.clone(),
        category: set.category.clone(),
        unit: UNIT_OF_TESTS.to_owned(),
        counts: set.counts,
        value: None,
        at: place.at,
    };
    put_set(txn, &record);
    let Some(columns) = &set.results.content else { return Ok(()) };
    txn.put(Table::TestResults.id(place.id), &ByteBuf::from(compress(&encode(columns))));
    for (bucket, runs) in marks(&set.name, columns) {
        let key = history_key(place.builder, bucket, place.build);
        let mut all = txn.record::<ByteBuf>(&key)?.unwrap_or_default();
        for (mark, outcome) in runs {
            all.extend_from_slice(&mark.to_be_bytes());
            all.push(code(outcome));
        }
        txn.put(key, &all);
    }
    Ok(())
}

/// What a set of test results is measured in.
const UNIT_OF_TESTS: &str = "boolean";

/// Tests of a set by bucket; of a test that ran twice, the worse outcome.
fn marks(set: &str, columns: &TestColumns) -> BTreeMap<u8, BTreeMap<u32, TestOutcome>> {
    let mut buckets: BTreeMap<u8, BTreeMap<u32, TestOutcome>> = BTreeMap::new();
    for result in columns.results() {
        let id = TestId::of(set, &result.path, &result.name);
        let known = buckets.entry(id.bucket).or_default().entry(id.mark).or_insert(result.outcome);
        if result.outcome.is_bad() {
            *known = result.outcome;
        }
    }
    buckets
}

fn value(txn: &mut Txn<'_>, place: &Place, measured: &Measurement) -> Result<(), StoreError> {
    let record = TestSetRecord {
        id: place.id,
        builder: place.builder,
        build: place.build,
        step: place.step,
        name: measured.name.clone(),
        category: measured.category.clone(),
        unit: measured.unit.clone(),
        counts: crate::model::TestCounts::default(),
        value: Some(measured.value.clone()),
        at: place.at,
    };
    put_set(txn, &record);
    let stored = StoredValue { value: measured.value.clone(), unit: measured.unit.clone() };
    txn.put(value_key(place.builder, &measured.name, place.build), &stored);
    Ok(())
}

fn put_set(txn: &mut Txn<'_>, record: &TestSetRecord) {
    txn.put(Table::TestSet.id(record.id), record);
    txn.mark(Table::TestSetOfBuild.pair(record.build.0, record.id));
}

fn set_data(txn: &mut Txn<'_>, build: BuildId, datum: &BuildDatum) {
    let Some(text) = &datum.text.content else { return };
    let text = ByteBuf::from(compress(text.as_bytes()));
    let stored = StoredDatum { name: datum.name.clone(), source: datum.source.clone(), text };
    txn.put(Table::BuildDatum.named(build.0, &datum.name), &stored);
}

/// Takes everything out that a build recorded.
pub(crate) fn remove_results(txn: &mut Txn<'_>, build: &BuildRecord) -> Result<(), StoreError> {
    use crate::store::backend::Direction;
    let sets = txn.ids(&Table::TestSetOfBuild.under(build.id.0), Direction::Ascending, usize::MAX)?;
    let mut has_tests = false;
    for id in sets {
        if let Some(set) = txn.record::<TestSetRecord>(&Table::TestSet.id(id))? {
            has_tests |= set.value.is_none();
            txn.remove(value_key(build.builder, &set.name, build.id));
        }
        txn.remove(Table::TestSet.id(id));
        txn.remove(Table::TestResults.id(id));
        txn.remove(Table::TestSetOfBuild.pair(build.id.0, id));
    }
    if has_tests {
        (0..TEST_BUCKETS).for_each(|bucket| txn.remove(history_key(build.builder, bucket, build.id)));
    }
    for (key, _) in txn.pairs(&Table::BuildDatum.under(build.id.0), Direction::Ascending, usize::MAX)? {
        txn.remove(key);
    }
    Ok(())
}

/// The key of a part of the index.
pub(crate) fn history_key(builder: BuilderId, bucket: u8, build: BuildId) -> Key {
    let mut key = Table::TestHistory.id(builder.0);
    key.push(bucket);
    key.extend_from_slice(&build.0.to_be_bytes());
    key
}

/// The key of a number.
pub(crate) fn value_key(builder: BuilderId, name: &str, build: BuildId) -> Key {
    let mut key = Table::ValueHistory.id(builder.0);
    // Names have different lengths, and a build's number follows: the digest keeps one from running into the other.
    let id = TestId::of(name, "", "");
    key.push(id.bucket);
    key.extend_from_slice(&id.mark.to_be_bytes());
    key.extend_from_slice(&build.0.to_be_bytes());
    key
}

/// The outcome of a test in a part of the index; none if it is not there.
pub(crate) fn find_mark(stored: &[u8], mark: u32) -> Option<TestOutcome> {
    let entries = stored.chunks_exact(MARK_BYTES);
    let found = entries.filter(|entry| entry[..4] == mark.to_be_bytes()).filter_map(|entry| outcome(entry[4]));
    found.reduce(|first, next| if next.is_bad() { next } else { first })
}

/// The results of a set from their stored form.
pub(crate) fn columns(stored: &[u8]) -> Result<TestColumns, StoreError> {
    let bytes = decompress(stored).ok_or_else(|| StoreError::corrupt("results of tests", "not compressed data"))?;
    decode(&bytes, "results of tests")
}

/// The text of a datum from its stored form.
pub(crate) fn datum_text(stored: &[u8]) -> Result<String, StoreError> {
    let bytes = decompress(stored).ok_or_else(|| StoreError::corrupt("data of a build", "not compressed data"))?;
    String::from_utf8(bytes).map_err(|error| StoreError::corrupt("data of a build", error))
}

const MARK_BYTES: usize = 5;

/// The stored form of an outcome. A number once given is never given to another.
const fn code(outcome: TestOutcome) -> u8 {
    match outcome {
        TestOutcome::Passed => 0,
        TestOutcome::Failed => 1,
        TestOutcome::Error => 2,
        TestOutcome::Skipped => 3,
        TestOutcome::ExpectedFailure => 4,
        TestOutcome::UnexpectedSuccess => 5,
    }
}

fn outcome(stored: u8) -> Option<TestOutcome> {
    TestOutcome::ALL.into_iter().find(|outcome| code(*outcome) == stored)
}

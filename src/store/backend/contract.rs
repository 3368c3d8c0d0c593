//! The same cases for every backend.

use proptest::prelude::*;

use std::sync::Arc;

use super::{Backend, Batch, Direction, KeyRange, MemoryBackend, Overlay, SledBackend};

fn on_each(case: impl Fn(&dyn Backend)) {
    case(&MemoryBackend::default());
    let dir = tempfile::tempdir().unwrap();
    case(&SledBackend::open(dir.path()).unwrap());
    case(&Overlay::new(Arc::new(MemoryBackend::default())));
}

fn batch(writes: &[(&[u8], Option<&[u8]>)]) -> Batch {
    Batch { writes: writes.iter().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect() }
}

fn range(from: &[u8], to: &[u8]) -> KeyRange {
    KeyRange { from: from.to_vec(), to: to.to_vec() }
}

#[test]
fn what_was_applied_is_read() {
    on_each(|backend| {
        backend.apply(batch(&[(b"a", Some(b"1")), (b"b", Some(b"2"))])).unwrap();
        backend.apply(batch(&[(b"a", None), (b"b", Some(b"3")), (b"c", Some(b""))])).unwrap();
        assert_eq!(backend.get(b"a").unwrap(), None);
        assert_eq!(backend.get(b"b").unwrap(), Some(b"3".to_vec()));
        assert_eq!(backend.get(b"c").unwrap(), Some(Vec::new()));
    });
}

#[test]
fn a_range_is_scanned_in_both_directions_up_to_its_limit() {
    on_each(|backend| {
        backend.apply(batch(&[(b"a", Some(b"")), (b"b", Some(b"")), (b"c", Some(b"")), (b"d", Some(b""))])).unwrap();
        let keys = |direction, limit| -> Vec<Vec<u8>> {
            backend.scan(&range(b"b", b"d"), direction, limit).unwrap().into_iter().map(|(key, _)| key).collect()
        };
        assert_eq!(keys(Direction::Ascending, 9), [b"b", b"c"]);
        assert_eq!(keys(Direction::Descending, 9), [b"c", b"b"]);
        assert_eq!(keys(Direction::Descending, 1), [b"c"]);
        assert!(keys(Direction::Ascending, 0).is_empty());
        assert!(backend.scan(&range(b"d", b"b"), Direction::Ascending, 9).unwrap().is_empty());
        assert!(backend.scan(&range(b"b", b"b"), Direction::Descending, 9).unwrap().is_empty());
    });
}

#[test]
fn a_sled_database_keeps_its_content_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    SledBackend::open(dir.path()).unwrap().apply(batch(&[(b"k", Some(b"v"))])).unwrap();
    assert_eq!(SledBackend::open(dir.path()).unwrap().get(b"k").unwrap(), Some(b"v".to_vec()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn backends_agree(batches in proptest::collection::vec(
        proptest::collection::btree_map(proptest::collection::vec(0u8..4, 0..4), proptest::option::of(0u8..9), 0..8), 0..12),
        from in proptest::collection::vec(0u8..4, 0..3), to in proptest::collection::vec(0u8..5, 0..3), limit in 0usize..9)
    {
        let dir = tempfile::tempdir().unwrap();
        let sled = SledBackend::open(dir.path()).unwrap();
        let memory = MemoryBackend::default();
        let overlay = Overlay::new(Arc::new(MemoryBackend::default()));
        for (number, writes) in batches.into_iter().enumerate() {
            let batch = Batch { writes: writes.into_iter().map(|(k, v)| (k, v.map(|byte| vec![byte]))).collect() };
            sled.apply(batch.clone()).unwrap();
            memory.apply(batch.clone()).unwrap();
            overlay.apply(batch).unwrap();
            if number.is_multiple_of(3) {
                overlay.fold().unwrap();
            }
        }
        let range = KeyRange { from, to };
        for direction in [Direction::Ascending, Direction::Descending] {
            let expected = memory.scan(&range, direction, limit).unwrap();
            prop_assert_eq!(&sled.scan(&range, direction, limit).unwrap(), &expected);
            prop_assert_eq!(&overlay.scan(&range, direction, limit).unwrap(), &expected);
        }
    }
}

//! Disks that are full or cannot be written.

use std::path::Path;
use std::process::{Command, Stdio};

use starwright::testing::model::*;
use starwright::testing::store::{LogLimits, Store, StoreError, StoreOptions};
use tempfile::TempDir;

use crate::store::runtime;
use crate::support::history::{History, everything, log_part, store_with_history};

/// A directory on a file system of its own with so many MiB, if this machine lets us make one.
pub fn small_disk(mib: u64) -> Option<SmallDisk> {
    let dir = TempDir::new().unwrap();
    let options = format!("size={mib}m");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", &options, "starwright-test"])
        .arg(dir.path())
        .stderr(Stdio::null())
        .status();
    mounted.is_ok_and(|status| status.success()).then_some(SmallDisk { dir })
}

pub struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Mounts it again: `ro`, `rw`.
    pub fn remount(&self, how: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(self.path()).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

#[test]
fn a_full_disk_is_told_and_passes() {
    // Needs the right to mount; the same refusal is shown without it by `too_little_room_is_told`.
    let Some(disk) = small_disk(48) else { return };
    let dir = disk.dir.path().join("store");
    let options = StoreOptions { logs: LogLimits::default(), free_bytes_min: 8 << 20 };
    let store = Store::open_with(&dir, &options).unwrap();
    let mut history = History::new(14);
    let runtime = runtime();
    store.commit_blocking(history.begin()).unwrap();
    let ballast = disk.dir.path().join("ballast");
    std::fs::write(&ballast, vec![1; 30 << 20]).unwrap();
    let mut lines = 0_u64;
    let mut refused_log = None;
    let mut refused_fact = None;
    for n in 0..400 {
        let noise: Vec<String> =
            (0..100).map(|_| (0..25).map(|_| format!("{:016x}", history.draw(u64::MAX))).collect()).collect();
        match runtime.block_on(store.logs().append(BuildId(1), LogId(1), "c", n, log_part(noise))) {
            Ok(()) => lines += 100,
            Err(error) => {
                refused_log = Some(error);
                break;
            }
        }
    }
    let before = store.last_fact().unwrap();
    let refused = history.step();
    refused_fact.get_or_insert(store.commit_blocking(refused.clone()).unwrap_err());
    for error in [refused_log.unwrap(), refused_fact.unwrap()] {
        assert!(error.is_full(), "{error}");
        assert!(error.to_string().contains("disk is full"), "{error}");
    }
    assert_eq!(store.last_fact().unwrap(), before);
    std::fs::remove_file(&ballast).unwrap();
    store.commit_blocking(refused).unwrap();
    let next = store.logs().next(BuildId(1), LogId(1), "c").unwrap();
    runtime.block_on(store.logs().append(BuildId(1), LogId(1), "c", next, log_part(["after".to_owned()]))).unwrap();
    let whole = everything(&store);
    store.close().unwrap();
    let store = Store::open_with(&dir, &options).unwrap();
    assert_eq!(everything(&store), whole);
    assert_eq!(store.logs().lines(BuildId(1), LogId(1)).unwrap(), lines + 1);
    store.close().unwrap();
}

#[test]
fn too_little_room_is_told() {
    let dir = TempDir::new().unwrap();
    let options = StoreOptions { logs: LogLimits::default(), free_bytes_min: u64::MAX };
    let store = Store::open_with(dir.path(), &options).unwrap();
    let error = store.commit_blocking(History::new(1).begin()).unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }));
    assert!(error.to_string().contains(&dir.path().display().to_string()), "{error}");
    let logs = store.logs();
    let append = logs.append(BuildId(1), LogId(1), "c", 0, log_part(["x".to_owned()]));
    assert!(runtime().block_on(append).unwrap_err().is_full());
    assert_eq!(store.last_fact().unwrap(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let dir = TempDir::new().unwrap();
    let blocked = dir.path().join("file");
    std::fs::write(&blocked, b"").unwrap();
    let error = Store::open(&blocked.join("store")).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }));
    assert!(error.to_string().contains("file/store"), "{error}");
}

#[test]
fn a_read_only_directory_is_refused_and_left_alone() {
    // Needs the right to mount.
    let Some(disk) = small_disk(96) else { return };
    let (original, whole) = store_with_history(31, 60);
    let dir = disk.dir.path().join("store");
    copy_tree(original.path(), &dir);
    disk.remount("ro");
    let error = Store::open(&dir).unwrap_err();
    let chain = format!("{error}: {}", std::error::Error::source(&error).unwrap());
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
    assert!(chain.contains(&dir.display().to_string()) && chain.contains("Read-only"), "{chain}");
    disk.remount("rw");
    let options = StoreOptions { logs: LogLimits::default(), free_bytes_min: 1 << 20 };
    let store = Store::open_with(&dir, &options).unwrap();
    assert_eq!(everything(&store), whole);
    store.close().unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

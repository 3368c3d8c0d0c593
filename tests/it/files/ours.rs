//! Transfers of our own worker go on where they were cut off.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;

use starwright::testing::engine::{ResumeState, StopLevel, Work};
use starwright::testing::master::link::LinkOrder;
use starwright::testing::model::{
    ArtifactSource, CommandEnd, CommandId, CommandResult, DownloadSpec, FileCommand, Outcome, UploadSpec,
};

use super::stage::{Hand, OurStage, file, upload};
use crate::support::link::{PATIENCE, order};

/// Enough that a transfer is in the middle for a while.
const LARGE: u64 = 96 << 20;

/// Makes a file without filling the disk.
fn make_large(stage: &OurStage) {
    fs::create_dir_all(stage.builder()).unwrap();
    let file = File::create(stage.builder().join("large")).unwrap();
    file.set_len(LARGE).unwrap();
    file.write_all_at(b"middle", LARGE / 2).unwrap();
}

fn upload_large() -> FileCommand {
    FileCommand::Upload(upload("large", "large"))
}

/// Waits until so much of an upload has arrived.
async fn arrived(stage: &OurStage, id: &str, bytes: u64) {
    let contents = stage.host.contents();
    let some = async {
        while contents.received(id).unwrap() < bytes {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, some).await.expect("blocks arrive");
}

fn check(result: &CommandResult) {
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert_eq!(result.artifacts()[0].size, LARGE);
}

#[tokio::test]
async fn an_upload_goes_on_after_its_connection_was_cut() {
    let mut stage = OurStage::new().await;
    make_large(&stage);
    let sent = order("u", Work::File(upload_large()));
    stage.send(sent.clone());
    arrived(&stage, "u", 4 << 20).await;
    stage.wire.cut();
    stage.host.lost().await;
    assert!(stage.host.contents().received("u").unwrap() < LARGE, "it is in the middle");
    stage.again(vec![sent]).await;
    let state = stage.host.resumed_again(2).await[0].state;
    assert_eq!(state, ResumeState::Known);
    check(&stage.host.ended("u").await);
    let again = file(&stage, "v", upload_large()).await;
    assert_eq!(again.artifacts(), stage.host.ended("u").await.artifacts(), "the same content");
}

#[tokio::test]
async fn an_upload_goes_on_after_its_worker_was_killed() {
    let mut stage = OurStage::new().await;
    make_large(&stage);
    let sent = order("u", Work::File(upload_large()));
    stage.send(sent.clone());
    arrived(&stage, "u", 4 << 20).await;
    stage.kill_and_start_worker();
    stage.host.lost().await;
    let before = stage.host.contents().received("u").unwrap();
    assert!((4 << 20..LARGE).contains(&before), "it is in the middle");
    stage.again(vec![sent.clone()]).await;
    assert_eq!(stage.host.resumed_again(2).await[0].state, ResumeState::NeverSeen);
    // As the engine does.
    stage.send(sent);
    check(&stage.host.ended("u").await);
}

#[tokio::test]
async fn a_download_goes_on_after_its_connection_was_cut_and_its_worker_was_killed() {
    let mut stage = OurStage::new().await;
    make_large(&stage);
    let kept = file(&stage, "u", upload_large()).await;
    check(&kept);
    let wanted = DownloadSpec {
        from: ArtifactSource::ThisBuild,
        name: "large".to_owned(),
        path: "copy/large".to_owned(),
        mode: None,
    };
    let sent = order("d", Work::File(FileCommand::Download(wanted)));
    stage.send(sent.clone());
    let grown = |stage: &OurStage, bytes: u64| {
        let dir = stage.builder().join("copy");
        let sizes =
            fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.metadata().map_or(0, |it| it.len()));
        sizes.sum::<u64>() >= bytes
    };
    for (round, bytes) in [(2, 4 << 20), (3, 24 << 20)] {
        let some = async {
            while !grown(&stage, bytes) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, some).await.expect("blocks arrive");
        assert!(!stage.builder().join("copy/large").exists(), "it is in the middle");
        if round == 2 {
            stage.wire.cut();
        } else {
            stage.kill_and_start_worker();
        }
        stage.again(vec![sent.clone()]).await;
        let state = stage.host.resumed_again(round).await[0].state;
        if state == ResumeState::NeverSeen {
            stage.send(sent.clone());
        }
    }
    let result = stage.host.ended("d").await;
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    assert_eq!(fs::read(stage.builder().join("copy/large")).unwrap(), fs::read(stage.builder().join("large")).unwrap());
    assert_eq!(fs::read_dir(stage.builder().join("copy")).unwrap().count(), 1, "nothing else is left");
}

#[tokio::test]
async fn what_changed_on_the_way_is_not_kept() {
    let mut stage = OurStage::new().await;
    make_large(&stage);
    let sent = order("u", Work::File(upload_large()));
    stage.send(sent.clone());
    arrived(&stage, "u", 4 << 20).await;
    stage.wire.cut();
    stage.host.lost().await;
    let file = File::options().write(true).open(stage.builder().join("large")).unwrap();
    file.write_all_at(b"changed", 5).unwrap();
    stage.again(vec![sent]).await;
    let result = stage.host.ended("u").await;
    assert_eq!((result.outcome, result.artifacts().len()), (Outcome::Failure, 0), "{result:?}");
    let why = result.stderr.unwrap();
    assert!(why.starts_with("`large` was not kept: what arrived is not what was sent (SHA-256 "), "{why}");
    assert_eq!(stage.host.contents().received("u").unwrap(), 0, "a further try begins anew");
}

#[tokio::test]
async fn a_transfer_that_is_stopped_leaves_nothing() {
    let stage = OurStage::new().await;
    make_large(&stage);
    check(&file(&stage, "u", upload_large()).await);
    let interrupt = |id: &str| LinkOrder::Interrupt {
        command: CommandId(id.to_owned()),
        level: StopLevel::Interrupt,
        why: "enough".to_owned(),
    };
    let wanted = DownloadSpec {
        from: ArtifactSource::ThisBuild,
        name: "large".to_owned(),
        path: "copy/large".to_owned(),
        mode: None,
    };
    let copy = stage.builder().join("copy");
    stage.send(order("d", Work::File(FileCommand::Download(wanted))));
    let some = async {
        while fs::read_dir(&copy).map_or(0, Iterator::count) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, some).await.expect("it begins");
    stage.served.handle.send(interrupt("d"));
    assert_eq!(stage.host.ended("d").await.end, CommandEnd::Interrupted("enough".to_owned()));
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 0);

    stage.send(order("v", Work::File(upload_large())));
    arrived(&stage, "v", 4 << 20).await;
    stage.served.handle.send(interrupt("v"));
    let result = stage.host.ended("v").await;
    assert_eq!((result.end, result.moved), (CommandEnd::Interrupted("enough".to_owned()), None));
    assert_eq!(stage.host.contents().received("v").unwrap(), 0);
}

#[tokio::test]
async fn a_directory_goes_on_after_its_connection_was_cut() {
    let mut stage = OurStage::new().await;
    let dir = stage.builder().join("site");
    fs::create_dir_all(dir.join("deep")).unwrap();
    for number in 0..48_u8 {
        let name = if number % 2 == 0 { format!("{number}") } else { format!("deep/{number}") };
        fs::write(dir.join(name), vec![number; 2 << 20]).unwrap();
    }
    let whole = UploadSpec { is_directory: true, mode: None, modified: None, ..upload("site", "docs") };
    let sent = order("u", Work::File(FileCommand::Upload(whole)));
    stage.send(sent.clone());
    arrived(&stage, "u", 4 << 20).await;
    stage.wire.cut();
    stage.host.lost().await;
    assert!(stage.host.contents().received("u").unwrap() < LARGE, "it is in the middle");
    stage.again(vec![sent]).await;
    let result = stage.host.ended("u").await;
    assert_eq!((result.outcome, result.artifacts().len()), (Outcome::Success, 48), "{result:?}");
    for artifact in result.artifacts() {
        let bytes = fs::read(dir.join(artifact.name.strip_prefix("docs/").unwrap())).unwrap();
        assert_eq!(stage.host.contents().read(&artifact.digest, 0, 4 << 20).unwrap(), bytes, "{}", artifact.name);
    }
}

//! What both kinds of workers do alike.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use starwright::testing::model::{
    Artifact, ArtifactSource, CommandEnd, ContentDigest, DownloadSpec, FileCommand, Moved, Outcome, Piece, Text,
    UploadSpec,
};

use super::stage::{Hand, OurStage, file, upload, write};
use crate::support::stock_worker::Stage;

/// SHA-256 of `hello`.
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

#[tokio::test]
async fn our_worker_moves_files() {
    let stage = OurStage::new().await;
    texts_are_written(&stage).await;
    files_become_artifacts_and_files_again(&stage).await;
    directories_become_artifacts(&stage).await;
}

#[tokio::test]
async fn a_stock_worker_moves_files() {
    let stage = Stage::new().await;
    texts_are_written(&stage).await;
    files_become_artifacts_and_files_again(&stage).await;
    directories_become_artifacts(&stage).await;
}

async fn texts_are_written(hand: &impl Hand) {
    let secrets = tempfile::tempdir().unwrap();
    fs::create_dir(secrets.path().join("secrets")).unwrap();
    fs::write(secrets.path().join("secrets/token"), "s3cret-value\n").unwrap();
    hand.host().secrets_in(secrets.path().to_owned());
    let text = Text(vec![Piece::Plain("token=".to_owned()), Piece::Secret("token".to_owned())]);
    let result = file(hand, "w1", write("conf/.netrc", text, Some(0o600))).await;
    assert_eq!((result.end, result.outcome), (CommandEnd::Exited(0), Outcome::Success));
    let path = hand.builder().join("conf/.netrc");
    assert_eq!(fs::read_to_string(&path).unwrap(), "token=s3cret-value");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let long = "line\n".repeat(150_000);
    assert_eq!(file(hand, "w2", write("conf/.netrc", Text::plain(&long), None)).await.outcome, Outcome::Success);
    assert_eq!(fs::read_to_string(&path).unwrap(), long);
    assert_eq!(file(hand, "w3", write("empty", Text::default(), None)).await.outcome, Outcome::Success);
    assert_eq!(fs::read_to_string(hand.builder().join("empty")).unwrap(), "");
    let names: Vec<_> =
        fs::read_dir(hand.builder().join("conf")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [".netrc"], "nothing is left of the ways there");

    let failed = file(hand, "w4", write("conf/.netrc/below", Text::plain("x"), None)).await;
    assert!(!failed.outcome.is_ok(), "{failed:?}");
}

async fn files_become_artifacts_and_files_again(hand: &impl Hand) {
    fs::write(hand.builder().join("hello.txt"), "hello").unwrap();
    let result = file(hand, "u1", FileCommand::Upload(upload("hello.txt", "out/hello.txt"))).await;
    let kept = Artifact {
        name: "out/hello.txt".to_owned(),
        size: 5,
        digest: ContentDigest(HELLO.to_owned()),
        mode: Some(0o640),
        modified: Some(1_700_000_000),
    };
    assert_eq!((result.outcome, result.artifacts()), (Outcome::Success, &[kept.clone()][..]), "{result:?}");
    assert_eq!(hand.host().contents().read(&kept.digest, 1, 100).unwrap(), b"ello");

    let download = |path: &str, mode| {
        let from = ArtifactSource::ThisBuild;
        FileCommand::Download(DownloadSpec { from, name: "out/hello.txt".to_owned(), path: path.to_owned(), mode })
    };
    let result = file(hand, "d1", download("deep/er/copy.txt", None)).await;
    assert_eq!(
        (result.outcome, result.moved.as_deref()),
        (Outcome::Success, Some(&Moved::Downloaded(kept.clone()))),
        "{result:?}"
    );
    let copy = hand.builder().join("deep/er/copy.txt");
    assert_eq!(fs::read_to_string(&copy).unwrap(), "hello");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(file(hand, "d2", download("deep/er/copy.txt", Some(0o755))).await.outcome, Outcome::Success);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o755);

    let missing = file(hand, "u2", FileCommand::Upload(upload("nowhere.txt", "x"))).await;
    assert_eq!(missing.outcome, Outcome::Failure, "{missing:?}");
    assert!(missing.artifacts().is_empty());
    let bounded = UploadSpec { bytes_max: Some(4), ..upload("hello.txt", "x") };
    let large = file(hand, "u3", FileCommand::Upload(bounded)).await;
    assert_eq!(large.outcome, Outcome::Failure);
    assert_eq!(large.stderr.unwrap(), "`hello.txt` is too large: the step allows 4 bytes (`max_size`)");
    hand.host().leave_room(3);
    let large = file(hand, "u4", FileCommand::Upload(upload("hello.txt", "x"))).await;
    assert_eq!(large.stderr.unwrap(), "`hello.txt` is too large: 3 bytes are left");
    hand.host().leave_room(1 << 30);
}

async fn directories_become_artifacts(hand: &impl Hand) {
    let dir = hand.builder().join("site");
    fs::create_dir_all(dir.join("a/b")).unwrap();
    fs::write(dir.join("index.html"), "hello").unwrap();
    fs::write(dir.join("a/b/page.html"), "hello").unwrap();
    fs::write(dir.join("a/empty"), "").unwrap();
    fs::set_permissions(dir.join("a/empty"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dir.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc", dir.join("a/etc")).unwrap();
    let long = "n".repeat(120);
    fs::write(dir.join(&long), "x".repeat(700_000)).unwrap();

    let whole = UploadSpec { is_directory: true, mode: None, modified: None, ..upload("site", "docs") };
    let result = file(hand, "t1", FileCommand::Upload(whole.clone())).await;
    assert_eq!(result.outcome, Outcome::Success, "{result:?}");
    let names: Vec<&str> = result.artifacts().iter().map(|artifact| artifact.name.as_str()).collect();
    assert_eq!(names, ["docs/a/b/page.html", "docs/a/empty", "docs/index.html", &format!("docs/{long}")]);
    assert_eq!(result.artifacts()[0].digest.0, HELLO);
    assert_eq!((result.artifacts()[1].size, result.artifacts()[1].mode), (0, Some(0o755)));
    assert!(result.artifacts()[1].modified.is_some());
    assert_eq!(result.artifacts()[3].size, 700_000);

    let bounded = UploadSpec { bytes_max: Some(100_000), ..whole };
    let large = file(hand, "t2", FileCommand::Upload(bounded)).await;
    assert_eq!(large.stderr.unwrap(), "`site` is too large: the step allows 100000 bytes (`max_size`)");
}

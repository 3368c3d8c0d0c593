//! File commands, which the worker does itself.

use starwright::testing::protocol::{CommandArgs, CommandReport, ReportedEnd};

use super::scripted::Scene;

async fn run(scene: &mut Scene, id: &str, args: CommandArgs) -> CommandReport {
    scene.peer.start(id, args).await.unwrap();
    scene.peer.end(id).await.report().clone()
}

#[tokio::test]
async fn directories_are_made_listed_copied_found_and_removed() {
    let mut scene = Scene::new().await;
    let path = |name: &str| scene.worker.dir.join(name).display().to_string();
    let (a, b, pattern) = (path("x/a"), path("x/b"), path("x/**/*.txt"));
    let (root, file) = (path("x"), path("x/a/note.txt"));
    let made = run(&mut scene, "1", CommandArgs::MakeDirs { paths: vec![a.clone()] }).await;
    assert_eq!((made.end, made.code), (ReportedEnd::Exited, Some(0)));
    std::fs::write(&file, "text").unwrap();
    let copied = run(&mut scene, "2", CommandArgs::Copy { from: a, to: b, timeout: None }).await;
    assert_eq!(copied.code, Some(0));
    assert_eq!(run(&mut scene, "3", CommandArgs::List { path: root.clone() }).await.files, ["a", "b"]);
    let found = run(&mut scene, "4", CommandArgs::Glob { path: pattern }).await;
    assert_eq!(found.files, [file.clone(), file.replace("/a/", "/b/")]);
    assert_eq!(run(&mut scene, "5", CommandArgs::Stat { path: file.clone() }).await.stat.unwrap()[6], 4);
    assert_eq!(run(&mut scene, "6", CommandArgs::RemoveFile { path: file.clone() }).await.code, Some(0));
    let missing = run(&mut scene, "7", CommandArgs::RemoveFile { path: file }).await;
    assert_eq!((missing.end, missing.code), (ReportedEnd::Exited, Some(2)));
    assert!(
        missing.why.starts_with("remove: `") && missing.why.ends_with("x/a/note.txt`: No such file or directory"),
        "{}",
        missing.why
    );
    let removed = run(&mut scene, "8", CommandArgs::RemoveDirs { paths: vec![root.clone()], timeout: None }).await;
    assert_eq!(removed.code, Some(0));
    assert!(!std::path::Path::new(&root).exists());
}

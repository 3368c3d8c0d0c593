//! Logging in, and the base directory.

use starwright::testing::protocol::{Caps, MasterRequest};

use super::scripted::{Master, NAME, PASSWORD, Scene, Worker, until};

#[tokio::test]
async fn a_wrong_password_is_told_and_tried_again() {
    let place = tempfile::tempdir().unwrap();
    let master = Master::start().await;
    let worker = Worker::start_as(&place.path().join("w"), &master.address, "wrong");
    for _ in 0..2 {
        assert_eq!(master.try_accept().await.err(), Some(format!("{NAME}:wrong")));
    }
    until(|| worker.logged().contains("wrong name or password")).await;
    assert!(!worker.logged().contains("wrong password:"));
    assert!(worker.logged().contains(NAME) && !worker.logged().contains(PASSWORD));
}

#[tokio::test]
async fn a_worker_tells_what_it_is() {
    let mut scene = Scene::silent().await;
    std::fs::create_dir(scene.worker.dir.join("info")).unwrap();
    std::fs::write(scene.worker.dir.join("info/admin"), "Ada\n").unwrap();
    let info = scene.peer.info(Caps::OURS).await;
    assert_eq!((info.system.as_str(), info.basedir), ("posix", scene.worker.dir.display().to_string()));
    assert_eq!(info.facts["admin"], "Ada\n");
    assert_eq!(info.environ["FROM_WORKER"], "yes");
    assert_eq!(info.worker_commands["shell"], "3.3");
    assert!(info.numcpus > 0 && !info.version.is_empty() && info.instance.is_some());
    let stock = scene.peer.info(Caps::default()).await;
    assert_eq!((stock.instance, stock.caps), (None, Caps::default()));
}

#[tokio::test]
async fn a_master_of_another_version_is_refused_in_words_and_tried_again() {
    let mut scene = Scene::silent().await;
    let offer = Caps { resume: false, unsupported: Some(3) };
    let answer = scene.peer.ask(MasterRequest::GetWorkerInfo { offer }).await;
    let why =
        "the master speaks version 3 of `resume`, and this worker speaks version 2; update starwright on the worker";
    assert_eq!(answer, Err(why.to_owned()));
    let worker = &scene.worker;
    until(|| worker.logged().contains(why)).await;
    // The master may have been replaced meanwhile.
    let mut peer = scene.master.accept().await;
    assert_eq!(peer.info(Caps::OURS).await.caps, Caps::OURS);
}

#[tokio::test]
async fn small_requests_are_answered() {
    let mut scene = Scene::new().await;
    for request in [MasterRequest::Print { message: "hello".to_owned() }, MasterRequest::Keepalive] {
        assert_eq!(scene.peer.ask(request).await, Ok(starwright::testing::protocol::MsgPack::Nil));
    }
    let unknown = scene.peer.ask(MasterRequest::Unknown { op: "x_dance".to_owned() }).await;
    assert_eq!(unknown, Err("Command x_dance does not exist.".to_owned()));
}

#[tokio::test]
async fn shutdown_ends_the_worker_and_not_its_commands() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, "echo ready; until [ -e go ]; do sleep 0.05; done; echo done > done").await;
    scene.peer.said("c-1", "ready").await;
    scene.peer.ask(MasterRequest::Shutdown).await.unwrap();
    assert!(scene.worker.wait().success());
    std::fs::write(scene.build.join("go"), "").unwrap();
    let build = scene.build;
    until(|| build.join("done").exists()).await;
}

#[tokio::test]
async fn a_directory_takes_one_worker() {
    let scene = Scene::new().await;
    let second = Worker::start(&scene.worker.dir, &scene.master.address);
    let log = second.log.clone();
    assert!(!second.wait().success());
    let text = std::fs::read_to_string(log).unwrap();
    let (pid, dir) = (scene.worker.pid().to_string(), scene.worker.dir.display().to_string());
    assert!(text.contains(&pid) && text.contains(&dir), "{text}");
}

#[tokio::test]
async fn wrong_commands_are_refused_and_the_connection_lives_on() {
    let mut scene = Scene::new().await;
    let start = |name: &str, args| MasterRequest::StartCommand {
        command: starwright::testing::model::CommandId("c-1".to_owned()),
        name: name.to_owned(),
        builder: None,
        args: starwright::testing::protocol::Args(args),
    };
    let empty = || starwright::testing::protocol::MsgPack::Map(Vec::new());
    assert!(scene.peer.ask(start("dance", empty())).await.unwrap_err().contains("dance"));
    assert!(scene.peer.ask(start("shell", empty())).await.unwrap_err().contains("command"));
    scene.peer.shell("c-3", &scene.build, "true").await;
    assert_eq!(scene.peer.end("c-3").await.report().code, Some(0));
}

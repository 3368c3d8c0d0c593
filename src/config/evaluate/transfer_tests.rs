//! What scripts ask for when they move files, and what they are told of it.

use super::tests::Build;
use crate::model::*;

/// Answers as a worker that has a file `out/app` and a directory `out`.
fn answer(_: &Key, ask: &Ask) -> Answer {
    let done = || CommandResult::of(CommandEnd::Exited(0), &[(0, Outcome::Success)].into());
    let stat = |mode| CommandResult { stat: Some(vec![mode, 0, 0, 1, 0, 0, 5, 0, 77, 0]), ..done() };
    let artifact = |name: &str| Artifact {
        name: name.to_owned(),
        size: 5,
        digest: ContentDigest("d".to_owned()),
        mode: None,
        modified: None,
    };
    Answer::Command(match ask {
        Ask::File(FileCommand::Stat(path)) if path == "out/app" => stat(0o100_750),
        Ask::File(FileCommand::Stat(path)) if path == "out" => stat(0o040_755),
        Ask::File(FileCommand::Stat(path)) => CommandResult {
            stderr: Some(format!("stat: `{path}`: No such file or directory")),
            ..CommandResult::of(CommandEnd::Exited(2), &[(0, Outcome::Success)].into())
        },
        Ask::File(FileCommand::Upload(upload)) => {
            CommandResult { moved: Some(Box::new(Moved::Kept(vec![artifact(&upload.name)]))), ..done() }
        }
        Ask::File(FileCommand::Download(wanted)) => {
            CommandResult { moved: Some(Box::new(Moved::Downloaded(artifact(&wanted.name)))), ..done() }
        }
        _ => done(),
    })
}

/// Everything that a body asks for, and how it ends.
fn ran(body: &str) -> (Vec<FileCommand>, EvalOutcome) {
    let mut build = Build::of(&format!("def f(ctx):\n    {body}\n"));
    let (_, outcome) = build.run(answer);
    let asks = build.journal.0.into_values().filter_map(|entry| match entry.ask {
        Ask::File(command) => Some(command),
        _ => None,
    });
    (asks.collect(), outcome)
}

fn upload(path: &str, name: &str) -> UploadSpec {
    UploadSpec {
        path: path.to_owned(),
        name: name.to_owned(),
        is_directory: false,
        bytes_max: None,
        mode: Some(0o750),
        modified: Some(77),
    }
}

#[test]
fn an_upload_looks_first_and_tells_what_it_kept() {
    let body = "kept = ctx.upload('out/app', max_size = 9).artifacts[0]\n    \
                ctx.set_summary('{} {} {}'.format(kept.name, kept.size, kept.digest))";
    let (asks, outcome) = ran(body);
    let wanted = UploadSpec { bytes_max: Some(9), ..upload("out/app", "app") };
    assert_eq!(asks, [FileCommand::Stat("out/app".to_owned()), FileCommand::Upload(wanted)]);
    let EvalOutcome::Done { outcome: Outcome::Success, summary, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(summary.as_deref(), Some("app 5 d"));

    let (asks, _) = ran("ctx.upload('out', name = 'docs/site')");
    let directory = UploadSpec { is_directory: true, mode: None, modified: None, ..upload("out", "docs/site") };
    assert_eq!(asks[1], FileCommand::Upload(directory));
}

#[test]
fn a_path_that_is_not_there_fails_the_step_before_anything_moves() {
    let (asks, outcome) = ran("ctx.upload('missing')");
    assert_eq!(asks.len(), 1);
    let EvalOutcome::Done { outcome: Outcome::Failure, summary: Some(summary), .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(summary, "stat: `missing`: No such file or directory");
    let (_, outcome) = ran("ctx.set_summary(ctx.upload('missing', check = False).outcome)");
    let EvalOutcome::Done { summary: Some(summary), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(summary, "failure");
}

#[test]
fn a_download_says_whose_artifact_it_wants() {
    let from = |body: &str| {
        let (asks, outcome) = ran(body);
        assert!(matches!(outcome, EvalOutcome::Done { outcome: Outcome::Success, .. }), "{outcome:?}");
        let [FileCommand::Download(wanted)] = asks.as_slice() else { panic!("{asks:?}") };
        (wanted.from.clone(), wanted.path.clone(), wanted.mode)
    };
    assert_eq!(from("ctx.download('dist/app')"), (ArtifactSource::ThisBuild, "app".to_owned(), None));
    let builder = "b".to_owned();
    assert_eq!(
        from("ctx.download('dist/app', 'x/y', builder = 'b', number = 3, mode = 0o700)"),
        (ArtifactSource::Build { builder: builder.clone(), number: 3 }, "x/y".to_owned(), Some(0o700))
    );
    assert_eq!(from("ctx.download('a', builder = 'b')").0, ArtifactSource::LastSuccessful { builder });
}

#[test]
fn a_text_to_write_keeps_its_secrets_by_name() {
    let (asks, _) = ran("ctx.write('.netrc', secret('token'), mode = 0o600)");
    let content = Text(vec![Piece::Secret("token".to_owned())]);
    let wanted = WriteSpec { path: ".netrc".to_owned(), content, mode: Some(0o600) };
    assert_eq!(asks, [FileCommand::Write(wanted)]);
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_asked() {
    for (body, words) in [
        ("ctx.write('a', 'x' * (1 << 20) + 'y')", "the text for `a` has 1048577 bytes, more than 1048576"),
        ("ctx.write('a', 'x', mode = 0o1000)", "`mode` must be between 0o000 and 0o777, not 512"),
        ("ctx.upload('a', name = '../b')", "the artifact's name `../b` has the part `..`, which is not a name"),
        ("ctx.upload('a', name = '/b')", "begins with a slash"),
        ("ctx.upload('..')", "has the part `..`"),
        ("ctx.upload('a', name = secret('token'))", ""),
        ("ctx.download('a', builder = 'nobody')", "there is no builder `nobody`"),
        ("ctx.download('a', number = 3)", "`number` needs the name of a `builder`"),
    ] {
        let (asks, outcome) = ran(body);
        let EvalOutcome::Failed { message, .. } = outcome else { panic!("{body}: {outcome:?}") };
        assert!(message.contains(words), "{body}: {message}");
        assert_eq!(asks, [], "{body}");
    }
}

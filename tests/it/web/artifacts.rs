//! Artifacts as they are served: always files to keep, in ranges, with their digest as a tag.

use serde_json::Value as Json;
use starwright::testing::model::Outcome;

use super::served::{Answer, Served};
use super::world::{Made, World, force_scheduler};

fn world() -> (World, Made) {
    let mut world = World::empty();
    world.adopt(&[("a b/c", &["w1"])], &["w1"], Some(force_scheduler(&["a b/c"])));
    world.connect("w1");
    let build = world.start(1, 1, 1, "reason", None);
    (world, build)
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

#[test]
fn an_artifact_is_a_file_to_keep_and_never_a_page() {
    let (mut world, build) = world();
    let kept = world.artifact(&build, "docs/index.html", b"<script>alert(1)</script>");
    world.artifact(&build, "notes.txt", b"hello");
    world.end(&build, Outcome::Success, "done");
    let served = Served::new(world.master());
    for path in
        ["/builders/a%20b%2Fc/builds/1/artifacts/docs/index.html", "/builders/1/builds/1/artifacts/docs/index.html"]
    {
        let answer = served.ask("GET", path, &[], "");
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"<script>alert(1)</script>".as_slice()), "{path}");
        assert_eq!(header(&answer, "content-type"), Some("application/octet-stream"));
        assert_eq!(header(&answer, "content-disposition"), Some("attachment; filename=\"index.html\""));
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"));
        assert_eq!(header(&answer, "content-security-policy"), Some("sandbox; default-src 'none'"));
        assert_eq!(header(&answer, "etag"), Some(&*format!("\"{}\"", kept.digest)));
        assert_eq!(header(&answer, "content-length"), Some("25"));
    }
    let page = served.ask("GET", "/builders/1/builds/1", &[], "");
    let text = String::from_utf8(page.body).unwrap();
    assert!(
        text.contains("<a href=\"/builders/a%20b%2Fc/builds/1/artifacts/docs/index.html\">docs/index.html</a>"),
        "{text}"
    );
    for missing in [
        "/builders/1/builds/1/artifacts/nothing",
        "/builders/1/builds/2/artifacts/notes.txt",
        "/builders/1/builds/x/artifacts/notes.txt",
    ] {
        assert_eq!(served.ask("GET", missing, &[], "").status, 404, "{missing}");
    }
}

#[test]
fn the_api_lists_artifacts_and_sends_them() {
    let (mut world, build) = world();
    let kept = world.artifact(&build, "b/notes.txt", b"hello");
    world.artifact(&build, "a", b"");
    let served = Served::new(world.master());
    let base = format!("/api/starwright/v1/builds/{}/artifacts", build.build);
    let list = served.ask("GET", &base, &[], "");
    let list: Json = serde_json::from_slice(&list.body).unwrap();
    let names: Vec<&str> =
        list["artifacts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "b/notes.txt"]);
    let one = &list["artifacts"][1];
    assert_eq!(
        (one["size"].as_u64(), one["sha256"].as_str(), one["mode"].as_u64()),
        (Some(5), Some(&*kept.digest.0), Some(0o644))
    );
    let answer = served.ask("GET", &format!("{base}/b/notes.txt"), &[], "");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(header(&answer, "content-type"), Some("text/plain; charset=utf-8"));
    let empty = served.ask("GET", &format!("{base}/a"), &[], "");
    assert_eq!((empty.status, empty.body.len(), header(&empty, "content-length")), (200, 0, Some("0")));
    assert_eq!(served.ask("GET", "/api/starwright/v1/builds/99/artifacts", &[], "").status, 404);
    assert_eq!(served.ask("GET", &format!("{base}/c"), &[], "").status, 404);
}

#[test]
fn a_client_asks_for_the_rest() {
    let (mut world, build) = world();
    let large: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
    let kept = world.artifact(&build, "large.bin", &large);
    let served = Served::new(world.master());
    let path = "/builders/1/builds/1/artifacts/large.bin";
    let tag = format!("\"{}\"", kept.digest);
    let ask = |headers: &[(&str, &str)]| served.ask("GET", path, headers, "");
    let whole = ask(&[]);
    assert!(whole.body == large && header(&whole, "accept-ranges") == Some("bytes"));
    let rest = ask(&[("Range", "bytes=1000000-")]);
    assert_eq!((rest.status, header(&rest, "content-range")), (206, Some("bytes 1000000-2399999/2400000")));
    assert!(rest.body == large[1_000_000..]);
    let part = ask(&[("Range", "bytes=10-19"), ("If-Range", &tag)]);
    assert_eq!((part.status, part.body.as_slice()), (206, &large[10..20]));
    let changed = ask(&[("Range", "bytes=10-19"), ("If-Range", "\"other\"")]);
    assert_eq!((changed.status, changed.body.len()), (200, large.len()));
    let beyond = ask(&[("Range", "bytes=2400000-")]);
    assert_eq!((beyond.status, header(&beyond, "content-range")), (416, Some("bytes */2400000")));
    assert_eq!(ask(&[("If-None-Match", &tag)]).status, 304);
    let head = served.ask("HEAD", path, &[], "");
    assert_eq!((head.status, head.body.len(), header(&head, "content-length")), (200, 0, Some("2400000")));
}

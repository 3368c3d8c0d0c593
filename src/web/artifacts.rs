//! Artifacts as downloads.
//!
//! Whatever a build left behind, anybody may have written it: it is always sent as a file to keep, never as a page, and may do
//! nothing even if a browser shows it. It is read in blocks as the client takes it. A client that was cut off can ask for the
//! rest (RFC 9110, ranges of bytes); the digest is the entity tag.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use warp::http::header::{self, HeaderValue};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::history::VisibleHistory;
use super::request::{Request, encode};
use super::respond::{self, bare, set, set_text};
use super::shared::Shared;
use super::sync_stream::SyncStream;
use crate::model::{Artifact, ArtifactRecord, BuildId};
use crate::store::{ArtifactStore, StoreError};

/// Bytes that are read at once.
const BLOCK_BYTES: u64 = 256 << 10;

/// Even where a browser ignores that it is a file to keep.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox; default-src 'none'");

/// Types that say nothing but what a program may do with the file; everything else is just bytes.
const TYPES: &[(&str, &str)] = &[
    ("gz", "application/gzip"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("log", "text/plain; charset=utf-8"),
    ("png", "image/png"),
    ("txt", "text/plain; charset=utf-8"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// Which build's.
#[derive(Clone, Debug)]
pub enum BuildNamed {
    Id(BuildId),
    /// By builder (name or id) and number.
    Number {
        builder: String,
        number: u64,
    },
}

/// An artifact that the visitor may have.
#[derive(Debug)]
pub struct Found {
    artifact: Artifact,
    contents: Arc<dyn ArtifactStore>,
}

/// Looks for an artifact; none if there is none, or not for this visitor. Blocks.
pub fn find(history: &VisibleHistory<'_>, of: &BuildNamed, name: &str) -> Result<Option<Found>, StoreError> {
    let build = match of {
        BuildNamed::Id(id) => Some(*id),
        BuildNamed::Number { builder, number } => {
            let named = history.builder_named(builder)?;
            let by_id = || builder.parse().ok().map(|id| history.builder(crate::model::BuilderId(id)));
            let found = named.map_or_else(|| by_id().transpose().map(Option::flatten), |found| Ok(Some(found)))?;
            let build = found.map(|found| history.build_by_number(found.id, *number)).transpose()?.flatten();
            build.map(|build| build.id)
        }
    };
    let Some(build) = build else { return Ok(None) };
    let Some(ArtifactRecord { artifact, .. }) = history.artifact(build, name)? else { return Ok(None) };
    let contents = history.artifact_contents()?;
    // Its record is there a moment longer than its content can be.
    Ok(contents.size(&artifact.digest)?.is_some().then_some(Found { artifact, contents }))
}

/// Looks for an artifact on a thread that may wait, and answers with it; `missing` makes the answer when there is none.
pub async fn answer(
    shared: &Arc<Shared>,
    request: &Request,
    of: BuildNamed,
    name: String,
    missing: impl FnOnce() -> Response,
) -> Response {
    let (own, identity) = (Arc::clone(shared), request.identity.clone());
    let looking = tokio::task::spawn_blocking(move || find(&VisibleHistory::new(&*own.control, &identity), &of, &name));
    match looking.await {
        Ok(Ok(Some(found))) => respond(request, found),
        Ok(Ok(None)) => missing(),
        Ok(Err(error)) => {
            tracing::error!(error = respond::error_text(&error), "failed to read an artifact");
            respond::body(StatusCode::INTERNAL_SERVER_ERROR, respond::TEXT, "the artifact could not be read")
        }
        Err(_) => respond::body(StatusCode::INTERNAL_SERVER_ERROR, respond::TEXT, "the response was lost"),
    }
}

fn respond(request: &Request, found: Found) -> Response {
    let tag = format!("\"{}\"", found.artifact.digest);
    let size = found.artifact.size;
    let has = |name| {
        request.header(name).is_some_and(|tags| tags.split(',').any(|one| one.trim() == tag || one.trim() == "*"))
    };
    if has(header::IF_NONE_MATCH) {
        return described(bare(StatusCode::NOT_MODIFIED), &found.artifact, &tag);
    }
    let same = request.header(header::IF_RANGE).is_none_or(|wanted| wanted.trim() == tag);
    let range = request.header(header::RANGE).filter(|_| same).and_then(|range| range_of(range, size));
    let (status, from, to) = match range {
        None => (StatusCode::OK, 0, size),
        Some(Some((from, to))) => (StatusCode::PARTIAL_CONTENT, from, to),
        Some(None) => {
            let mut response = bare(StatusCode::RANGE_NOT_SATISFIABLE);
            set_text(&mut response, header::CONTENT_RANGE, &format!("bytes */{size}"));
            return response;
        }
    };
    let artifact = found.artifact.clone();
    let mut response = if request.method == Method::HEAD {
        bare(status)
    } else {
        respond::stream("application/octet-stream", pieces(found, from, to))
    };
    *response.status_mut() = status;
    set(&mut response, header::CONTENT_LENGTH, HeaderValue::from(to - from));
    if status == StatusCode::PARTIAL_CONTENT {
        set_text(&mut response, header::CONTENT_RANGE, &format!("bytes {from}-{}/{size}", to.saturating_sub(1)));
    }
    described(response, &artifact, &tag)
}

/// The headers that every answer about an artifact has.
fn described(mut response: Response, artifact: &Artifact, tag: &str) -> Response {
    let name = artifact.name.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    let kind = TYPES.iter().find(|(known, _)| *known == ending).map_or("application/octet-stream", |(_, kind)| kind);
    set(&mut response, header::CONTENT_TYPE, HeaderValue::from_static(kind));
    set_text(&mut response, header::CONTENT_DISPOSITION, &disposition(name));
    set(&mut response, header::CONTENT_SECURITY_POLICY, SANDBOX);
    set(&mut response, header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    set_text(&mut response, header::ETAG, tag);
    // The same address may have another content after a rebuild of the step, and other readers other rights.
    set(&mut response, header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// As in RFC 6266: plain if a header can hold it, otherwise encoded as well.
fn disposition(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    let safe: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    if safe == name {
        return format!("attachment; filename=\"{safe}\"");
    }
    format!("attachment; filename=\"{safe}\"; filename*=UTF-8''{}", encode(name))
}

/// The first and the last byte but one that a range names; none if it lies outside. A header that is no range of bytes, or has
/// several, does not count.
#[expect(clippy::option_option, reason = "whether it counts, and whether it can be satisfied")]
fn range_of(header: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (from, to) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let (from, to) = match (from.trim(), to.trim()) {
        ("", last) => {
            let last = number(last)?;
            (size.saturating_sub(last), if last == 0 { 0 } else { size })
        }
        (from, "") => (number(from)?, size),
        (from, to) => {
            let (from, to) = (number(from)?, number(to)?);
            if to < from {
                return None;
            }
            (from, to.saturating_add(1).min(size))
        }
    };
    Some((from < to).then_some((from, to)))
}

fn pieces(found: Found, from: u64, to: u64) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + Sync + 'static {
    let found = Arc::new(found);
    let blocks = futures_util::stream::unfold(from, move |at| {
        let found = Arc::clone(&found);
        async move {
            if at >= to {
                return None;
            }
            let length = usize::try_from(BLOCK_BYTES.min(to - at)).unwrap_or_default();
            let reading = tokio::task::spawn_blocking(move || found.contents.read(&found.artifact.digest, at, length));
            match reading.await.ok()? {
                // A shorter answer than announced tells the client that something is wrong.
                Ok(block) if block.is_empty() => None,
                Ok(block) => {
                    let next = at + block.len() as u64;
                    Some((Ok(Bytes::from(block)), next))
                }
                Err(error) => Some((Err(error), to)),
            }
        }
    });
    SyncStream::new(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_standard() {
        assert_eq!(range_of("bytes=0-4", 10), Some(Some((0, 5))));
        assert_eq!(range_of("bytes=5-", 10), Some(Some((5, 10))));
        assert_eq!(range_of("bytes=-3", 10), Some(Some((7, 10))));
        assert_eq!(range_of("bytes=-30", 10), Some(Some((0, 10))));
        assert_eq!(range_of("bytes=5-500", 10), Some(Some((5, 10))));
        for outside in ["bytes=10-", "bytes=-0", "bytes=11-12"] {
            assert_eq!(range_of(outside, 10), Some(None), "{outside}");
        }
        assert_eq!(range_of("bytes=0-", 0), Some(None));
        for odd in ["bytes=4-2", "bytes=0-1,4-5", "lines=1-2", "bytes", "bytes=a-b", ""] {
            assert_eq!(range_of(odd, 10), None, "{odd}");
        }
    }

    #[test]
    fn names_of_files_are_harmless_in_a_header() {
        assert_eq!(disposition("app-1.0.whl"), "attachment; filename=\"app-1.0.whl\"");
        let odd = disposition("a\"; x=\".html");
        assert!(odd.starts_with("attachment; filename=\"a___x__.html\"; filename*=UTF-8''a%22"), "{odd}");
    }
}

//! The events of a Gerrit server (gerrit-review.googlesource.com, "gerrit stream-events"): a JSON text a line, for as long as
//! the connection lasts. Of each only the project counts, and whether its sources should look.

use serde::Deserialize;

use super::server::{refused, ssh};
use crate::base::chain;
use crate::base::process::follow_lines;
use crate::model::GerritServer;

/// An event with a long commit message has some ten kilobytes; a longer line is left out.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Something happened in a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GerritEvent {
    /// A change under review has a new patch set, a comment, or another state.
    Review { project: String },
    /// A branch or tag moved.
    Ref { project: String },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    change: Place,
    ref_update: Place,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    project: String,
}

/// Tells of the events of a server until the connection ends; then why it did.
pub async fn listen_to_gerrit(server: &GerritServer, mut tell: impl FnMut(GerritEvent)) -> String {
    let spec = ssh(server, "gerrit stream-events");
    let ended = follow_lines(&spec, LINE_BYTES_MAX, |line| {
        if let Some(event) = event(line) {
            tell(event);
        }
    });
    match ended.await {
        Ok(output) => refused(&output.stderr_text()),
        Err(error) => chain(&error),
    }
}

/// What a line tells; nothing if that concerns no source, or is of a form that a later version has.
fn event(line: &[u8]) -> Option<GerritEvent> {
    let line: Line = serde_json::from_slice(line).ok()?;
    let review = line.change.project;
    match line.kind.as_str() {
        "patchset-created" | "comment-added" | "change-restored" | "wip-state-changed" | "private-state-changed" => {
            (!review.is_empty()).then_some(GerritEvent::Review { project: review })
        }
        "ref-updated" => {
            let project = line.ref_update.project;
            (!project.is_empty()).then_some(GerritEvent::Ref { project })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_event_the_project_counts() {
        let review = Some(GerritEvent::Review { project: "team/app".to_owned() });
        for kind in ["patchset-created", "comment-added", "change-restored", "wip-state-changed"] {
            let line =
                format!(r#"{{"type":"{kind}","change":{{"project":"team/app","number":1}},"eventCreatedOn":1}}"#);
            assert_eq!(event(line.as_bytes()), review);
        }
        let moved = br#"{"type":"ref-updated","submitter":{},"refUpdate":{"oldRev":"0","newRev":"1","refName":"refs/heads/main","project":"team/app"}}"#;
        assert_eq!(event(moved), Some(GerritEvent::Ref { project: "team/app".to_owned() }));
        for other in [
            r#"{"type":"reviewer-added","change":{"project":"p"}}"#,
            r#"{"type":"patchset-created"}"#,
            "",
            "{",
            "[]",
            "{\"type\":1}",
        ] {
            assert_eq!(event(other.as_bytes()), None, "{other}");
        }
    }
}

//! The plain part of a mail.

use std::fmt::Write as _;

use super::story::{ChangeLine, Story};
use super::wording::count;

/// Writes the story as plain text.
pub(super) fn text(story: &Story) -> String {
    let mut out = story.headline.clone();
    if let Some(detail) = &story.detail {
        push(&mut out, format_args!(": {detail}"));
    }
    push(&mut out, format_args!("\n{}\n\n", story.page));
    for (label, row) in &story.rows {
        push(&mut out, format_args!("{:8}{row}\n", format!("{label}:")));
    }
    for excerpt in &story.excerpts {
        push(&mut out, format_args!("\nThe end of {} / {}", excerpt.step, excerpt.log));
        if excerpt.before > 0 {
            push(&mut out, format_args!(" (after {} more lines)", excerpt.before));
        }
        out.push_str(":\n\n");
        for line in &excerpt.lines {
            push(&mut out, format_args!("{}\n", format!("    {line}").trim_end()));
        }
    }
    changes(&mut out, story);
    for remark in &story.remarks {
        push(&mut out, format_args!("\nRemark: {remark}\n"));
    }
    push(&mut out, format_args!("\n-- \n{}\n", story.footer));
    out
}

fn changes(out: &mut String, story: &Story) {
    if story.changes.is_empty() {
        return;
    }
    out.push_str("\nChanges, newest first:\n\n");
    for ChangeLine { revision, link, author, title } in &story.changes {
        let parts: Vec<&str> =
            [revision, author, title].into_iter().map(String::as_str).filter(|p| !p.is_empty()).collect();
        push(out, format_args!("  {}\n", parts.join("  ")));
        if let Some(link) = link {
            push(out, format_args!("    {link}\n"));
        }
    }
    if story.changes_left_out > 0 {
        push(out, format_args!("  and {} before these\n", count(story.changes_left_out, "change")));
    }
}

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("writing to a String cannot fail");
}

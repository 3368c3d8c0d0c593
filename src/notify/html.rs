//! The HTML part of a mail: styles inline, because mail readers drop everything else; no pictures, no scripts.

use std::fmt::Write as _;

use super::story::{ChangeLine, Mood, Story};
use super::wording::count;

/// Writes the story as HTML.
pub(super) fn html(story: &Story) -> String {
    let mut out = String::new();
    let page = escape(&story.page);
    push(
        &mut out,
        format_args!(
            "<!DOCTYPE html>\n<html>\n<body style=\"font-family: sans-serif; font-size: 14px; color: #222; max-width: 60em\">\n\
             <p style=\"font-size: 18px; margin: 0 0 4px 0; padding-left: 10px; border-left: 6px solid {}\">\
             <a href=\"{page}\" style=\"color: #222\"><b>{}</b></a></p>\n",
            colour(story.mood),
            escape(&story.headline)
        ),
    );
    if let Some(detail) = &story.detail {
        push(&mut out, format_args!("<p style=\"margin: 0 0 4px 16px\">{}</p>\n", escape(detail)));
    }
    rows(&mut out, story);
    excerpts(&mut out, story);
    changes(&mut out, story);
    for remark in &story.remarks {
        push(&mut out, format_args!("<p><b>Remark:</b> {}</p>\n", escape(remark).replace('\n', "<br>\n")));
    }
    push(
        &mut out,
        format_args!("<p style=\"color: #777; font-size: 12px\">{}</p>\n</body>\n</html>\n", escape(&story.footer)),
    );
    out
}

fn rows(out: &mut String, story: &Story) {
    out.push_str("<table style=\"font-size: 14px; border-collapse: collapse; margin: 10px 0\">\n");
    for (label, row) in &story.rows {
        push(
            out,
            format_args!(
                "<tr><td style=\"color: #777; padding-right: 14px\">{label}</td><td>{}</td></tr>\n",
                escape(row)
            ),
        );
    }
    out.push_str("</table>\n");
}

fn excerpts(out: &mut String, story: &Story) {
    for excerpt in &story.excerpts {
        push(
            out,
            format_args!(
                "<p style=\"margin: 10px 0 4px 0\">The end of <b>{}</b> / {}",
                escape(&excerpt.step),
                escape(&excerpt.log)
            ),
        );
        if excerpt.before > 0 {
            push(out, format_args!(" (after {} more lines)", excerpt.before));
        }
        out.push_str(
            ":</p>\n<pre style=\"background: #f4f4f4; padding: 8px; font-size: 12px; white-space: pre-wrap\">",
        );
        for line in &excerpt.lines {
            push(out, format_args!("{}\n", escape(line)));
        }
        out.push_str("</pre>\n");
    }
}

fn changes(out: &mut String, story: &Story) {
    if story.changes.is_empty() {
        return;
    }
    out.push_str(
        "<p style=\"margin: 10px 0 4px 0\">Changes, newest first:</p>\n<ul style=\"margin: 0; padding-left: 20px\">\n",
    );
    for ChangeLine { revision, link, author, title } in &story.changes {
        let revision = format!("<code>{}</code>", escape(revision));
        let revision = match link {
            Some(link) => format!("<a href=\"{}\">{revision}</a>", escape(link)),
            None => revision,
        };
        push(out, format_args!("<li>{revision} <b>{}</b> {}</li>\n", escape(author), escape(title)));
    }
    if story.changes_left_out > 0 {
        push(out, format_args!("<li>and {} before these</li>\n", count(story.changes_left_out, "change")));
    }
    out.push_str("</ul>\n");
}

const fn colour(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "#2a8a2a",
        Mood::Mixed => "#c77700",
        Mood::Bad => "#c62828",
        Mood::Neutral => "#777777",
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn push(out: &mut String, words: std::fmt::Arguments<'_>) {
    out.write_fmt(words).expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escape("<script a=\"b\">&'"), "&lt;script a=&quot;b&quot;&gt;&amp;&#39;");
    }
}

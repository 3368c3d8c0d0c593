//! The kind of source that only tests have: a list of texts, each of which becomes a change. What was seen is how many.

use crate::model::{ChangeSourcePlan, Cursor, ListPlan, NewChange};

const SEEN: &str = "texts";

/// Polls a list once.
pub(super) fn poll_list(
    source: &ChangeSourcePlan,
    list: &ListPlan,
    cursor: Option<Cursor>,
) -> (Vec<NewChange>, Cursor) {
    let all = list.texts.len();
    // As with every kind: what is there at the first poll is taken as seen.
    let seen = cursor.map_or(all, |cursor| cursor.get(SEEN).and_then(|seen| seen.parse().ok()).unwrap_or(0));
    let most = usize::try_from(source.changes_max).unwrap_or(usize::MAX);
    let changes = list.texts.iter().skip(seen.max(all.saturating_sub(most))).map(|text| NewChange {
        comments: text.clone(),
        project: source.project.clone(),
        codebase: source.codebase.clone(),
        category: source.category.clone(),
        ..NewChange::default()
    });
    (changes.collect(), Cursor::from([(SEEN.to_owned(), all.to_string())]))
}

#[cfg(test)]
mod tests {
    use crate::base::{Span, SystemClock};
    use crate::model::{ChangeSourceKind, ChangeSourcePlan, ListPlan, SourcePlace};
    use crate::vcs::{PollTools, poll};

    fn source(texts: &[&str]) -> ChangeSourcePlan {
        ChangeSourcePlan {
            name: "told".to_owned(),
            project: String::new(),
            codebase: "c".to_owned(),
            category: None,
            every: Span::from_minutes(5),
            timeout: Span::from_minutes(5),
            changes_max: 2,
            kind: ChangeSourceKind::List(ListPlan { texts: texts.iter().map(|text| (*text).to_owned()).collect() }),
            place: SourcePlace::default(),
        }
    }

    #[tokio::test]
    async fn a_kind_that_a_line_adds_is_polled_like_the_others() {
        let tools = PollTools { cache: std::path::Path::new(""), token: None, clock: &SystemClock };
        let cache = &tools;
        let (first, seen) = poll(&source(&["a"]), None, cache).await.unwrap();
        assert_eq!(first.len(), 0, "what is there at first is taken as seen");
        let grown = source(&["a", "b", "c", "d"]);
        let (next, seen) = poll(&grown, Some(seen), cache).await.unwrap();
        let told: Vec<(&str, &str)> =
            next.iter().map(|change| (change.comments.as_str(), change.codebase.as_str())).collect();
        assert_eq!(told, [("c", "c"), ("d", "c")], "at most `changes_max`, the newest");
        assert_eq!(poll(&grown, Some(seen), cache).await.unwrap().0.len(), 0);
    }
}

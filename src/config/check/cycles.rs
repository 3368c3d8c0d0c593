//! Circles in a relation where each thing points to at most one other.

use std::collections::BTreeSet;

/// Every circle, each once, beginning and ending with its first name in order.
pub(super) fn circle<'n>(
    names: impl Iterator<Item = &'n str>,
    next: impl Fn(&str) -> Option<&'n str>,
) -> Vec<Vec<&'n str>> {
    let mut circles = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in names {
        let mut path: Vec<&str> = Vec::new();
        let mut on_path: BTreeSet<&str> = BTreeSet::new();
        let mut at = Some(start);
        while let Some(name) = at.filter(|name| !done.contains(name)) {
            if !on_path.insert(name) {
                let begin = path.iter().position(|seen| *seen == name).unwrap_or(0);
                let mut found = path[begin..].to_vec();
                let first = (0..found.len()).min_by_key(|place| found[*place]).unwrap_or(0);
                found.rotate_left(first);
                found.push(found[0]);
                circles.push(found);
                break;
            }
            path.push(name);
            at = next(name);
        }
        done.extend(path);
    }
    circles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_circle_is_found_once() {
        let next = |name: &str| match name {
            "a" => Some("b"),
            "b" => Some("c"),
            "c" => Some("b"),
            "self" => Some("self"),
            _ => None,
        };
        assert_eq!(
            circle(["a", "b", "c", "d", "self"].into_iter(), next),
            vec![vec!["b", "c", "b"], vec!["self", "self"]]
        );
    }
}

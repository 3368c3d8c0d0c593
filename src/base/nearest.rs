//! Finds the name that a user probably meant.

/// The candidate nearest to `name`, if one is near enough to be worth suggesting.
///
/// Near enough means an edit distance of at most a third of the longer name (at least one).
/// Ties go to the candidate that comes first.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(far, candidate)| *far <= (name.chars().count().max(candidate.chars().count()) / 3).max(1))
        .min_by_key(|(far, _)| *far)
        .map(|(_, candidate)| candidate)
}

/// Edit distance without regard to case; swapping two neighbours counts as one edit.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(l != r)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(nearest("linx", ["windows", "linux", "macos"]), Some("linux"));
        assert_eq!(nearest("Linux", ["linux"]), Some("linux"));
        assert_eq!(nearest("mian", ["dev", "main"]), Some("main"));
    }

    #[test]
    fn a_stranger_finds_nobody() {
        assert_eq!(nearest("solaris", ["windows", "linux"]), None);
        assert_eq!(nearest("x", []), None);
    }
}

//! Finds the name that somebody probably meant.

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

/// Levenshtein distance without regard to case.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let substitute = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(nearest("linx", ["windows", "linux", "macos"]), Some("linux"));
        assert_eq!(nearest("Linux", ["linux"]), Some("linux"));
    }

    #[test]
    fn a_stranger_finds_nobody() {
        assert_eq!(nearest("solaris", ["windows", "linux"]), None);
        assert_eq!(nearest("x", []), None);
    }
}

//! Lists directories, and finds paths by pattern: `*`, `?`, `[...]`, and `**` for any depth. Names that begin with a
//! dot match only if the pattern has the dot.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::check;

/// The names in a directory.
pub(super) fn list(directory: &Path, most: usize) -> io::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
        bound(names.len(), most)?;
    }
    names.sort();
    Ok(names)
}

/// The paths that match a pattern, as the pattern gives them.
pub(super) fn glob(pattern: &str, most: usize, cancelled: &AtomicBool) -> io::Result<Vec<String>> {
    let mut found = BTreeSet::from([PathBuf::from(if pattern.starts_with('/') { "/" } else { "" })]);
    let parts: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty()).collect();
    for (at, part) in parts.iter().enumerate() {
        let is_last = at + 1 == parts.len();
        let mut next = BTreeSet::new();
        for path in found {
            check(cancelled)?;
            if *part == "**" {
                below(&path, is_last, &mut next, most, cancelled)?;
            } else if part.contains(['*', '?', '[']) {
                let names = names_of(&path).into_iter().filter(|name| matches(part, &name.to_string_lossy()));
                next.extend(names.map(|name| path.join(name)));
            } else if path.join(part).symlink_metadata().is_ok() {
                next.insert(path.join(part));
            }
            bound(next.len(), most)?;
        }
        if !is_last {
            next.retain(|path| path.is_dir());
        }
        found = next;
    }
    Ok(found.into_iter().map(|path| path.to_string_lossy().into_owned()).filter(|path| !path.is_empty()).collect())
}

/// The directory itself and all directories below it; with files, if the pattern ends here. Links are not followed, so
/// a cycle of links does no harm.
fn below(
    path: &Path,
    with_files: bool,
    found: &mut BTreeSet<PathBuf>,
    most: usize,
    cancelled: &AtomicBool,
) -> io::Result<()> {
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        check(cancelled)?;
        for name in names_of(&directory) {
            let inside = directory.join(&name);
            let is_directory = inside.symlink_metadata().is_ok_and(|data| data.is_dir());
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            if is_directory {
                directories.push(inside.clone());
            }
            if with_files && !is_directory {
                found.insert(inside);
            }
        }
        found.insert(directory);
        bound(found.len(), most)?;
    }
    Ok(())
}

/// The names in a directory; none if it cannot be read.
fn names_of(directory: &Path) -> Vec<OsString> {
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
}

fn bound(count: usize, most: usize) -> io::Result<()> {
    if count > most { Err(io::Error::other(format!("more than {most} names"))) } else { Ok(()) }
}

/// Whether a name matches one part of a pattern.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star was, and what it matches so far. Backtracking only to there keeps the time below the product
    // of both lengths.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
                continue;
            }
            None if n == name.len() => return true,
            None => None,
            Some(_) if n == name.len() => None,
            Some('?') => Some(1),
            Some('[') => set(&pattern[p..], name[n]),
            Some(letter) => (*letter == name[n]).then_some(1),
        };
        match (step, &mut star) {
            (Some(length), _) => {
                p += length;
                n += 1;
            }
            (None, Some((at, taken))) if *taken < name.len() => {
                *taken += 1;
                (p, n) = (*at + 1, *taken);
            }
            (None, _) => return false,
        }
    }
}

/// The length of a set (`[abc]`, `[a-z]`, `[!a]`) if it contains the letter. An unclosed set is a plain `[`.
fn set(pattern: &[char], letter: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let first = if negated { 2 } else { 1 };
    // A bracket that comes first is a member.
    let Some(end) = pattern.iter().skip(first + 1).position(|c| *c == ']').map(|at| at + first + 1) else {
        return (letter == '[').then_some(1);
    };
    let members = &pattern[first..end];
    let mut at = 0;
    let mut inside = false;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            inside |= (members[at]..=members[at + 2]).contains(&letter);
            at += 3;
        } else {
            inside |= members[at] == letter;
            at += 1;
        }
    }
    (inside != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_match_as_in_a_shell() {
        for (pattern, name) in [
            ("*", "abc"),
            ("a*c", "abbbc"),
            ("*.t?t", "x.txt"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]]", "]"),
            ("*a*b", "xaxxab"),
            (".*", ".git"),
            ("[", "["),
            ("*", ""),
            ("a[b", "a[b"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*", ".git"), ("a?", "a"), ("[!a]", "a"), ("a*b", "a"), ("", "a"), ("[a-c]", "d")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn paths_are_found_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().display().to_string();
        for path in ["a/x.rs", "a/b/y.rs", "z.rs", ".hidden/h.rs", "a/b/note"] {
            fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
            fs::write(dir.path().join(path), "").unwrap();
        }
        let find = |pattern: &str| -> Vec<String> {
            let found = glob(&format!("{root}/{pattern}"), 100, &AtomicBool::new(false)).unwrap();
            found.iter().map(|path| path.strip_prefix(&root).unwrap().trim_start_matches('/').to_owned()).collect()
        };
        assert_eq!(find("*.rs"), ["z.rs"]);
        assert_eq!(find("*/*.rs"), ["a/x.rs"]);
        assert_eq!(find("**/*.rs"), ["a/b/y.rs", "a/x.rs", "z.rs"]);
        assert_eq!(find("a/**"), ["a", "a/b", "a/b/note", "a/b/y.rs", "a/x.rs"]);
        assert_eq!(find("none*"), Vec::<String>::new());
        assert_eq!(find("a/b/note"), ["a/b/note"]);
        assert!(glob(&format!("{root}/**"), 2, &AtomicBool::new(false)).is_err());
        assert_eq!(list(&dir.path().join("a"), 10).unwrap(), ["b", "x.rs"]);
    }
}

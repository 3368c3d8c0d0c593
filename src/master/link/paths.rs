//! Paths on the worker, in the worker's own syntax.

/// How the worker writes paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Posix,
    Nt,
}

/// The base directory of a worker, and its syntax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BaseDir {
    pub syntax: Syntax,
    /// Empty if the worker did not report it. Then paths stay relative to its base directory.
    pub basedir: String,
}

impl BaseDir {
    pub fn new(system: &str, basedir: &str) -> Self {
        let syntax = if system == "nt" { Syntax::Nt } else { Syntax::Posix };
        Self { syntax, basedir: basedir.to_owned() }
    }

    /// Joins the base directory, a directory below it and a path below that. Each may also be absolute.
    pub fn place(&self, directory: &str, path: &str) -> String {
        self.tidy(&self.join(&self.join(&self.basedir, directory), path))
    }

    /// Whether a path from [`Self::place`] is the base directory or above it, where no command may run.
    pub fn is_base_or_above(&self, path: &str) -> bool {
        let base = self.tidy(&self.basedir);
        let (base, path) = match self.syntax {
            Syntax::Posix => (base, path.to_owned()),
            Syntax::Nt => (base.to_lowercase(), path.to_lowercase()),
        };
        let above = path.trim_end_matches(self.separators());
        let rest = base.strip_prefix(above);
        path == "."
            || path.starts_with("..")
            || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(self.separators()))
    }

    fn join(&self, directory: &str, path: &str) -> String {
        match (directory, path) {
            (_, "") => directory.to_owned(),
            ("", _) => path.to_owned(),
            _ if self.is_absolute(path) => path.to_owned(),
            _ => format!("{}{}{path}", directory.trim_end_matches(self.separators()), self.separator()),
        }
    }

    fn is_absolute(&self, path: &str) -> bool {
        !self.root(path).is_empty()
    }

    /// The root of a path: `/`, `C:\`, `\\`.
    fn root<'a>(&self, path: &'a str) -> &'a str {
        let drive = match (self.syntax, path.as_bytes()) {
            (Syntax::Nt, [letter, b':', ..]) if letter.is_ascii_alphabetic() => 2,
            _ => 0,
        };
        let slashes = path[drive..].len() - path[drive..].trim_start_matches(self.separators()).len();
        &path[..drive + slashes]
    }

    /// Removes `.`, `..` and doubled separators, as far as that is possible without looking at the file system.
    fn tidy(&self, path: &str) -> String {
        let root = self.root(path);
        let mut names: Vec<&str> = Vec::new();
        for name in path[root.len()..].split(self.separators()) {
            match name {
                "" | "." => {}
                ".." if names.last().is_some_and(|last| *last != "..") => {
                    names.pop();
                }
                ".." if !root.is_empty() => {}
                _ => names.push(name),
            }
        }
        let root = match self.syntax {
            Syntax::Posix if root.is_empty() => String::new(),
            Syntax::Posix => "/".to_owned(),
            Syntax::Nt => root.replace('/', "\\"),
        };
        let tidy = root + &names.join(self.separator());
        if tidy.is_empty() { ".".to_owned() } else { tidy }
    }

    const fn separator(&self) -> &'static str {
        match self.syntax {
            Syntax::Posix => "/",
            Syntax::Nt => "\\",
        }
    }

    const fn separators(&self) -> &'static [char] {
        match self.syntax {
            Syntax::Posix => &['/'],
            Syntax::Nt => &['\\', '/'],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_in_the_workers_syntax() {
        let posix = BaseDir::new("posix", "/srv/w");
        assert_eq!(posix.place("linux", "build"), "/srv/w/linux/build");
        assert_eq!(posix.place("linux", "./build//x/../y/"), "/srv/w/linux/build/y");
        assert_eq!(posix.place("linux", "/tmp/x"), "/tmp/x");
        assert_eq!(posix.place("linux", ""), "/srv/w/linux");
        assert_eq!(posix.place("linux", "a\\b"), "/srv/w/linux/a\\b");
        let nt = BaseDir::new("nt", "C:\\bb\\w");
        assert_eq!(nt.place("linux", "build/x"), "C:\\bb\\w\\linux\\build\\x");
        assert_eq!(nt.place("linux", "D:/tmp"), "D:\\tmp");
        assert_eq!(nt.place("linux", "\\\\server\\share\\x"), "\\\\server\\share\\x");
    }

    #[test]
    fn without_a_base_directory_paths_stay_relative() {
        let base_dir = BaseDir::new("", "");
        assert_eq!(base_dir.place("linux", "build"), "linux/build");
        assert_eq!(base_dir.place("", ""), ".");
        assert!(base_dir.is_base_or_above("."));
        assert!(base_dir.is_base_or_above(&base_dir.place("linux", "../..")));
        assert!(!base_dir.is_base_or_above("linux/build"));
    }

    #[test]
    fn the_base_directory_and_what_is_above_it_are_no_place_for_commands() {
        let posix = BaseDir::new("posix", "/srv/w/");
        for path in ["..", "../", "../..", "/", "/srv", "/srv/w", "../../.."] {
            assert!(posix.is_base_or_above(&posix.place("linux", path)), "{path}");
        }
        for path in ["", "build", "../other", "/srv/wide", "/tmp", "..."] {
            assert!(!posix.is_base_or_above(&posix.place("linux", path)), "{path}");
        }
        let nt = BaseDir::new("nt", "C:\\W");
        assert!(nt.is_base_or_above(&nt.place("linux", "..")) && nt.is_base_or_above("c:\\w"));
        assert!(nt.is_base_or_above("C:\\") && !nt.is_base_or_above("C:\\Wide"));
    }
}

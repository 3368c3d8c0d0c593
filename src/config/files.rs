//! Where the texts of a configuration come from: its directory, or what was kept of an earlier load.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::library;
use super::parse::FILE_BYTES_MAX;
use super::place::CallSite;
use super::problem::{Problem, Refused};
use super::sources::{CONFIG_DIR_FACT, Sources};
use crate::base::nearest;

/// A file cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadError {
    message: String,
    hint: Option<String>,
}

impl fmt::Display for ReadError {
    /// In the form in which errors of the evaluator have hints.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    pub(super) fn new(message: String, hint: Option<String>) -> Self {
        Self { message, hint }
    }

    /// The problem for people, at the `load` that asked.
    pub(super) fn at(self, site: Option<CallSite>) -> Problem {
        match site {
            Some(site) => site.problem(self.message, self.hint),
            None => Problem::placeless(self.message, self.hint),
        }
    }
}

/// The files of one configuration.
#[derive(Debug)]
pub(super) enum Files {
    /// `root` is absolute, without symbolic links.
    Disk {
        root: PathBuf,
        main: String,
    },
    Kept(Sources),
    /// The directory of somebody else, who is asked for each file. `directory` is its absolute path.
    Asked {
        main: String,
        directory: Option<String>,
    },
}

/// A configuration's directory, for a load that happens in another process: reads what that asks for, and nothing else.
#[derive(Debug)]
pub struct ConfigDirectory(Files);

impl ConfigDirectory {
    /// The directory of a configuration file.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn of(path: &Path) -> Result<Self, Refused> {
        Files::on_disk(path).map(Self).map_err(|problem| Refused { problems: vec![problem] })
    }

    /// The first file's name.
    #[must_use]
    pub fn main(&self) -> &str {
        self.0.main()
    }

    /// Its absolute path, if that is UTF-8.
    #[must_use]
    pub fn path(&self) -> Option<String> {
        self.0.directory()
    }

    /// The text of a file in it.
    ///
    /// # Errors
    /// When it cannot be read, or is no plain file inside the directory.
    pub fn read(&self, name: &str) -> Result<String, ReadError> {
        self.0.read(name)
    }

    /// The paths of those files that are on disk.
    pub fn watch<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<PathBuf> {
        self.0.watch(names)
    }

    /// Whether a load of this directory would give these sources again, which this program loaded before. What a load reads
    /// depends on nothing but the texts that it has read so far, so only they are compared.
    #[must_use]
    pub fn holds(&self, sources: &Sources) -> bool {
        let same = |(name, text): (&String, &String)| match name.as_str() {
            CONFIG_DIR_FACT => self.path().as_ref() == Some(text),
            // The library is part of this program.
            name if library::is_library(name) => true,
            name => self.read(name).is_ok_and(|now| now == *text),
        };
        self.main() == sources.main && sources.files.iter().all(same)
    }
}

impl Files {
    /// The directory of a configuration file.
    pub(super) fn on_disk(path: &Path) -> Result<Self, Problem> {
        let refuse = |error: std::io::Error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => similar(path),
                _ => None,
            };
            Problem::placeless(format!("failed to read `{}`: {error}", path.display()), hint)
        };
        if path.is_dir() {
            let hint = match configurations(path)[..] {
                [] => "name the configuration's file; there is none in this directory".to_owned(),
                ref found => format!("name the file: {}", found.join(" or ")),
            };
            return Err(Problem::placeless(format!("`{}` is a directory", path.display()), Some(hint)));
        }
        // The file itself may be a link: its directory is the one that the person named.
        let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let main = name.ok_or_else(|| Problem::placeless(format!("`{}` names no file", path.display()), None))?;
        std::fs::metadata(path).map_err(refuse)?;
        let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = directory.canonicalize().map_err(refuse)?;
        Ok(Self::Disk { root, main })
    }

    /// What was kept of an earlier load.
    pub(super) const fn kept(sources: Sources) -> Self {
        Self::Kept(sources)
    }

    /// The first file's name.
    pub(super) fn main(&self) -> &str {
        match self {
            Self::Disk { main, .. } | Self::Asked { main, .. } => main,
            Self::Kept(sources) => &sources.main,
        }
    }

    /// The absolute path of the directory, if it is known.
    pub(super) fn directory(&self) -> Option<String> {
        match self {
            Self::Disk { root, .. } => root.to_str().map(str::to_owned),
            Self::Asked { directory, .. } => directory.clone(),
            Self::Kept(sources) => sources.fact(CONFIG_DIR_FACT).map(str::to_owned),
        }
    }

    /// The whole name of what a file loads.
    pub(super) fn resolve(&self, importer: &str, asked: &str) -> Result<String, ReadError> {
        if asked.starts_with(library::PREFIX) {
            return Ok(asked.to_owned());
        }
        self.inside(importer, asked, |asked| {
            let hint = not_starlark(asked)?;
            Some(ReadError::new(format!("`{asked}` is not a Starlark file"), Some(hint)))
        })
    }

    /// The whole name of a data file.
    pub(super) fn resolve_data(&self, importer: &str, asked: &str) -> Result<String, ReadError> {
        self.inside(importer, asked, |asked| {
            let hint = "load it: load(\"…\", \"name\")".to_owned();
            let is_starlark = Path::new(asked).extension().is_some_and(|ending| ending == "star");
            is_starlark.then(|| ReadError::new(format!("`{asked}` is a Starlark file"), Some(hint)))
        })
    }

    /// The name of a file in the configuration's directory, unless it is of the wrong kind.
    #[expect(clippy::unused_self, reason = "the counterpart of `read`; a caller has both from one value")]
    fn inside(
        &self,
        importer: &str,
        asked: &str,
        wrong: impl Fn(&str) -> Option<ReadError>,
    ) -> Result<String, ReadError> {
        if asked.starts_with('@') {
            let hint =
                format!("the standard library is `{}`; the names of your own files have no `@`", library::PREFIX);
            return Err(ReadError::new(format!("there is no library `{asked}`"), Some(hint)));
        }
        if asked.starts_with('/') && !asked.starts_with("//") || asked.contains(['\\', ':']) {
            let hint =
                "name files relative to this one, or from the configuration's directory: `//lib/x.star`".to_owned();
            return Err(ReadError::new(format!("`{asked}` is not a relative path"), Some(hint)));
        }
        if let Some(error) = wrong(asked) {
            return Err(error);
        }
        let (base, rest) = match asked.strip_prefix("//") {
            Some(rest) if !library::is_library(importer) => ("", rest),
            _ => directory_of(importer, asked),
        };
        join(base, rest).ok_or_else(|| outside(asked))
    }

    /// The text of a file.
    pub(super) fn read(&self, name: &str) -> Result<String, ReadError> {
        match self {
            Self::Kept(sources) => sources
                .files
                .get(name)
                .cloned()
                .ok_or_else(|| ReadError::new(format!("the kept configuration has no file `{name}`"), None)),
            Self::Disk { .. } | Self::Asked { .. } if library::is_library(name) => {
                library::text(name).map(str::to_owned).ok_or_else(|| {
                    let names: Vec<String> = library::names().collect();
                    let meant = nearest(name, names.iter().map(String::as_str));
                    let hint = meant.map_or_else(
                        || format!("there are: {}", names.join(", ")),
                        |meant| format!("did you mean `{meant}`?"),
                    );
                    ReadError::new(format!("the standard library has no file `{name}`"), Some(hint))
                })
            }
            Self::Disk { root, main } => read_below(root, name, name == main),
            Self::Asked { .. } => Err(ReadError::new(format!("nobody was asked for `{name}`"), None)),
        }
    }

    /// The paths of those files that are on disk.
    pub(super) fn watch<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<PathBuf> {
        match self {
            Self::Kept(_) | Self::Asked { .. } => Vec::new(),
            Self::Disk { root, .. } => {
                names.filter(|name| !name.starts_with('@')).map(|name| root.join(name)).collect()
            }
        }
    }
}

/// What to write instead of loading a file of another kind.
fn not_starlark(asked: &str) -> Option<String> {
    const DATA: [&str; 9] = ["json", "yaml", "yml", "toml", "ini", "cfg", "conf", "txt", "csv"];
    let last = asked.rsplit('/').next().unwrap_or(asked);
    match last.rsplit_once('.') {
        Some((_, "py")) => Some("Python modules cannot be loaded: write what is needed into a `.star` file".to_owned()),
        Some((_, ending)) if DATA.contains(&ending) => Some(format!("read it as data: data(\"{asked}\")")),
        None => Some(format!("name the file: load(\"{asked}.star\", …)")),
        Some(_) if asked.starts_with("buildbot.") => {
            Some("the library is loaded file by file, e.g. load(\"@stdlib//steps.star\", \"sh\")".to_owned())
        }
        Some(_) => None,
    }
}

/// The directory of a file and the rest of what it asks for.
fn directory_of<'n>(importer: &'n str, asked: &'n str) -> (&'n str, &'n str) {
    let base = if library::is_library(importer) { library::PREFIX } else { importer };
    match base.rfind('/') {
        Some(_) if base == library::PREFIX => (library::PREFIX, asked),
        Some(slash) => (&base[..slash], asked),
        None => ("", asked),
    }
}

/// A directory and a relative path below the root; none if it leads out of it.
fn join(base: &str, rest: &str) -> Option<String> {
    if base == library::PREFIX {
        let plain = !rest.contains('/') && !rest.starts_with('.');
        return plain.then(|| format!("{base}{rest}"));
    }
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

fn outside(asked: &str) -> ReadError {
    let hint = "a configuration consists of its directory only; copy or link nothing from elsewhere".to_owned();
    ReadError::new(format!("`{asked}` is outside the configuration's directory"), Some(hint))
}

/// Opens a file without waiting for whoever may be at the other end of it.
fn open_at_once(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    options.open(path)
}

/// Reading a pipe or a device could wait for ever, or do something.
fn not_a_file(name: &str, facts: &std::fs::Metadata) -> ReadError {
    let what = if facts.is_dir() { "a directory" } else { "a pipe, a socket or a device" };
    ReadError::new(format!("`{name}` is {what}, not a file"), Some("load a file with Starlark text".to_owned()))
}

/// The hint for a missing file that has the name of one of the library's.
fn of_library(name: &str) -> Option<String> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let whole = format!("{}{last}", library::PREFIX);
    library::text(&whole).map(|_| format!("the standard library's file is `{whole}`"))
}

fn read_below(root: &Path, name: &str, is_main: bool) -> Result<String, ReadError> {
    let path = root.join(name);
    let fail = |error: std::io::Error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let hint = missing.then(|| of_library(name).or_else(|| similar(&path))).flatten();
        ReadError::new(format!("failed to read `{name}`: {error}"), hint)
    };
    let real = path.canonicalize().map_err(fail)?;
    // The main file was named by a person, who may link it; whatever it loads has to stay inside.
    if !is_main && !real.starts_with(root) {
        return Err(outside(name));
    }
    let facts = std::fs::metadata(&real).map_err(fail)?;
    if !facts.is_file() {
        return Err(not_a_file(name, &facts));
    }
    let too_large = |size: u64| {
        let message = format!("`{name}` has {} MB, more than {}", size >> 20, FILE_BYTES_MAX >> 20);
        ReadError::new(message, Some("write loops, or several files".to_owned()))
    };
    if facts.len() > FILE_BYTES_MAX as u64 {
        return Err(too_large(facts.len()));
    }
    let file = open_at_once(&real).map_err(fail)?;
    // What has the name now may be something else than a moment ago.
    let facts = file.metadata().map_err(fail)?;
    if !facts.is_file() {
        return Err(not_a_file(name, &facts));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(fail)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(too_large(bytes.len() as u64));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let hint = "save it as UTF-8".to_owned();
        return Err(ReadError::new(format!("`{name}` is UTF-16"), Some(hint)));
    }
    String::from_utf8(bytes).map(without_mark).map_err(|error| {
        #[expect(clippy::naive_bytecount, reason = "one file, in the path of an error")]
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        ReadError::new(format!("`{name}` is not UTF-8 in line {}", line + 1), Some("save it as UTF-8".to_owned()))
    })
}

/// A text without the mark that some editors put before UTF-8.
fn without_mark(text: String) -> String {
    text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)
}

/// The Starlark files of a directory, the usual name first; a few of them.
fn configurations(directory: &Path) -> Vec<String> {
    const LISTED_MAX: usize = 5;
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "star")).collect();
    found.sort_by_key(|path| (!path.ends_with("master.star"), path.clone()));
    found.truncate(LISTED_MAX);
    found.iter().map(|path| format!("`{}`", path.display())).collect()
}

/// The file beside a missing one that was probably meant.
fn similar(path: &Path) -> Option<String> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    // What all such files end with makes none of them alike.
    let stems = names.iter().filter_map(|name| Path::new(name).file_stem()?.to_str());
    let meant = nearest(path.file_stem()?.to_str()?, stems)?;
    let meant = names.iter().find(|name| Path::new(name).file_stem().is_some_and(|stem| stem == meant))?;
    Some(format!("did you mean `{meant}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        Files::kept(Sources { main: "master.star".to_owned(), files: std::collections::BTreeMap::new() })
    }

    #[test]
    fn names_are_relative_to_the_importing_file() {
        let resolve = |importer: &str, asked: &str| files().resolve(importer, asked);
        assert_eq!(resolve("master.star", "lib/x.star"), Ok("lib/x.star".to_owned()));
        assert_eq!(resolve("lib/x.star", "y.star"), Ok("lib/y.star".to_owned()));
        assert_eq!(resolve("lib/x.star", "../z.star"), Ok("z.star".to_owned()));
        assert_eq!(resolve("lib/x.star", "//lib/deep/../y.star"), Ok("lib/y.star".to_owned()));
        assert_eq!(resolve("lib/x.star", "@stdlib//steps.star"), Ok("@stdlib//steps.star".to_owned()));
        assert_eq!(resolve("@stdlib//steps.star", "text.star"), Ok("@stdlib//text.star".to_owned()));
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        for asked in ["../x.star", "lib/../../x.star", "/etc/passwd", "C:\\x.star", "@other//x.star", ".."] {
            assert!(files().resolve("master.star", asked).is_err(), "{asked}");
        }
        assert!(files().resolve("@stdlib//steps.star", "../x.star").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_out_of_the_directory_are_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let inside = scratch.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(scratch.path().join("secret.star"), "x = 1").unwrap();
        std::fs::write(inside.join("master.star"), "").unwrap();
        std::os::unix::fs::symlink("../secret.star", inside.join("link.star")).unwrap();
        let files = Files::on_disk(&inside.join("master.star")).unwrap();
        assert_eq!(files.read("link.star"), Err(outside("link.star")));
        assert!(files.read("master.star").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_directory_is_refused_and_not_opened() {
        let scratch = tempfile::tempdir().unwrap();
        let fifo = scratch.path().join("fifo.star");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        std::fs::create_dir(scratch.path().join("dir.star")).unwrap();
        std::os::unix::fs::symlink("fifo.star", scratch.path().join("link.star")).unwrap();
        std::fs::write(scratch.path().join("master.star"), "").unwrap();
        let files = Files::on_disk(&scratch.path().join("master.star")).unwrap();
        for name in ["fifo.star", "dir.star", "link.star"] {
            let error = files.read(name).unwrap_err();
            assert!(error.message.contains("not a file"), "{}", error.message);
        }
    }

    #[test]
    fn missing_file_names_its_neighbour() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("types.star"), "").unwrap();
        assert_eq!(similar(&scratch.path().join("helpers.star")), None);
        assert_eq!(similar(&scratch.path().join("type.star")).as_deref(), Some("did you mean `types.star`?"));
        std::fs::write(scratch.path().join("master.star"), "").unwrap();
        let problem = Files::on_disk(&scratch.path().join("mastr.star")).unwrap_err();
        assert_eq!(problem.hint.as_deref(), Some("did you mean `master.star`?"));
    }
}

//! What the worker reports about itself and its machine (docs/reference/worker-protocol.md#info).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::runner::without_ours;
use crate::base::environment::variables_os;
use crate::protocol::{Caps, WorkerInfo};

/// How many files of the directory `info` are reported, and how long each may be. They are for people.
const FILES_MAX: usize = 64;
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The command set whose messages we speak.
const COMMANDS_VERSION: &str = "3.3";

/// Commands that a master may send us.
const COMMANDS: [&str; 11] = [
    "shell",
    "mkdir",
    "rmdir",
    "cpdir",
    "stat",
    "glob",
    "listdir",
    "rmfile",
    "upload_file",
    "upload_directory",
    "download_file",
];

/// Gathers the info. Files are read each time, so an edit shows at the next connection.
pub(super) fn gather(dir: &Path, instance: &str, caps: Caps) -> WorkerInfo {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    let mut facts = os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    facts.extend(info_files(&dir.join("info")));
    WorkerInfo {
        system: if cfg!(windows) { "nt" } else { "posix" }.to_owned(),
        basedir: dir.to_string_lossy().into_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        numcpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        environ: without_ours(variables_os()).into_iter().map(|(name, value)| (text(name), text(value))).collect(),
        worker_commands: COMMANDS.iter().map(|name| ((*name).to_owned(), COMMANDS_VERSION.to_owned())).collect(),
        delete_leftover_dirs: false,
        facts,
        caps,
        instance: caps.resume.then(|| instance.to_owned()),
    }
}

/// The name and content of every plain text file in the directory.
fn info_files(directory: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(directory) else { return BTreeMap::new() };
    let short = |path: &Path| path.metadata().is_ok_and(|data| data.is_file() && data.len() <= FILE_BYTES_MAX);
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| short(path)).collect();
    paths.sort();
    paths.truncate(FILES_MAX);
    let file =
        |path: &std::path::PathBuf| Some((path.file_name()?.to_str()?.to_owned(), fs::read_to_string(path).ok()?));
    paths.iter().filter_map(file).collect()
}

/// The entries of `/etc/os-release` under the protocol's names.
fn os_release(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            (format!("os_{}", key.trim().to_lowercase()), value.trim().trim_matches(['"', '\'']).to_owned())
        })
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_is_told_under_the_protocols_names() {
        let facts = os_release("# comment\nNAME=\"Debian GNU/Linux\"\nID=debian\nEMPTY=\"\"\nnonsense\n");
        let want = [("os_id", "debian"), ("os_name", "Debian GNU/Linux")];
        assert_eq!(facts, want.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn files_for_people_are_told_and_others_are_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("info/directory")).unwrap();
        fs::write(dir.path().join("info/admin"), "Ada\n").unwrap();
        fs::write(dir.path().join("info/latin"), b"\xe4").unwrap();
        let info = gather(dir.path(), "id-1", Caps::OURS);
        assert_eq!(info.facts.get("admin").map(String::as_str), Some("Ada\n"));
        assert!(!info.facts.contains_key("latin") && !info.facts.contains_key("directory"));
        assert_eq!(info.instance.as_deref(), Some("id-1"));
        assert!(info.numcpus > 0 && info.environ.contains_key("PATH"));
        assert_eq!(gather(dir.path(), "id-1", Caps::default()).instance, None);
    }
}

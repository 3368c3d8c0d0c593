//! Node with a package from npm, in a directory that is made once and kept below the target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A directory whose `node_modules` has this package (`name@version`). Several tests, threads or processes may ask at the
/// same time: one makes it, the others wait.
pub fn node_with(package: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-tools");
    fs::create_dir_all(&tools).unwrap();
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    let name: String = package.chars().map(fit).collect();
    let directory = tools.join(format!("node-{name}"));
    let ready = directory.join("ready");

    let lock = File::create(tools.join(format!("node-{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if !ready.exists() {
        let _half_made = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("package.json"), "{\"private\": true}").unwrap();
        let mut install = Command::new("npm");
        install.args(["install", "--silent", "--no-audit", "--no-fund", package]).current_dir(&directory);
        let output = install.output().unwrap_or_else(|error| panic!("{install:?}: {error}; `make tools` installs it"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{install:?}: {}\n{said}", output.status);
        File::create(ready).unwrap();
    }
    directory
}

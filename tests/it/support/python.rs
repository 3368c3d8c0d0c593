//! Python with packages from PyPI, in virtual environments that are made once and kept below the target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The interpreter of a virtual environment that has these packages (`name==version`). Several tests, threads or
/// processes may ask at the same time: one makes it, the others wait.
pub fn python_with(packages: &[&str]) -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("test-tools");
    fs::create_dir_all(&tools).unwrap();
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '_' };
    let name: String = packages.join("+").chars().map(fit).collect();
    let directory = tools.join(format!("python-{name}"));
    let python = directory.join("bin/python");
    let ready = directory.join("ready");

    let lock = File::create(tools.join(format!("python-{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if !ready.exists() {
        let _half_made = fs::remove_dir_all(&directory);
        succeed(Command::new("python3").args(["-m", "venv"]).arg(&directory));
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
        succeed(Command::new(&python).args(pip).args(packages));
        File::create(ready).unwrap();
    }
    python
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; `make tools` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

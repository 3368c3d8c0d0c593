//! What must not be there when the work is done.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::client::items;
use super::fleet::Fleet;

/// What is to go goes soon; only a run that fails waits so long.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is left of a round that is over: open requests or builds, spooled commands.
pub fn of_round(fleet: &mut Fleet) -> Vec<String> {
    patiently(|| {
        fleet.look_after();
        let address = fleet.address();
        let mut left = match open_work(&address) {
            Ok(open) => open,
            Err(error) => vec![format!("the master does not answer: {error}")],
        };
        left.extend(fleet.spooled().iter().map(|file| format!("spool file {}", file.display())));
        left
    })
}

fn open_work(address: &str) -> io::Result<Vec<String>> {
    let mut open = Vec::new();
    for path in ["buildrequests?complete=false", "builds?complete=false", "buildsets?complete=false"] {
        open.extend(items(address, path)?.iter().map(|item| format!("{path}: {item}")));
    }
    Ok(open)
}

/// Processes that have something of a directory: their program, their words, or their variables.
pub fn processes(place: &Path) -> Vec<String> {
    let place = place.display().to_string();
    patiently(|| {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes.filter_map(|process| describe(&process.path()).filter(|found| found.contains(&place))).collect()
    })
}

fn describe(process: &Path) -> Option<String> {
    let _: u32 = process.file_name()?.to_str()?.parse().ok()?;
    let text = |name: &str| {
        let bytes = fs::read(process.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).replace('\0', " ")
    };
    let program = fs::read_link(process.join("exe")).map(|path| path.display().to_string()).unwrap_or_default();
    Some(format!("{}: {program}: {} {}", process.display(), text("cmdline"), text("environ")))
}

/// Looks until nothing is left, or the patience is.
fn patiently(mut look: impl FnMut() -> Vec<String>) -> Vec<String> {
    let began = Instant::now();
    loop {
        let left = look();
        if left.is_empty() || began.elapsed() > PATIENCE {
            return left;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

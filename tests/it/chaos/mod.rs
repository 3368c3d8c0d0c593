//! Chaos: a whole installation of real processes that are killed, frozen, cut off and upgraded while it works, compared
//! with an undisturbed one.
//!
//! Two profiles run in the suite, each for one round of fifty builds. `make chaos` runs the same for longer:
//! `STARWRIGHT_CHAOS_SECONDS` adds rounds until so much time is over, `STARWRIGHT_CHAOS_SEED` chooses the faults. The
//! report that it prints goes into `docs/reliability.md`.

mod chance;
mod client;
mod faults;
mod fleet;
mod history;
mod leftovers;
mod recipe;
mod report;
mod rounds;
mod work;

use std::time::Duration;

use self::rounds::{Profile, run};

/// The seed of the suite's runs.
const SEED: u64 = 20_261_122;

#[test]
fn our_workers_under_fire_do_what_undisturbed_ones_do() {
    run(Profile::Ours, seconds(), seed());
}

#[test]
fn with_a_stock_worker_only_its_own_builds_are_repeated() {
    run(Profile::OneStock, seconds(), seed());
}

/// For how long rounds go on; none is over at once, so that there is one.
fn seconds() -> Duration {
    Duration::from_secs(number("STARWRIGHT_CHAOS_SECONDS").unwrap_or(0))
}

fn seed() -> u64 {
    number("STARWRIGHT_CHAOS_SEED").unwrap_or(SEED)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} must be a whole number, not `{text}`")))
}

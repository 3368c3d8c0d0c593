//! The tiers of tests: `make test` takes the small form of what has two, `make test-full` the whole one.

/// Whether `make test-full` runs.
pub fn is_full() -> bool {
    std::env::var_os("STARWRIGHT_TEST_FULL").is_some()
}

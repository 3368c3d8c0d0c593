//! The one place that reads environment variables.

/// The value of a variable of this process; none if it is not set or not Unicode.
#[must_use]
pub fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

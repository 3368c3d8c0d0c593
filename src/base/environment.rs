//! The one place that reads environment variables.

/// The value of a variable of this process; none if it is not set or not Unicode.
#[expect(clippy::disallowed_methods, reason = "this is the place")]
pub fn environment_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

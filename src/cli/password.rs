//! Asks for a password, without showing it.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use super::error::CliError;

/// No password is longer; what comes after it would be cut off without a word.
const BYTES_MAX: u64 = 4_096;

/// A password: from a file, from a terminal, or the first line of standard input.
pub(super) fn read(file: Option<&Path>, prompt: &str) -> Result<String, CliError> {
    match file {
        Some(path) => {
            let text = std::fs::read_to_string(path);
            let text =
                text.map_err(|error| CliError::environment(format!("failed to read `{}`: {error}", path.display())))?;
            Ok(first_line(&text))
        }
        None if io::stdin().is_terminal() => rpassword::prompt_password(prompt).map_err(unreadable),
        None => {
            let mut text = String::new();
            io::stdin().take(BYTES_MAX).read_to_string(&mut text).map_err(unreadable)?;
            Ok(first_line(&text))
        }
    }
}

/// A new password, which somebody at a terminal types twice.
pub(super) fn read_new(file: Option<&Path>, user: &str) -> Result<String, CliError> {
    let password = read(file, &format!("New password of {user}: "))?;
    if file.is_none() && io::stdin().is_terminal() && read(None, "Once more: ")? != password {
        return Err(CliError::user("the two passwords differ"));
    }
    Ok(password)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn unreadable(error: io::Error) -> CliError {
    CliError::environment(format!("failed to read the password: {error}"))
}

//! How a value stands in a line for a shell, so that it arrives as it is.
//!
//! Pure text. Where in a line a value stands is found out by `config`; a secret's value is quoted only when
//! it is handed out, so the way of quoting travels with its name.

use serde::{Deserialize, Serialize};

/// What surrounds a value in a line for a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Quote {
    /// No quotes.
    Bare,
    /// Single quotes that are open.
    Single,
    /// Double quotes that are open.
    Double,
    /// A shell whose quoting cannot be relied upon (`cmd`, PowerShell): only harmless characters pass.
    Checked,
}

impl Quote {
    /// The value as it has to stand there.
    ///
    /// # Errors
    /// What is wrong with a value that cannot stand there.
    pub fn quoted(self, value: &str) -> Result<String, &'static str> {
        if value.contains('\0') {
            return Err("holds a NUL character, which no command can be given");
        }
        match self {
            Self::Bare => Ok(format!("'{}'", in_single(value))),
            Self::Single => Ok(in_single(value)),
            // The double quotes end before the value and open again behind it.
            Self::Double => Ok(format!("\"'{}'\"", in_single(value))),
            Self::Checked if value.chars().all(is_harmless) => Ok(value.to_owned()),
            Self::Checked => Err("holds characters that cmd or PowerShell may execute"),
        }
    }
}

fn in_single(value: &str) -> String {
    value.replace('\'', "'\\''")
}

/// Characters that no shell gives a meaning.
#[must_use]
pub fn is_harmless(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "_./:@+-".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_surrounding_has_its_form() {
        assert_eq!(Quote::Bare.quoted("it's").as_deref(), Ok("'it'\\''s'"));
        assert_eq!(Quote::Single.quoted("it's").as_deref(), Ok("it'\\''s"));
        assert_eq!(Quote::Double.quoted("$x").as_deref(), Ok("\"'$x'\""));
        assert_eq!(Quote::Bare.quoted("").as_deref(), Ok("''"));
    }

    #[test]
    fn what_cannot_be_quoted_is_refused() {
        assert!(Quote::Single.quoted("a\0b").is_err());
        assert_eq!(Quote::Checked.quoted("v1.2+b@x:/y_-").as_deref(), Ok("v1.2+b@x:/y_-"));
        for value in ["a b", "a&b", "%PATH%", "é", "a\nb", "\"", "$x", "^"] {
            assert!(Quote::Checked.quoted(value).is_err(), "{value}");
        }
    }
}

//! Text that may hold secrets: their names travel, their values never enter the model.

use serde::{Deserialize, Serialize};

use super::quote::Quote;

/// A part of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Piece {
    /// Literal text.
    Plain(String),
    /// The value of the secret of this name, filled in when the text is handed to a worker or server.
    Secret(String),
    /// The same in a line for a shell, where the value is quoted as its surroundings need it.
    QuotedSecret(String, Quote),
}

/// A text with places for secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Text(pub Vec<Piece>);

impl Text {
    /// A text without secrets.
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Piece::Plain(text.into())])
    }

    /// The names of the secrets in it, in order.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Secret(name) | Piece::QuotedSecret(name, _) => Some(name.as_str()),
            Piece::Plain(_) => None,
        })
    }

    /// The text for people: each secret shows as `<name>`.
    #[must_use]
    pub fn masked(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text.clone(),
                Piece::Secret(name) | Piece::QuotedSecret(name, _) => format!("<{name}>"),
            })
            .collect()
    }

    /// The text with each secret replaced by what `find` says, quoted where it stands in a shell's line.
    ///
    /// # Errors
    /// What is wrong with the first secret that cannot be filled in, naming it.
    pub fn reveal(&self, mut find: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut value = |name: &str| find(name).ok_or_else(|| format!("secret `{name}` has no value"));
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Secret(name) => out.push_str(&value(name)?),
                Piece::QuotedSecret(name, quote) => {
                    let quoted = quote.quoted(&value(name)?);
                    let advice = "hand it over in `env`";
                    out.push_str(&quoted.map_err(|why| format!("secret `{name}` {why}: {advice}"))?);
                }
            }
        }
        Ok(out)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::plain(text)
    }
}

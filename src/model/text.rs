//! Text that may hold secrets: their names travel, their values never enter the model.

use serde::{Deserialize, Serialize};

/// A part of a [`Text`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Piece {
    /// Literal text.
    Plain(String),
    /// The value of the secret of this name, filled in when the text is handed to a worker or server.
    Secret(String),
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
            Piece::Secret(name) => Some(name.as_str()),
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
                Piece::Secret(name) => format!("<{name}>"),
            })
            .collect()
    }

    /// The text with each secret replaced by what `find` says; the name of the first one it does not
    /// know is the error.
    pub fn reveal(&self, mut find: impl FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Secret(name) => out.push_str(&find(name).ok_or_else(|| name.clone())?),
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

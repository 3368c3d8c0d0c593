//! Text that may hold secrets: their names travel, their values never enter the model.

use serde::{Deserialize, Serialize};

use super::address;
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
    /// A part of an address, cut out once the secrets of the whole are known.
    Address { part: AddressPart, of: Text },
}

impl Piece {
    fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Secret(name) | Self::QuotedSecret(name, _) => vec![name.as_str()],
            Self::Plain(_) => Vec::new(),
            Self::Address { of, .. } => of.secrets().collect(),
        }
    }
}

/// What of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AddressPart {
    /// The address without a login that holds a secret.
    Plain,
    /// The HTTP header that holds this login; empty if there is none.
    Header,
    /// The server of a web address; empty for others.
    Server,
}

impl AddressPart {
    /// This part of an address.
    fn of(self, whole: &str) -> String {
        match self {
            Self::Plain => address::without_login(whole),
            Self::Header => address::login_header(whole).unwrap_or_default(),
            Self::Server => address::web_server(whole).unwrap_or_default(),
        }
    }
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
        self.0.iter().flat_map(Piece::secrets)
    }

    /// Whether people must not see all of it: it holds secrets, or the login of an address.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        let is_login = |piece: &Piece| matches!(piece, Piece::Address { part: AddressPart::Header, .. });
        self.0.iter().any(is_login) || self.secrets().next().is_some()
    }

    /// The text for people: each secret shows as `<name>`.
    #[must_use]
    pub fn masked(&self) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => text.clone(),
                Piece::Secret(name) | Piece::QuotedSecret(name, _) => format!("<{name}>"),
                Piece::Address { part: AddressPart::Header, .. } => "<login>".to_owned(),
                Piece::Address { part, of } => part.of(&of.with_token_marked(of.masked())),
            })
            .collect()
    }

    /// The text with each secret replaced by what `find` says, quoted where it stands in a shell's line.
    ///
    /// # Errors
    /// What is wrong with the first secret that cannot be filled in, naming it.
    pub fn reveal(&self, find: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Plain(text) => out.push_str(text),
                Piece::Secret(name) => out.push_str(&value_of(name, find)?),
                Piece::QuotedSecret(name, quote) => {
                    let quoted = quote.quoted(&value_of(name, find)?);
                    let advice = "hand it over in `env`";
                    out.push_str(&quoted.map_err(|why| format!("secret `{name}` {why}: {advice}"))?);
                }
                Piece::Address { part, of } => {
                    let whole = of.reveal(&mut *find)?;
                    out.push_str(&part.of(&of.with_token_marked(whole)));
                }
            }
        }
        Ok(out)
    }

    /// The logins that its pieces take out of addresses, as they are written: what must not show in any output. `find`
    /// is that of [`Text::reveal`].
    pub fn logins(&self, find: &mut dyn FnMut(&str) -> Option<String>) -> Vec<String> {
        let mut logins = Vec::new();
        for piece in &self.0 {
            if let Piece::Address { part: AddressPart::Header, of } = piece
                && let Ok(whole) = of.reveal(&mut *find)
            {
                let whole = of.with_token_marked(whole);
                let header = address::login_header(&whole);
                logins.extend(header.as_deref().and_then(|header| header.rsplit(' ').next()).map(str::to_owned));
                let (user, password) = address::secret_login(&whole).unwrap_or_default();
                logins.push(if password.is_empty() { user } else { password });
            }
        }
        logins.retain(|login| !login.is_empty());
        logins
    }

    /// The whole of this address, whose login is a token without a password, with the colon that says so: what a secret
    /// fills in is no person's name, however short.
    fn with_token_marked(&self, whole: String) -> String {
        let masked = self.masked();
        let login = masked.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        match (login, whole.split_once("://")) {
            (Some((login, _)), Some((scheme, rest))) if login.contains('<') && !login.contains(':') => {
                let (login, host) = rest.split_once('@').unwrap_or((rest, ""));
                format!("{scheme}://{login}:@{host}")
            }
            _ => whole,
        }
    }
}

fn value_of(name: &str, find: &mut dyn FnMut(&str) -> Option<String>) -> Result<String, String> {
    find(name).ok_or_else(|| format!("secret `{name}` has no value"))
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::plain(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(before: &str, after: &str) -> Text {
        Text(vec![Piece::Plain(before.into()), Piece::Secret("token".into()), Piece::Plain(after.into())])
    }

    fn part(part: AddressPart, of: &Text) -> String {
        Text(vec![Piece::Address { part, of: of.clone() }]).reveal(&mut |_| Some("s3cret".into())).unwrap()
    }

    #[test]
    fn a_login_is_cut_out_of_an_address() {
        let with_password = repository("https://ann:", "@example.org/r.git");
        assert_eq!(part(AddressPart::Plain, &with_password), "https://example.org/r.git");
        assert_eq!(part(AddressPart::Header, &with_password), "Authorization: Basic YW5uOnMzY3JldA==");
        assert_eq!(part(AddressPart::Server, &with_password), "https://example.org/");
    }

    #[test]
    fn a_secret_in_place_of_a_name_is_a_login() {
        let token = repository("https://", "@example.org/r.git");
        assert_eq!(part(AddressPart::Plain, &token), "https://example.org/r.git");
        assert_eq!(part(AddressPart::Header, &token), "Authorization: Basic czNjcmV0Og==");
        let path = repository("https://ann@example.org/", ".git");
        assert_eq!(part(AddressPart::Plain, &path), "https://ann@example.org/s3cret.git");
        assert_eq!(part(AddressPart::Header, &path), "");
    }

    #[test]
    fn people_see_no_login() {
        let of = repository("https://ann:", "@example.org/r.git");
        let masked = |part| Text(vec![Piece::Address { part, of: of.clone() }]).masked();
        assert_eq!(masked(AddressPart::Plain), "https://example.org/r.git");
        assert_eq!(masked(AddressPart::Header), "<login>");
        let header = Text(vec![Piece::Address { part: AddressPart::Header, of }]);
        assert_eq!(header.secrets().collect::<Vec<_>>(), ["token"]);
        assert_eq!(header.logins(&mut |_| Some("s3cret".into())), ["YW5uOnMzY3JldA==", "s3cret"]);
    }
}

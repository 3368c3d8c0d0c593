//! Where values come from: a directory with one file per secret, then environment variables of the master.
//!
//! Nothing is cached. Each value is read when it is needed, so a changed secret works at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::forms::CHARS_MIN;
use crate::base::environment;
use crate::model::{SecretsPlan, Text};

/// The directory beside the configuration, if the plan names none.
const DIRECTORY: &str = "secrets";
/// The largest value that is read. Keys and certificates have a few KiB; a larger file is a mistake.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A secret has no value. The text names the secret and where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SecretError {
    pub message: String,
}

/// Finds values of secrets; reads files and variables anew each time, so that a changed secret works at once.
#[derive(Clone, Debug)]
pub struct Secrets {
    directory: PathBuf,
    prefix: Option<String>,
    variable: fn(&str) -> Option<String>,
}

/// A text with its secrets filled in. None of it may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Revealed {
    pub text: String,
    /// The secrets by name.
    pub values: BTreeMap<String, String>,
    /// Logins of addresses.
    pub logins: Vec<String>,
}

impl Secrets {
    /// `base` is the directory of the configuration.
    pub fn new(plan: &SecretsPlan, base: &Path) -> Self {
        Self {
            directory: base.join(plan.dir.as_deref().unwrap_or(DIRECTORY)),
            prefix: plan.env_prefix.clone(),
            variable: environment::variable,
        }
    }

    /// The value of a secret: the content of its file without a trailing newline, otherwise its variable.
    pub fn get(&self, name: &str) -> Result<String, SecretError> {
        if !is_file_name(name) {
            return Err(refuse(format!("secret `{name}` cannot be: a name is letters, digits, `-`, `_` and `.`")));
        }
        let value = match self.in_file(name)? {
            Some(value) => value,
            None => self.in_variable(name).ok_or_else(|| self.missing(name))?,
        };
        if value.is_empty() { Err(refuse(format!("secret `{name}` is empty"))) } else { Ok(value) }
    }

    /// What is wrong with a secret: it has no value, or one that the redactor cannot hide.
    pub fn fault(&self, name: &str) -> Option<SecretError> {
        match self.get(name) {
            Err(error) => Some(error),
            Ok(value) if value.chars().count() < CHARS_MIN => Some(refuse(format!(
                "secret `{name}` is shorter than {CHARS_MIN} characters, so it is not hidden where output repeats it"
            ))),
            Ok(_) => None,
        }
    }

    /// Fills in the secrets of a text, and returns the values that it used (for a [`super::Redactor`]).
    pub fn reveal(&self, text: &Text) -> Result<(String, Vec<(String, String)>), SecretError> {
        let Revealed { text, values, logins } = self.open(text)?;
        let logins = logins.into_iter().map(|login| ("login".to_owned(), login));
        Ok((text, values.into_iter().chain(logins).collect()))
    }

    /// Fills in the secrets of a text; the values that it used are kept apart from the logins that they are part of.
    pub fn open(&self, text: &Text) -> Result<Revealed, SecretError> {
        let values = text.secrets().map(|name| Ok((name.to_owned(), self.get(name)?)));
        let values: BTreeMap<String, String> = values.collect::<Result<_, SecretError>>()?;
        let mut find = |name: &str| values.get(name).cloned();
        let revealed = text.reveal(&mut find).map_err(refuse)?;
        let logins = text.logins(&mut find);
        Ok(Revealed { text: revealed, values, logins })
    }

    fn in_file(&self, name: &str) -> Result<Option<String>, SecretError> {
        let path = self.directory.join(name);
        match read_bounded(&path) {
            Ok(mut value) => {
                let kept = value.strip_suffix('\n').map_or(value.len(), |line| line.trim_end_matches('\r').len());
                value.truncate(kept);
                Ok(Some(value))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(refuse(format!("secret `{name}` cannot be read from `{}`: {error}", path.display()))),
        }
    }

    fn in_variable(&self, name: &str) -> Option<String> {
        (self.variable)(&variable_name(self.prefix.as_deref()?, name))
    }

    fn missing(&self, name: &str) -> SecretError {
        let file = self.directory.join(name);
        let file = file.display();
        refuse(match &self.prefix {
            None => format!("secret `{name}` is missing: there is no file `{file}`"),
            Some(prefix) => {
                let variable = variable_name(prefix, name);
                format!("secret `{name}` is missing: there is neither file `{file}` nor variable `{variable}`")
            }
        })
    }
}

const fn refuse(message: String) -> SecretError {
    SecretError { message }
}

/// Keeps a name inside the directory, on every system.
fn is_file_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.'))
}

fn read_bounded(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {SECRET_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is not UTF-8"))
}

/// `linux-1` with prefix `STARWRIGHT_SECRET_` is `STARWRIGHT_SECRET_LINUX_1`.
fn variable_name(prefix: &str, name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    format!("{prefix}{}", name.chars().map(letter).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Piece;

    fn secrets(files: &[(&str, &[u8])], prefix: Option<&str>) -> (tempfile::TempDir, Secrets) {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("secrets")).unwrap();
        for (name, value) in files {
            std::fs::write(base.path().join("secrets").join(name), value).unwrap();
        }
        let plan = SecretsPlan { env_prefix: prefix.map(str::to_owned), ..SecretsPlan::default() };
        let variable = |name: &str| (name == "CI_LINUX_1").then(|| "from variable".to_owned());
        let secrets = Secrets { variable, ..Secrets::new(&plan, base.path()) };
        (base, secrets)
    }

    #[test]
    fn a_file_is_read_without_its_last_line_end() {
        let (_base, secrets) = secrets(&[("a", b"one\n"), ("b", b"two\r\n"), ("c", b"x\ny\n\n"), ("d", b" d ")], None);
        assert_eq!(secrets.get("a").as_deref(), Ok("one"));
        assert_eq!(secrets.get("b").as_deref(), Ok("two"));
        assert_eq!(secrets.get("c").as_deref(), Ok("x\ny\n"));
        assert_eq!(secrets.get("d").as_deref(), Ok(" d "));
    }

    #[test]
    fn a_changed_file_counts_at_once() {
        let (base, secrets) = secrets(&[("a", b"old")], None);
        assert_eq!(secrets.get("a").as_deref(), Ok("old"));
        std::fs::write(base.path().join("secrets/a"), "new").unwrap();
        assert_eq!(secrets.get("a").as_deref(), Ok("new"));
    }

    #[test]
    fn a_variable_stands_in_for_a_missing_file() {
        let (base, secrets) = secrets(&[], Some("CI_"));
        assert_eq!(secrets.get("linux-1").as_deref(), Ok("from variable"));
        std::fs::write(base.path().join("secrets/linux-1"), "from file").unwrap();
        assert_eq!(secrets.get("linux-1").as_deref(), Ok("from file"));
    }

    #[test]
    fn a_missing_one_is_named_with_the_places_looked_at() {
        let (_base, secrets) = secrets(&[], Some("CI_"));
        let error = secrets.get("to.ken").unwrap_err().to_string();
        assert!(error.contains("`to.ken`") && error.contains("secrets/to.ken") && error.contains("`CI_TO_KEN`"));
    }

    #[test]
    fn names_do_not_lead_out_of_the_directory() {
        let (base, secrets) = secrets(&[], None);
        std::fs::write(base.path().join("outside"), "value").unwrap();
        for name in ["../outside", "..", "", "/etc/hostname", "a\\b", "a/b", ".hidden"] {
            assert!(secrets.get(name).is_err(), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_a_value_is_refused_without_showing_it() {
        let long = vec![b'v'; usize::try_from(SECRET_BYTES_MAX).unwrap() + 1];
        let (_base, secrets) = secrets(&[("empty", b"\n"), ("latin", b"caf\xe9"), ("long", &long)], None);
        for (name, why) in [("empty", "empty"), ("latin", "UTF-8"), ("long", "longer")] {
            let error = secrets.get(name).unwrap_err().to_string();
            assert!(error.contains(why) && !error.contains("caf") && !error.contains("vvv"), "{error}");
        }
    }

    #[test]
    fn a_text_is_filled_in_and_says_what_it_used() {
        let (_base, secrets) = secrets(&[("user", b"ann"), ("pass", b"s3cret\n")], None);
        let piece = |name: &str| Piece::Secret(name.to_owned());
        let text = Text(vec![piece("user"), Piece::Plain(":".to_owned()), piece("pass"), piece("user")]);
        let (revealed, used) = secrets.reveal(&text).unwrap();
        assert_eq!(revealed, "ann:s3cretann");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(used, [pair("pass", "s3cret"), pair("user", "ann")]);
        assert!(secrets.reveal(&Text(vec![piece("nobody")])).unwrap_err().to_string().contains("`nobody`"));
    }
}

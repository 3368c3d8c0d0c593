//! Output in another encoding than UTF-8: decoded on its way from one of our workers into the log.
//!
//! Secrets are replaced once more afterwards: the worker looks for their UTF-8 form only. A part holds whole lines, so no
//! character is cut in two, except in lines that are too long for one part.

use bytes::Bytes;
use encoding_rs::Encoding;

use crate::engine::{CommandOrder, Work};
use crate::secrets::Redactor;

/// Decodes what a command prints.
#[derive(Clone, Debug)]
pub(super) struct Decoding {
    encoding: &'static Encoding,
    redactor: Redactor,
}

impl Decoding {
    /// None if the command prints UTF-8. `given` are the secrets that its worker has.
    pub fn of<'a>(order: &CommandOrder, given: impl IntoIterator<Item = &'a (String, String)>) -> Option<Self> {
        let Work::Run(spec) = &order.work else { return None };
        let encoding = Encoding::for_label(spec.output.encoding.as_ref()?.as_bytes())?;
        if encoding == encoding_rs::UTF_8 {
            return None;
        }
        Some(Self { encoding, redactor: Redactor::new(given.into_iter().cloned()) })
    }

    /// The same as UTF-8; what is not in the encoding becomes U+FFFD.
    pub fn decode(&self, bytes: &[u8]) -> Bytes {
        let (text, _) = self.encoding.decode_without_bom_handling(bytes);
        Bytes::from(self.redactor.redact(text.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoding(label: &str, secrets: &[(&str, &str)]) -> Decoding {
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Decoding { encoding: Encoding::for_label(label.as_bytes()).unwrap(), redactor: Redactor::new(secrets) }
    }

    #[test]
    fn bytes_become_utf_8_and_lines_stay() {
        assert_eq!(&decoding("cp1252", &[]).decode(b"na\xefve \x80\n")[..], "naïve €\n".as_bytes());
        assert_eq!(&decoding("shift_jis", &[]).decode(b"\x83\x65\n\x82\n")[..], "テ\n\u{fffd}\n".as_bytes());
    }

    #[test]
    fn a_secret_in_the_encoding_of_the_output_is_replaced() {
        let decoding = decoding("latin1", &[("key", "schl\u{fc}ssel")]);
        assert_eq!(&decoding.decode(b"my schl\xfcssel\n")[..], b"my <key>\n");
    }
}

//! Text of commits and tags: bytes, in the encoding that they name.

use encoding_rs::{Encoding, UTF_8};

/// Names that git and people use for encodings which have another label in browsers' list.
const ALIASES: [(&str, &str); 6] = [
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp949", "euc-kr"),
    ("cp950", "big5"),
    ("cp65001", "utf-8"),
    ("ms932", "shift_jis"),
];

/// How one commit or tag is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoder {
    encoding: &'static Encoding,
}

impl Decoder {
    /// The encoding of this name. None: UTF-8, which git means by saying nothing. So does a name that nobody knows, and
    /// one that cannot be what git stores, whose text has no zero bytes.
    pub(super) fn of(name: Option<&str>) -> Self {
        let encoding = name.and_then(find).filter(|encoding| encoding.is_ascii_compatible());
        Self { encoding: encoding.unwrap_or(UTF_8) }
    }

    /// The text; bytes that are invalid in this encoding become U+FFFD.
    pub(super) fn text(self, bytes: &[u8]) -> String {
        self.encoding.decode_without_bom_handling(bytes).0.into_owned()
    }

    /// The name of a file, which git stores without saying how: UTF-8 if it can be, else as the commit is written.
    pub(super) fn path(self, bytes: &[u8]) -> String {
        std::str::from_utf8(bytes).map_or_else(|_| self.text(bytes), str::to_owned)
    }
}

fn find(name: &str) -> Option<&'static Encoding> {
    let name = name.trim().to_ascii_lowercase();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, label)| *label);
    let by_label = |label: &str| Encoding::for_label_no_replacement(label.as_bytes());
    by_label(alias.unwrap_or(&name))
        .or_else(|| by_label(&name.replace('_', "-")))
        .or_else(|| by_label(&name.replace(['-', '_'], "")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_it_was_written() {
        for (encoding, bytes, text) in [
            (Some("ISO-8859-1"), &b"J\xfcrgen"[..], "Jürgen"),
            (Some("latin-1"), b"K\xe4se", "Käse"),
            (Some("latin1"), b"\xc3\xa4", "Ã¤"),
            (Some("iso8859-15"), b"5 \xa4", "5 €"),
            (Some("CP1251"), b"\xcf\xf0\xe8\xe2\xe5\xf2", "Привет"),
            (Some("KOI8-R"), b"\xf0\xd2\xc9\xd7\xc5\xd4", "Привет"),
            (Some("Shift_JIS"), b"\x93\xfa\x96\x7b", "日本"),
            (Some("cp932"), b"\x93\xfa\x96\x7b", "日本"),
            (Some("euc_jp"), b"\xc6\xfc\xcb\xdc", "日本"),
            (Some("GB18030"), b"\xc4\xe3\xba\xc3", "你好"),
            (Some("UTF-8"), "ü".as_bytes(), "ü"),
            (None, "ü".as_bytes(), "ü"),
            (None, b"J\xfcrgen", "J\u{fffd}rgen"),
            (Some("x-nobody-knows"), b"J\xfcrgen", "J\u{fffd}rgen"),
            (Some("utf-16"), b"plain", "plain"),
        ] {
            assert_eq!(Decoder::of(encoding).text(bytes), text, "{encoding:?}");
        }
    }

    #[test]
    fn names_of_files_are_utf_8_first() {
        let latin = Decoder::of(Some("iso-8859-1"));
        assert_eq!(latin.path("ü.c".as_bytes()), "ü.c");
        assert_eq!(latin.path(b"\xfc.c"), "ü.c");
        assert_eq!(Decoder::of(None).path(b"\xfc.c"), "\u{fffd}.c");
    }
}

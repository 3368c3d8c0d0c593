//! Where somebody logs in, and where they come back to: always a place on this shared.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::web::request::encode;

/// A longer place to come back to is none of ours.
const PLACE_BYTES_MAX: usize = 2_048;
/// What cannot stand in a value of a query as it is.
const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'>');

/// The page, for somebody who wants to come back to a place.
pub fn href(next: &str) -> String {
    format!("/login?next={}", utf8_percent_encode(local_place(next), VALUE))
}

/// Where a way that leads elsewhere begins.
pub fn way_href(way: &str, next: &str) -> String {
    format!("/login/{}?next={}", encode(way), utf8_percent_encode(local_place(next), VALUE))
}

/// A place on this shared: never one of another, however it is written.
pub fn local_place(next: &str) -> &str {
    let bytes = next.as_bytes();
    let is_local = bytes.first() == Some(&b'/')
        && !matches!(bytes.get(1), Some(b'/' | b'\\'))
        && next.len() <= PLACE_BYTES_MAX
        && !next.chars().any(char::is_control);
    if is_local { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for place in ["/", "/builders/a%2Fb?x=1#y", "/a//b"] {
            assert_eq!(local_place(place), place);
        }
        let foreign = [
            "",
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:x",
            "\t//evil",
            "/\nx",
            "evil",
        ];
        for foreign in foreign {
            assert_eq!(local_place(foreign), "/", "{foreign:?}");
        }
        assert_eq!(href("/builders/a?b=c&d"), "/login?next=/builders/a?b=c%26d");
    }
}

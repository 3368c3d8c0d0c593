//! Declarations of several kinds: one file a kind, one line of a table each.
//!
//! The native takes the arguments of all kinds; what only another kind takes is refused with the word of this one.

use super::super::args::Call;
use super::super::signature::{Native, Param};

/// A kind of what a native declares.
pub(super) struct KindOf<T> {
    /// What `kind` is then.
    pub(super) word: &'static str,
    /// What only this kind takes.
    pub(super) params: &'static [Param],
    /// Reads those.
    pub(super) read: fn(&mut Call<'_, '_, '_, '_, '_>) -> T,
}

/// A native that takes some arguments whatever the kind, between them those of all `kinds`, and the word of one as `kind`,
/// which is described as `what`.
pub(super) fn native<T: 'static>(
    native: Native,
    what: &'static str,
    first: &[Param],
    kinds: &'static [KindOf<T>],
    last: &[Param],
) -> Native {
    let words: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"", kind.word)).collect();
    let kind = Param { name: "kind", kind: words.join(" or ").leak(), default: None, doc: what };
    let mut params: Vec<Param> = native.params.to_vec();
    params.push(kind);
    params.extend(first);
    for param in kinds.iter().flat_map(|kind| kind.params) {
        if !params.iter().any(|known| known.name == param.name) {
            params.push(*param);
        }
    }
    params.extend(last);
    let of_kinds: Vec<(&str, &[Param])> = kinds.iter().map(|kind| (kind.word, kind.params)).collect();
    // Made once, and there as long as the program.
    Native { params: params.leak(), kinds: of_kinds.leak(), ..native }
}

/// What the kind makes of its own arguments; none, and noted, if the call names no kind that there is.
pub(super) fn read<T: 'static>(call: &mut Call<'_, '_, '_, '_, '_>, kinds: &'static [KindOf<T>]) -> Option<T> {
    let words: Vec<(&str, usize)> = kinds.iter().enumerate().map(|(place, kind)| (kind.word, place)).collect();
    let kind = &kinds[call.word("kind", &words)?];
    for name in call.native.names().filter(|name| !call.native.belongs(name, Some(kind.word))) {
        if call.value(name).is_some() {
            call.wrong(name, &format!("has no meaning for kind \"{}\"", kind.word), None);
        }
    }
    Some((kind.read)(call))
}

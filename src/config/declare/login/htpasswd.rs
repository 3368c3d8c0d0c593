//! The login `htpasswd`: users of a file of Apache's program.

use super::super::super::args::Call;
use super::super::super::signature::required;
use super::super::kinds::KindOf;
use crate::model::LoginKind;

pub(super) const HTPASSWD: KindOf<LoginKind> = KindOf {
    word: "htpasswd",
    params: &[required(
        "file",
        "text",
        "The file, relative to the configuration. Passwords must be hashed with bcrypt (`htpasswd -B`), SHA-256 or \
         SHA-512 (`-2`, `-5`). It is read again when it changes.",
    )],
    read,
};

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> LoginKind {
    LoginKind::Htpasswd { file: call.string("file").unwrap_or_default() }
}

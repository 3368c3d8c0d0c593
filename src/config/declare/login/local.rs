//! The login `local`: users of `starwright user`.

use super::super::super::args::Call;
use super::super::kinds::KindOf;
use crate::model::LoginKind;

pub(super) const LOCAL: KindOf<LoginKind> = KindOf { word: "local", params: &[], read };

fn read(_: &mut Call<'_, '_, '_, '_, '_>) -> LoginKind {
    LoginKind::Local
}

//! The logins `github` and `bitbucket`: forges with OAuth 2, whose API tells who somebody is.

use super::super::super::args::Call;
use super::super::super::signature::{Param, optional};
use super::super::kinds::KindOf;
use super::oidc::{CLIENT_ID, CLIENT_SECRET, ONLY_GROUPS, PREFIX, TITLE, title};
use super::safe_url;
use crate::model::{ForgeKind, ForgeLogin, LoginKind};

const PARAMS: &[Param] = &[
    CLIENT_ID,
    CLIENT_SECRET,
    ONLY_GROUPS,
    optional("web", "text", "the public forge", "The address of the forge's pages, for one of your own."),
    optional("api", "text", "the public forge", "The address of its API."),
    TITLE,
    PREFIX,
];

pub(super) const GITHUB: KindOf<LoginKind> =
    KindOf { word: "github", params: PARAMS, read: |call| read(call, ForgeKind::GitHub) };

pub(super) const BITBUCKET: KindOf<LoginKind> =
    KindOf { word: "bitbucket", params: PARAMS, read: |call| read(call, ForgeKind::Bitbucket) };

fn read(call: &Call<'_, '_, '_, '_, '_>, forge: ForgeKind) -> LoginKind {
    let (web, api) = match forge {
        ForgeKind::GitHub => ("https://github.com", "https://api.github.com"),
        ForgeKind::Bitbucket => ("https://bitbucket.org", "https://api.bitbucket.org/2.0"),
    };
    LoginKind::Forge(Box::new(ForgeLogin {
        title: title(call),
        forge,
        web: safe_url(call, "web", web),
        api: safe_url(call, "api", api),
        client_id: call.string("client_id").unwrap_or_default(),
        client_secret: call.text("client_secret").unwrap_or_default(),
        only_groups: call.strings("only_groups").unwrap_or_default(),
        prefix: call.string("prefix").unwrap_or_default(),
    }))
}

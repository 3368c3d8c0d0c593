//! The login `oidc`: an OpenID Connect provider.

use super::super::super::args::Call;
use super::super::super::signature::{Param, optional, required};
use super::super::kinds::KindOf;
use super::safe_url;
use crate::model::{LoginKind, OidcLogin};

pub(super) const TITLE: Param = optional("title", "text", "the name", "The text of the button on the login page.");
pub(super) const CLIENT_ID: Param = required("client_id", "text", "The id that the provider gave this master.");
pub(super) const CLIENT_SECRET: Param = required(
    "client_secret",
    "text or secret",
    "The secret that the provider gave this master. The address to come back to is `URL/login/NAME/callback`.",
);
pub(super) const ONLY_GROUPS: Param = optional(
    "only_groups",
    "list of text",
    "[]",
    "Only members of one of these groups may log in; by default everybody whom the provider knows.",
);
pub(super) const PREFIX: Param = optional(
    "prefix",
    "text",
    "\"\"",
    "What stands in front of each user's name, so that users of two logins cannot have the same name.",
);

pub(super) const OIDC: KindOf<LoginKind> = KindOf {
    word: "oidc",
    params: &[
        required("issuer", "text", "The address of the provider, as its own description gives it."),
        CLIENT_ID,
        CLIENT_SECRET,
        optional("scopes", "list of text", "[\"profile\", \"email\"]", "What to ask for, beside `openid`."),
        optional(
            "user_claim",
            "text",
            "\"preferred_username\"",
            "The claim that becomes the user's name. It must be unique, and users must not be able to choose it freely.",
        ),
        optional("groups_claim", "text", "\"groups\"", "The claim with the user's groups."),
        ONLY_GROUPS,
        TITLE,
        PREFIX,
    ],
    read,
};

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> LoginKind {
    let usual = || ["profile", "email"].map(str::to_owned).to_vec();
    LoginKind::Oidc(Box::new(OidcLogin {
        title: title(call),
        issuer: safe_url(call, "issuer", ""),
        client_id: call.string("client_id").unwrap_or_default(),
        client_secret: call.text("client_secret"),
        scopes: call.strings("scopes").unwrap_or_else(usual),
        user_claim: call.string("user_claim").unwrap_or_else(|| "preferred_username".to_owned()),
        groups_claim: call.string("groups_claim").unwrap_or_else(|| "groups".to_owned()),
        only_groups: call.strings("only_groups").unwrap_or_default(),
        prefix: call.string("prefix").unwrap_or_default(),
    }))
}

/// The text of the button.
pub(super) fn title(call: &Call<'_, '_, '_, '_, '_>) -> String {
    call.string("title").or_else(|| call.string("name")).unwrap_or_default()
}

//! The login `ldap`: a directory server checks names and passwords.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use super::oidc::PREFIX;
use crate::base::Authority;
use crate::model::{LdapLogin, LoginKind};

pub(super) const LDAP: KindOf<LoginKind> = KindOf {
    word: "ldap",
    params: &[
        required("url", "text", "The server: `ldaps://HOST`, or `ldap://HOST` with `starttls`."),
        optional("starttls", "bool", "False", "Encrypts the connection to an `ldap://` server."),
        optional(
            "user_dn",
            "text",
            "None",
            "The distinguished name of a user, with `{user}`: `uid={user},ou=people,dc=example,dc=org`. By default, the user is searched for.",
        ),
        optional("user_base", "text", "None", "Where to search for users."),
        optional("user_filter", "text", "\"(uid={user})\"", "How to search for a user."),
        optional("bind_dn", "text", "None", "Who searches for users; by default, anonymously."),
        optional("bind_password", "text or secret", "None", "That one's password."),
        optional("name_attribute", "text", "\"uid\"", "The attribute with the user's name."),
        optional("full_name_attribute", "text", "\"cn\"", "The attribute with the full name."),
        optional("mail_attribute", "text", "\"mail\"", "The attribute with the mail address."),
        optional("group_base", "text", "None", "Where to search for groups; by default there are none."),
        optional(
            "group_filter",
            "text",
            "\"(member={dn})\"",
            "How to search for a user's groups, with `{dn}` and `{user}`.",
        ),
        optional("group_attribute", "text", "\"cn\"", "The attribute with a group's name."),
        PREFIX,
    ],
    read,
};

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> LoginKind {
    let text = |name, usual: &str| call.string(name).unwrap_or_else(|| usual.to_owned());
    let login = LdapLogin {
        url: text("url", ""),
        starttls: call.boolean("starttls", false),
        user_dn: call.string("user_dn"),
        user_base: text("user_base", ""),
        user_filter: text("user_filter", "(uid={user})"),
        bind_dn: call.string("bind_dn"),
        bind_password: call.text("bind_password"),
        name_attribute: text("name_attribute", "uid"),
        full_name_attribute: text("full_name_attribute", "cn"),
        mail_attribute: text("mail_attribute", "mail"),
        group_base: call.string("group_base"),
        group_filter: text("group_filter", "(member={dn})"),
        group_attribute: text("group_attribute", "cn"),
        prefix: text("prefix", ""),
    };
    note_wrong(call, &login);
    LoginKind::Ldap(Box::new(login))
}

fn note_wrong(call: &Call<'_, '_, '_, '_, '_>, login: &LdapLogin) {
    let (plain, secure) = (login.url.starts_with("ldap://"), login.url.starts_with("ldaps://"));
    let is_local = Authority::of_url(&login.url).is_some_and(|authority| authority.host.is_loopback());
    if !(plain || secure) {
        let hint = "for example \"ldaps://ldap.example.org\"".to_owned();
        call.wrong("url", "must begin with ldaps:// or ldap://", Some(hint));
    } else if plain && !login.starttls && !is_local {
        let hint = "use ldaps://, or add starttls = True".to_owned();
        call.wrong("url", "would send passwords in the clear", Some(hint));
    }
    match &login.user_dn {
        Some(dn) if !dn.contains("{user}") => call.wrong("user_dn", "must contain `{user}`", None),
        None if login.user_base.is_empty() => {
            let hint = "for example user_base = \"ou=people,dc=example,dc=org\", or give `user_dn`".to_owned();
            call.collector.note(call.site.clone(), format!("{}: where are its users?", call.title), Some(hint));
        }
        None if !login.user_filter.contains("{user}") => call.wrong("user_filter", "must contain `{user}`", None),
        Some(_) | None => {}
    }
    match (&login.bind_dn, &login.bind_password) {
        (Some(_), None) => call.wrong("bind_dn", "needs `bind_password`", None),
        (None, Some(_)) => call.wrong("bind_password", "needs `bind_dn`", None),
        (Some(_), Some(_)) | (None, None) => {}
    }
}

//! Mail addresses as people and version control write them: `Name <mail>`, `mail`, or just a name.

use lettre::Address;
use lettre::message::Mailbox;

use super::wording::one_line;

/// A longer name is left out: it is not a name, and would only swell the header.
const NAME_CHARS_MAX: usize = 100;

/// The mailbox of a text, if there is an address in it. The name may hold what standards would want in
/// quotes.
pub(super) fn mailbox(text: &str) -> Option<Mailbox> {
    let (name, address) = split(text);
    let address = valid(address?)?;
    Some(Mailbox::new(name, address))
}

/// The mailbox of a person: a name without an address gets `domain`.
pub(super) fn person(text: &str, domain: Option<&str>) -> Option<Mailbox> {
    if let (_, Some(_)) = split(text) {
        return mailbox(text);
    }
    let domain = domain?.trim().trim_start_matches('@');
    let address = valid(&format!("{}@{domain}", text.trim()))?;
    Some(Mailbox::new(None, address))
}

/// The part of an author that people call them by.
pub(super) fn name_of(author: &str) -> String {
    match split(author) {
        (Some(name), _) => name,
        (None, Some(address)) => address.to_owned(),
        (None, None) => one_line(author, NAME_CHARS_MAX),
    }
}

/// The text of the address in an author, valid or not.
pub(super) fn address_of(author: &str) -> Option<&str> {
    split(author).1
}

/// Whether mail to this address goes nowhere: forges write such addresses into commits that people make on
/// their pages.
pub(super) fn is_nobodys(mailbox: &Mailbox) -> bool {
    let user = mailbox.email.user().to_ascii_lowercase();
    let domain = mailbox.email.domain().to_ascii_lowercase();
    matches!(user.as_str(), "noreply" | "no-reply" | "donotreply") || domain.split('.').any(|label| label == "noreply")
}

/// What makes two mailboxes the same one.
pub(super) fn identity(mailbox: &Mailbox) -> String {
    mailbox.email.to_string().to_lowercase()
}

fn split(text: &str) -> (Option<String>, Option<&str>) {
    let text = text.trim();
    if let Some((name, rest)) = text.rsplit_once('<')
        && let Some(address) = rest.trim_end().strip_suffix('>')
    {
        let name = one_line(&unquoted(name.trim()), NAME_CHARS_MAX);
        let address = address.trim();
        return ((!name.is_empty()).then_some(name), (!address.is_empty()).then_some(address));
    }
    if text.contains('@') {
        (None, Some(text))
    } else {
        ((!text.is_empty()).then(|| one_line(text, NAME_CHARS_MAX)), None)
    }
}

/// A name without the quotes of a quoted one.
fn unquoted(name: &str) -> String {
    let Some(inner) = name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return name.trim_matches('"').to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        // An escaped character stands for itself.
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

/// An address that a server can be told of. The domain becomes ASCII, which every server takes; the part before it may
/// be in any script, which some servers take.
fn valid(address: &str) -> Option<Address> {
    if address.chars().any(|c| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>')) {
        return None;
    }
    let (user, domain) = address.rsplit_once('@')?;
    // A dot at the end names the root of all domains; mail knows no such form.
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    let domain = if domain.is_ascii() { domain.to_owned() } else { idna::domain_to_ascii(domain).ok()? };
    Address::new(user, domain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, domain: Option<&str>) -> Option<String> {
        person(text, domain).map(|mailbox| mailbox.to_string())
    }

    #[test]
    fn addresses_are_found_in_what_version_control_writes() {
        assert_eq!(shown("Ann Smith <ann@example.org>", None).unwrap(), "Ann Smith <ann@example.org>");
        assert_eq!(shown("ann@example.org", None).unwrap(), "ann@example.org");
        assert_eq!(shown(" <ann@example.org> ", None).unwrap(), "ann@example.org");
        assert_eq!(
            shown("Doe, John (home) <john@example.org>", None).unwrap(),
            r#""Doe, John (home)" <john@example.org>"#
        );
        assert!(shown("Łukasz <l@example.org>", None).unwrap().contains("l@example.org"));
    }

    #[test]
    fn a_name_alone_gets_the_domain() {
        assert_eq!(shown("ann", Some("example.org")).unwrap(), "ann@example.org");
        assert_eq!(shown("ann", Some("@example.org")).unwrap(), "ann@example.org");
        assert_eq!(shown("ann", None), None);
        assert_eq!(shown("Ann Smith", Some("example.org")), None);
    }

    #[test]
    fn what_would_smuggle_in_more_is_no_address() {
        for text in [
            "Eve <eve@example.org\r\nBcc: all@example.org>",
            "eve@example.org, all@example.org",
            "eve@example.org> RCPT TO:<all@example.org",
            "root@host.(none)",
            "@",
            "",
        ] {
            assert_eq!(shown(text, Some("example.org")), None, "{text}");
        }
    }

    #[test]
    fn domains_of_any_script_become_ascii() {
        assert_eq!(shown("Idn <user@exämple.org>", None).unwrap(), "Idn <user@xn--exmple-cua.org>");
        assert_eq!(shown("user@BÜCHER.example.", None).unwrap(), "user@xn--bcher-kva.example");
        assert_eq!(shown("jörg@example.org", None).unwrap(), "jörg@example.org");
        assert_eq!(
            identity(&mailbox("user@exämple.org").unwrap()),
            identity(&mailbox("USER@xn--exmple-cua.org").unwrap())
        );
    }

    #[test]
    fn odd_addresses_are_put_right_or_refused() {
        assert_eq!(shown("ann@example.org.", None).unwrap(), "ann@example.org");
        let long = format!("{}@example.org", "x".repeat(65));
        for text in
            [&*long, "Team: a@example.org, b@example.org;", "a@b@example.org", "a@", "@b", "a@exa mple.org", "a@-.org"]
        {
            assert_eq!(shown(text, None), None, "{text}");
        }
    }

    #[test]
    fn a_quoted_name_is_read_as_it_was_meant() {
        let read = |text: &str| mailbox(text).unwrap().name.unwrap();
        assert_eq!(read(r#""Doe, John" <j@example.org>"#), "Doe, John");
        assert_eq!(read(r#""The \"Boss\" \\o/" <j@example.org>"#), r#"The "Boss" \o/"#);
        for name in ["Doe, John", r#"The "Boss" \o/"#, "Jörg", "a\\"] {
            let shown = Mailbox::new(Some(name.to_owned()), "j@example.org".parse().unwrap()).to_string();
            assert_eq!(read(&shown), name, "{shown}");
        }
    }

    #[test]
    fn forges_stand_in_addresses_belong_to_nobody() {
        assert!(is_nobodys(&mailbox("1+ann@users.noreply.github.com").unwrap()));
        assert!(is_nobodys(&mailbox("GitHub <noreply@github.com>").unwrap()));
        assert!(!is_nobodys(&mailbox("ann@example.org").unwrap()));
    }
}

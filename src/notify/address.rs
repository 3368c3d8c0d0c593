//! Mail addresses as people and version control write them: `Name <mail>`, `mail`, or just a name.

use lettre::Address;
use lettre::message::Mailbox;

use super::wording::one_line;

/// Names longer than this are no names; they would only swell the header.
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
        let name = one_line(name.trim().trim_matches('"'), NAME_CHARS_MAX);
        let address = address.trim();
        return ((!name.is_empty()).then_some(name), (!address.is_empty()).then_some(address));
    }
    if text.contains('@') {
        (None, Some(text))
    } else {
        ((!text.is_empty()).then(|| one_line(text, NAME_CHARS_MAX)), None)
    }
}

fn valid(address: &str) -> Option<Address> {
    let clean = !address.chars().any(|c| c.is_control() || c.is_whitespace());
    if clean { address.parse().ok() } else { None }
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
    fn forges_stand_in_addresses_belong_to_nobody() {
        assert!(is_nobodys(&mailbox("1+ann@users.noreply.github.com").unwrap()));
        assert!(is_nobodys(&mailbox("GitHub <noreply@github.com>").unwrap()));
        assert!(!is_nobodys(&mailbox("ann@example.org").unwrap()));
    }
}

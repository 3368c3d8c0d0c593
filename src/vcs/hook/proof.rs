//! Whether a call comes from the forge: its signature over the raw bytes, or the token that it brings.
//!
//! Digests and tokens are compared in a time that does not depend on where they differ.

use ring::hmac;

use super::HookCall;
use crate::model::{HookDialect, HookSettings};

/// The header of a generic hook that names none.
const USUAL: &str = "x-hub-signature-256";

/// Checks what proves that a call comes from the forge.
///
/// # Errors
/// What is wrong, for the forge's page of deliveries; it tells nothing of the secret.
pub fn check_proof(dialect: HookDialect, settings: &HookSettings, secret: &str, call: &HookCall) -> Result<(), String> {
    match dialect {
        HookDialect::GitLab => token("x-gitlab-token", secret, call),
        HookDialect::GitHub => signature(&["x-hub-signature-256"], secret, call, &call.body),
        // Gitea signs the JSON, also where it sends that in a form.
        HookDialect::Gitea => {
            let names = ["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature", "x-hub-signature-256"];
            signature(&names, secret, call, call.json_text().map_err(|error| error.message)?)
        }
        HookDialect::Bitbucket | HookDialect::BitbucketServer => {
            signature(&["x-hub-signature"], secret, call, &call.body)
        }
        HookDialect::Base | HookDialect::Generic => {
            let name = settings.signature.as_deref().map_or_else(|| USUAL.to_owned(), str::to_ascii_lowercase);
            signature(&[name.as_str()], secret, call, &call.body)
        }
    }
}

/// One of these headers has the HMAC-SHA256 of the text in hexadecimal, perhaps after `sha256=`.
fn signature(names: &[&str], secret: &str, call: &HookCall, signed: &[u8]) -> Result<(), String> {
    let given = names.iter().find_map(|name| call.header(name).map(|value| (*name, value)));
    let Some((name, value)) = given else { return Err(missing(names[0], call)) };
    let Some(digest) = value.strip_prefix("sha256=").or_else(|| (!value.contains('=')).then_some(value)) else {
        let scheme: String = value.split('=').next().unwrap_or_default().chars().take(16).collect();
        return Err(only_other(name, &scheme));
    };
    let digest =
        from_hex(digest).ok_or_else(|| format!("the header `{name}` is not a SHA-256 digest in hexadecimal"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::verify(&key, signed, &digest).map_err(|_| {
        format!(
            "the signature in `{name}` is wrong: the secret of the webhook and that of the configuration must be equal"
        )
    })
}

fn missing(name: &str, call: &HookCall) -> String {
    // An old way, whose digest can be forged with enough effort.
    match call.header("x-hub-signature") {
        Some(value) if value.starts_with("sha1=") => only_other("x-hub-signature", "sha1"),
        _ => format!("the header `{name}` is missing: set the secret in the settings of the webhook"),
    }
}

fn only_other(name: &str, scheme: &str) -> String {
    format!(
        "the call is signed by `{scheme}` only (`{name}`), which is not taken: set the webhook up anew in a version of the \
         forge that signs by SHA-256"
    )
}

/// A header holds the secret itself.
fn token(name: &str, secret: &str, call: &HookCall) -> Result<(), String> {
    let given = call.header(name);
    let given = given.ok_or_else(|| {
        format!("the header `{name}` is missing: set the secret token in the settings of the webhook")
    })?;
    // The digests of both, so that neither content nor length shows in the time; the key only has to be the same.
    let key = hmac::Key::new(hmac::HMAC_SHA256, name.as_bytes());
    let tag = hmac::sign(&key, secret.as_bytes());
    hmac::verify(&key, given.as_bytes(), tag.as_ref())
        .map_err(|_| format!("the token in `{name}` is wrong: it must be equal to the secret of the configuration"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.trim().as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    bytes.chunks(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// The example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &str = "Hello, World!";
    const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn call(name: &str, value: &str) -> HookCall {
        let headers = [(name, value), ("content-type", "application/json")];
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HookCall { headers, body: BODY.into(), params: BTreeMap::new() }
    }

    fn check(dialect: HookDialect, name: &str, value: &str) -> Result<(), String> {
        check_proof(dialect, &HookSettings::default(), SECRET, &call(name, value))
    }

    #[test]
    fn right_signatures_of_all_forges_are_taken() {
        let named = format!("sha256={DIGEST}");
        assert_eq!(check(HookDialect::GitHub, "x-hub-signature-256", &named), Ok(()));
        for name in ["x-gitea-signature", "x-forgejo-signature", "x-gogs-signature"] {
            assert_eq!(check(HookDialect::Gitea, name, DIGEST), Ok(()));
        }
        assert_eq!(check(HookDialect::Bitbucket, "x-hub-signature", &named), Ok(()));
        assert_eq!(check(HookDialect::BitbucketServer, "x-hub-signature", &named), Ok(()));
        assert_eq!(check(HookDialect::Generic, "x-hub-signature-256", &DIGEST.to_ascii_uppercase()), Ok(()));
        assert_eq!(check(HookDialect::GitLab, "x-gitlab-token", SECRET), Ok(()));
    }

    #[test]
    fn what_proves_nothing_is_refused_with_what_to_set() {
        let wrong = format!("sha256={}", DIGEST.replace('7', "8"));
        for value in
            [wrong.as_str(), "sha256=", "sha256=75", "sha256=zz", "", "sha256=é", "=", DIGEST.get(1..).unwrap()]
        {
            assert!(check(HookDialect::GitHub, "x-hub-signature-256", value).is_err(), "{value}");
        }
        let old = check(HookDialect::GitHub, "x-hub-signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6");
        assert!(old.unwrap_err().contains("signs by SHA-256"));
        let old = check(HookDialect::Bitbucket, "x-hub-signature", "sha1=7d38cdd689735b008b3c702edd92eea23791c5f6");
        assert!(old.unwrap_err().contains("`sha1` only"));
        assert!(check(HookDialect::GitHub, "x-other", "").unwrap_err().contains("`x-hub-signature-256` is missing"));
        assert!(check(HookDialect::GitLab, "x-gitlab-token", "It's").unwrap_err().contains("is wrong"));
        assert!(check(HookDialect::GitLab, "x-other", "").unwrap_err().contains("set the secret token"));
    }

    #[test]
    fn the_json_of_a_form_is_what_gitea_signs() {
        let mut call = call("x-gitea-signature", DIGEST);
        call.headers.insert("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        call.params.insert("payload".to_owned(), vec![BODY.to_owned()]);
        call.body = "payload=Hello%2C+World%21".into();
        assert_eq!(check_proof(HookDialect::Gitea, &HookSettings::default(), SECRET, &call), Ok(()));
    }
}

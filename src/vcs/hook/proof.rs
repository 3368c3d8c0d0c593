//! Whether a call comes from the forge: its signature over the raw bytes, or the token that it brings.
//!
//! Digests and tokens are compared in a time that does not depend on where they differ.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;

use super::HookCall;
use crate::base::Timestamp;
use crate::model::{HookDialect, HookSettings};

/// The header of a generic hook that names none.
const USUAL: &str = "x-hub-signature-256";
/// Signatures of one call that are tried: by the old secret and by the new one, while it changes.
const SIGNATURES_MAX: usize = 4;
/// How far the time of a signed call may be from ours, in seconds: what "Standard Webhooks" proposes. A recorded call is worth
/// nothing afterwards, also if its delivery is forgotten by then.
const TOLERANCE_S: u64 = 300;

/// Checks what proves that a call comes from the forge, at this time.
///
/// # Errors
/// What is wrong, for the forge's page of deliveries; it tells nothing of the secret.
pub fn check_proof(
    dialect: HookDialect,
    settings: &HookSettings,
    secret: &str,
    call: &HookCall,
    now: Timestamp,
) -> Result<(), String> {
    match dialect {
        HookDialect::GitLab => match call.proving_header("webhook-signature")? {
            Some(given) => standard(given, secret, call, now),
            None => token("x-gitlab-token", secret, call),
        },
        HookDialect::GitHub => signature(&["x-hub-signature-256"], secret, call, &call.body),
        // Gitea signs the JSON, also where it sends that in a form.
        HookDialect::Gitea => {
            let names = ["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature", "x-hub-signature-256"];
            signature(&names, secret, call, &call.json_text().map_err(|error| error.message)?)
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

/// The signature of "Standard Webhooks": over the call's id, its time and its body. GitLab sends it where a signing token is
/// set. The id names the delivery, so that one which was taken cannot be replayed, and the time must be near ours.
fn standard(given: &str, secret: &str, call: &HookCall, now: Timestamp) -> Result<(), String> {
    let (id, time) = (call.proving_header("webhook-id")?, call.proving_header("webhook-timestamp")?);
    let (Some(id), Some(time)) = (id, time) else {
        return Err("the headers `webhook-id` and `webhook-timestamp` are missing".to_owned());
    };
    let dot = b".".as_slice();
    let signed = [id.as_bytes(), dot, time.as_bytes(), dot, call.body.as_ref()].concat();
    // A secret may be written in base64, which its beginning says.
    let key = secret.strip_prefix("whsec_").and_then(|key| BASE64_STANDARD.decode(key).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_deref().unwrap_or(secret.as_bytes()));
    let digests = given.split(' ').filter_map(|one| BASE64_STANDARD.decode(one.strip_prefix("v1,")?).ok());
    let is_right = digests.take(SIGNATURES_MAX).any(|digest| hmac::verify(&key, &signed, &digest).is_ok());
    if !is_right {
        return Err("the signature in `webhook-signature` is wrong: signing token and secret must be equal".to_owned());
    }
    let seconds: i64 =
        time.parse().map_err(|_| "`webhook-timestamp` is not a number of seconds since 1970".to_owned())?;
    let distance = now.as_seconds().abs_diff(seconds);
    if distance <= TOLERANCE_S {
        return Ok(());
    }
    Err(format!(
        "the call was signed {distance} s away from the time of the master, and {TOLERANCE_S} s are taken: it is an old one, or \
         one of the clocks is wrong"
    ))
}

/// One of these headers has the HMAC-SHA256 of the text in hexadecimal, perhaps after `sha256=`.
fn signature(names: &[&str], secret: &str, call: &HookCall, signed: &[u8]) -> Result<(), String> {
    let mut given = None;
    for name in names {
        let value = call.proving_header(name)?;
        given = given.or_else(|| value.map(|value| (*name, value)));
    }
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
    let given = call.proving_header(name)?;
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
    use super::*;

    /// The example of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &str = "Hello, World!";
    const DIGEST: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const NOW: Timestamp = Timestamp::from_seconds(1_674_087_231);

    fn call(name: &str, value: &str) -> HookCall {
        let headers = [(name, value), ("content-type", "application/json")];
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HookCall { headers, body: BODY.into(), ..HookCall::default() }
    }

    fn check(dialect: HookDialect, name: &str, value: &str) -> Result<(), String> {
        check_proof(dialect, &HookSettings::default(), SECRET, &call(name, value), NOW)
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
    fn a_signing_token_of_gitlab_signs_id_time_and_body() {
        let mut call = call("webhook-id", "msg_1");
        call.headers.insert("webhook-timestamp".to_owned(), "1674087231".to_owned());
        let of = |key: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            BASE64_STANDARD.encode(hmac::sign(&key, b"msg_1.1674087231.Hello, World!"))
        };
        let mut check = |secret: &str, signature: String| {
            call.headers.insert("webhook-signature".to_owned(), signature);
            check_proof(HookDialect::GitLab, &HookSettings::default(), secret, &call, NOW)
        };
        assert_eq!(check(SECRET, format!("v1,{}", of(SECRET.as_bytes()))), Ok(()));
        assert_eq!(check("whsec_c2VjcmV0", format!("v1,AAAA v1,{}", of(b"secret"))), Ok(()));
        for wrong in [format!("v1,{}", of(b"other")), of(SECRET.as_bytes()), "v1,".to_owned(), "v1,?".to_owned()] {
            assert!(check(SECRET, wrong).unwrap_err().contains("`webhook-signature` is wrong"));
        }
        let mut at = |seconds| {
            call.headers.insert("webhook-signature".to_owned(), format!("v1,{}", of(SECRET.as_bytes())));
            check_proof(HookDialect::GitLab, &HookSettings::default(), SECRET, &call, Timestamp::from_seconds(seconds))
        };
        assert_eq!((at(1_674_087_231 - 300), at(1_674_087_231 + 300)), (Ok(()), Ok(())));
        assert!(at(1_674_087_231 + 301).unwrap_err().contains("signed 301 s away"));
        assert!(at(1_674_087_231 - 301).is_err() && at(i64::MIN / 1_000).is_err());
        call.headers.remove("webhook-id");
        assert!(check_proof(HookDialect::GitLab, &HookSettings::default(), SECRET, &call, NOW).is_err());
    }

    #[test]
    fn a_proof_that_came_twice_is_none() {
        let headers = [
            (HookDialect::GitHub, "x-hub-signature-256", format!("sha256={DIGEST}")),
            (HookDialect::Gitea, "x-gogs-signature", DIGEST.to_owned()),
            (HookDialect::Generic, "x-hub-signature-256", DIGEST.to_owned()),
            (HookDialect::GitLab, "x-gitlab-token", SECRET.to_owned()),
            (HookDialect::GitLab, "webhook-signature", "v1,AAAA".to_owned()),
        ];
        for (dialect, name, value) in headers {
            let mut call = call(name, &value);
            call.repeated.insert(name.to_owned());
            let why = check_proof(dialect, &HookSettings::default(), SECRET, &call, NOW).unwrap_err();
            assert_eq!(why, format!("the header `{name}` is there more than once"));
        }
    }

    #[test]
    fn the_json_of_a_form_is_what_gitea_signs() {
        let mut call = call("x-gitea-signature", DIGEST);
        call.headers.insert("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
        call.params.insert("payload".to_owned(), vec![BODY.to_owned()]);
        call.body = "payload=Hello%2C+World%21".into();
        assert_eq!(check_proof(HookDialect::Gitea, &HookSettings::default(), SECRET, &call, NOW), Ok(()));
    }
}

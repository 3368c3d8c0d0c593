//! Made-up calls of forges, from the documented ones: fields are dropped, emptied, made huge, deep or odd. Whatever comes,
//! the parsers say what it means or what is wrong with it; they never panic, and what they give is bounded.
//!
//! `STARWRIGHT_FUZZ_HOOKS` says how many, `STARWRIGHT_FUZZ_SEED` where to begin.

use serde_json::{Value as Json, json};
use starwright::testing::base::Timestamp;
use starwright::testing::vcs::{HookCall, HookError, Meaning, bounded, change_of, check_proof, hear, record_of};

use crate::evaluator::programs::Chance;
use crate::support::hooks::{Sample, plan};

/// So many in each run of the tests: a few seconds.
const CALLS: u64 = 8_000;
/// More changes no call gives.
const CHANGES_MAX: usize = 1_000;
/// A refusal is a sentence.
const MESSAGE_CHARS_MAX: usize = 1_000;

#[test]
fn made_up_calls_are_understood_or_refused() {
    let number = |name: &str, usual: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (seed, calls) = (number("STARWRIGHT_FUZZ_SEED", 1), number("STARWRIGHT_FUZZ_HOOKS", CALLS));
    let samples = Sample::all();
    let (mut changes, mut refused) = (0, 0);
    for round in 0..calls {
        let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let sample = &samples[index(&mut chance, samples.len())];
        let call = made_up(sample, &mut chance);
        // Now and then the forge is another one than its hook expects.
        let reader = if chance.below(16) == 0 { &samples[index(&mut chance, samples.len())] } else { sample };
        let plan = plan(reader.dialect);
        let proof = check_proof(plan.dialect, &plan.settings, "secret", &call, Timestamp::from_seconds(0));
        assert!(proof.is_err_and(|why| why.chars().count() < MESSAGE_CHARS_MAX), "seed {seed}, call {round}");
        match hear(&plan, &call).map(|heard| heard.meaning) {
            Ok(Meaning::Ping | Meaning::Ignored(_)) => {}
            Ok(Meaning::Changes { changes: heard, addresses, .. }) => {
                changes += 1;
                assert!((1..=CHANGES_MAX).contains(&heard.len()) && !addresses.is_empty(), "seed {seed}, call {round}");
                for change in heard {
                    let again = change_of(&record_of(&change)).unwrap().0;
                    assert_eq!((&again.branch, &again.revision), (&change.branch, &change.revision));
                    // What is too large is refused by name later.
                    let _checked = bounded(change);
                }
            }
            Err(HookError { status, message, .. }) => {
                refused += 1;
                assert_eq!(status, 400, "seed {seed}, call {round}: {message}");
                assert!(message.chars().count() < MESSAGE_CHARS_MAX, "seed {seed}, call {round}: {message}");
            }
        }
    }
    println!("{changes} calls gave changes, {refused} were refused, of {calls}");
    assert!(changes * 10 > calls && refused * 50 > calls, "most calls are nearly right: {changes}, {refused}");
}

fn index(chance: &mut Chance, length: usize) -> usize {
    usize::try_from(chance.below(length as u64)).unwrap()
}

fn made_up(sample: &Sample, chance: &mut Chance) -> HookCall {
    let mut body = sample.body.clone();
    for _ in 0..chance.below(4) {
        mutate(&mut body, chance);
    }
    let mut text = body.to_string().into_bytes();
    // Few are broken as text: those never reach a dialect.
    if chance.below(20) == 0 {
        break_text(&mut text, chance);
    }
    let mut call = sample.call_with(text);
    match chance.below(40) {
        0 => drop(call.headers.remove("content-type")),
        1 => {
            call.headers.insert("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
            let payload = String::from_utf8_lossy(&call.body).into_owned();
            call.params.insert("payload".to_owned(), vec![payload]);
        }
        2 => {
            let name = call.headers.keys().nth(index(chance, call.headers.len())).unwrap().clone();
            call.headers.insert(name, odd_text(chance));
        }
        3..6 => {
            for name in ["x-hub-signature-256", "x-hub-signature", "x-gitea-signature", "x-gitlab-token"] {
                let value = ["", "sha256=", "sha1=00", "é", "sha256=zz", "=="][index(chance, 6)];
                call.headers.insert(name.to_owned(), format!("{value}{}", odd_text(chance)));
            }
        }
        _ => {}
    }
    call
}

/// Changes one place, of any depth.
fn mutate(json: &mut Json, chance: &mut Chance) {
    let mut at = json;
    // Walks down by chance; a leaf ends it.
    loop {
        let deeper = chance.below(5) != 0;
        let length = match &*at {
            Json::Object(fields) => fields.len(),
            Json::Array(items) => items.len(),
            _ => 0,
        };
        if length == 0 || !deeper {
            break;
        }
        let next = index(chance, length);
        if chance.below(12) == 0 {
            return remove(at, next);
        }
        at = match at {
            Json::Object(fields) => fields.iter_mut().nth(next).map(|(_, value)| value).unwrap(),
            Json::Array(items) => &mut items[next],
            _ => unreachable!("it has elements"),
        };
    }
    let other = match chance.below(10) {
        0 => Json::Null,
        1 => json!(chance.below(2) == 0),
        2 => number(chance),
        3 => json!(odd_text(chance)),
        4 => json!([at.clone(), at.clone()]),
        5 => json!({"id": at.clone(), "name": at.clone()}),
        6 => deep(chance),
        7 => json!("x".repeat(1 << chance.below(17))),
        8 => Json::Array(
            vec![at.clone(); index(chance, 3_000)]
                .into_iter()
                .take(if at.to_string().len() > 200 { 3 } else { 3_000 })
                .collect(),
        ),
        _ => json!({}),
    };
    *at = other;
}

fn remove(at: &mut Json, place: usize) {
    match at {
        Json::Object(fields) => {
            let name = fields.keys().nth(place).unwrap().clone();
            fields.remove(&name);
        }
        Json::Array(items) => drop(items.remove(place)),
        _ => {}
    }
}

fn number(chance: &mut Chance) -> Json {
    let numbers = [
        "0",
        "-1",
        "7",
        "9223372036854775807",
        "-9223372036854775808",
        "1e308",
        "1e-400",
        "123456789012345678901234567890",
        "0.5",
    ];
    serde_json::from_str(numbers[index(chance, numbers.len())]).unwrap()
}

fn odd_text(chance: &mut Chance) -> String {
    let texts = [
        "",
        "\u{0}",
        "0000000000000000000000000000000000000000",
        "refs/heads/",
        "refs/tags/\u{202e}gpj.exe",
        "refs/heads/a\nb",
        "../../etc/passwd",
        "🦀e\u{301}\u{301}\u{301}",
        "https://user:password@example.org/a.git",
        "-c core.pager=x",
        "2026-11-27T10:00:00Z",
        "-009999-01-01T00:00:00Z",
        "%00%ff",
        "$(reboot)",
    ];
    texts[index(chance, texts.len())].to_owned()
}

fn deep(chance: &mut Chance) -> Json {
    let levels = chance.below(100);
    (0..levels).fold(json!("bottom"), |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({"id": inner}) })
}

fn break_text(text: &mut Vec<u8>, chance: &mut Chance) {
    let at = index(chance, text.len().max(1));
    match chance.below(4) {
        0 => text.truncate(at),
        1 => text.insert(at.min(text.len()), u8::try_from(chance.below(256)).unwrap()),
        2 => {
            if let Some(byte) = text.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        // Deeper than any parser should go.
        _ => *text = "[".repeat(100_000).into_bytes(),
    }
}

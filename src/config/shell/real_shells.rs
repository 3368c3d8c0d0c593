//! Random lines and hostile values against the shells of this machine: what arrives is what was filled in.

#![expect(clippy::disallowed_methods, reason = "a test of what real shells read")]

use std::process::Command;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::line::{Part, render};
use crate::model::Text;

/// A piece of a word: what is written, and what the shell makes of it; none for a place.
#[derive(Clone, Debug)]
struct Bit {
    written: String,
    means: String,
    value: Option<String>,
}

fn literal(written: &str, means: &str) -> Bit {
    Bit { written: written.to_owned(), means: means.to_owned(), value: None }
}

fn value() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "",
        " ",
        "\n",
        "-n",
        "--",
        "*",
        "?",
        "~",
        "!",
        "!!",
        "\\",
        "\\\\",
        "'",
        "\"",
        "`",
        "$",
        "#",
        "&",
        ";",
        "|",
        "<",
        ">",
        "(",
        ")",
        "{a,b}",
        "$(touch P)",
        "`touch P`",
        "${x}",
        "$x",
        "';touch P;'",
        "\";touch P;\"",
        "\nEOF\ntouch P\n",
        "é",
        "日本",
        "\r",
        "\t",
        "a b",
        "x=1",
        "2",
        "if",
        "esac",
        "%s",
        "\u{1}",
        "\\n",
        "$'a'",
        "[a]",
        "main",
    ]);
    prop::collection::vec(hostile, 0..4).prop_map(|parts| parts.concat())
}

fn place() -> impl Strategy<Value = Bit> {
    value().prop_map(|value| Bit { written: String::new(), means: value.clone(), value: Some(value) })
}

/// Pieces outside of quotes.
fn bare() -> impl Strategy<Value = Vec<Bit>> {
    let fixed = prop::sample::select(vec![
        ("a", "a"),
        ("\\'", "'"),
        ("\\\"", "\""),
        ("\\ ", " "),
        ("\\#", "#"),
        ("a#", "a#"),
        ("${E}", ""),
        ("${U:-'}'}", "}"),
        ("$(echo ')' # it's\n)", ")"),
        ("`echo \\\\'`", "'"),
        ("$((1 + (2)))", "3"),
        ("$(case x in x) echo ')';; esac)", ")"),
        ("'it\"s'", "it\"s"),
        ("\"it's\"", "it's"),
        ("\"$(echo \"'\")\"", "'"),
    ]);
    prop_oneof![fixed.prop_map(|(written, means)| vec![literal(written, means)]), place().prop_map(|place| vec![place]),]
}

/// Pieces inside of single or double quotes, with the quotes.
fn quoted() -> impl Strategy<Value = Vec<Bit>> {
    let single = prop::sample::select(vec![
        ("a", "a"),
        ("\"", "\""),
        ("\\", "\\"),
        ("$x `", "$x `"),
        ("\n", "\n"),
        ("# ", "# "),
    ]);
    let double = prop::sample::select(vec![
        ("a", "a"),
        ("'", "'"),
        ("\\\"", "\""),
        ("\\\\", "\\"),
        ("\\$", "$"),
        ("${E}", ""),
        ("${U:-b}", "b"),
        ("\\x", "\\x"),
        ("\n", "\n"),
        ("# ", "# "),
        ("$(echo '\"')", "\""),
        ("`echo b`", "b"),
    ]);
    let wrap =
        |quote: &'static str| move |bits: Vec<Bit>| [vec![literal(quote, "")], bits, vec![literal(quote, "")]].concat();
    let of = |fixed: prop::sample::Select<(&'static str, &'static str)>| {
        let bit = prop_oneof![fixed.prop_map(|(written, means)| literal(written, means)), place()];
        prop::collection::vec(bit, 0..4)
    };
    let named = place().prop_map(|place| vec![literal("\"$E", ""), place, literal("\"", "")]);
    prop_oneof![of(single).prop_map(wrap("'")), of(double).prop_map(wrap("\"")), named]
}

fn word() -> impl Strategy<Value = Vec<Bit>> {
    prop::collection::vec(prop_oneof![bare(), quoted()], 1..5).prop_map(|bits| bits.concat())
}

/// What stands before and behind the command; nothing of it prints.
fn frame() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("", ""),
        ("# it's\n", " # it's"),
        ("cat > /dev/null <<EOF\nit's $(echo ')') `echo`\nEOF\n", ""),
        ("cat > /dev/null <<-'E F'\n\tit's \" `\n\tE F\n", "\n"),
        ("case x in (a) : ')';; x) ", ";; esac"),
        ("if :; then ", "; fi"),
        ("(", ")"),
        ("{ ", "; }"),
        ("! false && ", " || :"),
        ("A='it'\\''s' ", ""),
        ("for i in 1; do ", "; done"),
        ("f() { ", "; }; f"),
    ])
}

/// A line that prints its words, each ended by NUL; and the words.
fn line() -> impl Strategy<Value = (Vec<Part>, Vec<String>)> {
    (frame(), prop::collection::vec(word(), 1..4)).prop_map(|((before, behind), words)| {
        let mut parts = vec![Part::Syntax(format!("{before}/usr/bin/printf '%s\\0'"))];
        let mut wanted = Vec::new();
        for bits in words {
            parts.push(Part::Syntax(" ".to_owned()));
            // A first piece that is quoted keeps a word that would otherwise be empty.
            parts.push(Part::Syntax("''".to_owned()));
            for bit in &bits {
                parts.push(match &bit.value {
                    Some(value) => Part::Value { value: Text::plain(value.as_str()), place: "x".to_owned() },
                    None => Part::Syntax(bit.written.clone()),
                });
            }
            wanted.push(bits.iter().map(|bit| bit.means.as_str()).collect());
        }
        parts.push(Part::Syntax(behind.to_owned()));
        (parts, wanted)
    })
}

/// The shells that are here.
fn shells() -> Vec<&'static [&'static str]> {
    let known: [&[&str]; 4] = [&["sh"], &["bash"], &["dash"], &["busybox", "sh"]];
    let there = |shell: &&[&str]| {
        Command::new(shell[0]).args(&shell[1..]).args(["-c", ":"]).output().is_ok_and(|out| out.status.success())
    };
    known.into_iter().filter(there).collect()
}

fn printed(shell: &[&str], line: &str, directory: &std::path::Path) -> Vec<String> {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", line]).current_dir(directory).env_remove("U").env("E", "");
    let out = command.output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let mut words: Vec<String> = text.split('\0').map(str::to_owned).collect();
    assert_eq!(words.pop().as_deref(), Some(""), "{shell:?} {line:?}: {}", String::from_utf8_lossy(&out.stderr));
    words
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn values_arrive_as_they_are((parts, wanted) in line()) {
        // A refusal is safe; what is filled in has to arrive.
        if let Ok(text) = render(&parts, false) {
            let scratch = tempfile::tempdir().unwrap();
            for shell in shells() {
                prop_assert_eq!(&printed(shell, &text.masked(), scratch.path()), &wanted, "{:?}: {}", shell, text.masked());
            }
            prop_assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing was executed");
        }
    }
}

#[test]
fn most_lines_of_the_grammar_are_not_refused() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tries = (0..500).filter_map(|_| line().new_tree(&mut runner).ok()).map(|tree| tree.current());
    let fine = tries.filter(|(parts, _)| render(parts, false).is_ok()).count();
    assert!(fine > 250, "{fine} of 500");
}

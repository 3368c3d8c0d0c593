//! The law of replay, over random scripts: in whatever order answers arrive, a script asks for the same
//! things and ends alike, and against its whole journal it ends at once without asking for more.

use proptest::prelude::*;

use super::tests::{Build, end, usual};
use crate::model::{EvalOutcome, Key};

/// Something that a script does.
#[derive(Clone, Debug)]
enum Op {
    Run { good: bool, check: bool },
    Log,
    Set,
    Wait,
    Child { ops: Vec<Op>, halt: bool },
    Parallel(Vec<Vec<Op>>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let leaf = prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(good, check)| Op::Run { good, check: check && good }),
        Just(Op::Log),
        Just(Op::Set),
        Just(Op::Wait),
    ];
    let op = leaf.prop_recursive(3, 24, 4, |inner| {
        let list = prop::collection::vec(inner, 0..4);
        prop_oneof![
            (list.clone(), any::<bool>()).prop_map(|(ops, halt)| Op::Child { ops, halt }),
            prop::collection::vec(list, 0..4).prop_map(Op::Parallel),
        ]
    });
    prop::collection::vec(op, 0..6)
}

/// Writes a function that does these things; its name.
fn write(ops: &[Op], text: &mut String, count: &mut usize) -> String {
    let mut body = String::from("    pass\n");
    for op in ops {
        *count += 1;
        let number = *count;
        body += &match op {
            Op::Run { good, check } => {
                format!("    ctx.run(\"{good} {number}\", check = {})\n", starlark_bool(*check))
            }
            Op::Log => format!("    ctx.log(\"log\", str(ctx.property(\"p\")) + \" {number}\")\n"),
            Op::Set => format!("    ctx.set_property(\"p\", {number})\n"),
            Op::Wait => format!("    ctx.wait(\"{number}s\")\n"),
            Op::Child { ops, halt } => {
                let name = write(ops, text, count);
                format!("    ctx.step(step(\"{name}\", run = {name}, halt_on_failure = {}))\n", starlark_bool(*halt))
            }
            Op::Parallel(branches) => {
                let names: Vec<String> = branches.iter().map(|ops| write(ops, text, count)).collect();
                format!("    ctx.parallel([{}])\n", names.join(", "))
            }
        };
    }
    *count += 1;
    let name = format!("f{count}");
    *text += &format!("def {name}(ctx):\n{body}");
    name
}

const fn starlark_bool(yes: bool) -> &'static str {
    if yes { "True" } else { "False" }
}

/// Answers one of the open asks after the other, chosen by `choices`, until the script ends.
fn finish(build: &mut Build, choices: &[usize]) -> EvalOutcome {
    for round in 0..1_000 {
        let outcome = build.evaluate();
        let (EvalOutcome::Suspended { asks } | EvalOutcome::Done { asks, .. } | EvalOutcome::Failed { asks, .. }) =
            outcome.clone()
        else {
            panic!("{outcome:?}")
        };
        build.record(asks);
        if !matches!(outcome, EvalOutcome::Suspended { .. }) {
            return end(outcome);
        }
        let open: Vec<Key> = build.open();
        let key = &open[choices[round % choices.len()] % open.len()];
        build.answer(key, usual);
    }
    panic!("the script does not end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn order_of_answers_changes_nothing(ops in ops(), choices in prop::collection::vec(0usize..8, 1..20)) {
        let mut text = String::new();
        let name = write(&ops, &mut text, &mut 0);
        text += &format!("f = {name}\n");

        let mut in_order = Build::of(&text);
        let first = finish(&mut in_order, &[0]);
        let mut shuffled = Build::of(&text);
        let second = finish(&mut shuffled, &choices);
        prop_assert_eq!(&first, &second);
        prop_assert_eq!(&in_order.journal, &shuffled.journal);

        let again = in_order.evaluate();
        prop_assert_eq!(again, first);
    }
}

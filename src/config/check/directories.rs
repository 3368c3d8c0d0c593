//! Directories of builders on workers: no two builders may use one, or one inside the other's.
//!
//! Windows and macOS workers do not tell `Linux` from `linux`, and Windows drops dots and spaces at the end of a name, so
//! neither do we. Builders are compared whatever their workers are: a tag may bring them together with the next worker.

use std::collections::BTreeMap;

use super::super::collect::{Collector, Kind};
use crate::model::{BuilderPlan, Plan, dir_key};

/// What our worker and a `buildbot-worker` keep in their base directory beside the builders' directories.
const RESERVED: [&str; 2] = ["info", "spool"];

/// Notes builders that would write to each other's files.
pub(super) fn note_shared(collector: &Collector, plan: &Plan) {
    let mut owners: BTreeMap<Vec<String>, (&BuilderPlan, String)> = BTreeMap::new();
    for builder in plan.builders.values() {
        for dir in builder.slot_dirs() {
            let key = dir_key(&dir);
            match owners.get(&key).map(|(first, _)| *first) {
                Some(first) if first.name != builder.name => {
                    note(collector, builder, &same(first, builder, &dir));
                    break;
                }
                _ => drop(owners.insert(key, (builder, dir))),
            }
        }
        note_reserved(collector, builder);
    }
    note_nested(collector, &owners);
}

fn same(first: &BuilderPlan, second: &BuilderPlan, dir: &str) -> String {
    let slots = |builder: &BuilderPlan| {
        let own = dir_key(&builder.dir) == dir_key(dir);
        if own { String::new() } else { format!("; it is a slot of `{}`", builder.name) }
    };
    let (a, b) = (&first.name, &second.name);
    format!("builders `{a}` and `{b}` have the same directory `{dir}`{}{}", slots(first), slots(second))
}

fn note_nested(collector: &Collector, owners: &BTreeMap<Vec<String>, (&BuilderPlan, String)>) {
    for (key, (builder, dir)) in owners {
        let outer = (1..key.len()).find_map(|parts| owners.get(&key[..parts]));
        if let Some((outer, around)) = outer.filter(|(outer, _)| outer.name != builder.name) {
            let message = format!(
                "builder `{}` has the directory `{dir}`, which is inside the directory `{around}` of builder `{}`",
                builder.name, outer.name
            );
            note(collector, builder, &message);
        }
    }
}

fn note_reserved(collector: &Collector, builder: &BuilderPlan) {
    let first = dir_key(&builder.dir).into_iter().next().unwrap_or_default();
    if RESERVED.contains(&first.as_str()) {
        let message =
            format!("builder `{}` has the directory `{first}`, where workers keep their own files", builder.name);
        note(collector, builder, &message);
    }
}

fn note(collector: &Collector, builder: &BuilderPlan, message: &str) {
    let other = builder.dir.replace(['/', '\\'], "-");
    let hint = format!("give it another one: `dir = \"{other}-dir\"`");
    collector.note(collector.spot_of(Kind::Builder, &builder.name), message.to_owned(), Some(hint));
}

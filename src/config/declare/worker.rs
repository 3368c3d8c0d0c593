//! `worker`: a machine, or a part of one, that runs builds.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::directory_name;
use super::super::output_words::encoding_name;
use super::super::signature::{Native, optional, required};
use crate::model::WorkerPlan;

pub(super) static WORKER: Native = Native {
    name: "worker",
    doc: "Declares a worker. A worker without a password is local: `starwright up` starts it.",
    example: "worker(\"linux-1\", password = secret(\"linux-1\"), tags = [\"linux\"], slots = 2)",
    positional: 1,
    kinds: &[],
    params: &[
        required("name", "text", "The name under which it connects."),
        optional("password", "text or secret", "None", "The password with which it connects; None for a local worker."),
        optional("tags", "list of text", "[]", "Tags by which builders can select it, in addition to its name."),
        optional("slots", "whole number", "1", "How many builds it runs at the same time."),
        optional("locks", "list of locks", "[]", "Locks that each of its builds acquires before it starts."),
        optional("properties", "dict", "{}", "Properties for each of its builds."),
        optional(
            "encoding",
            "text",
            "\"utf-8\"",
            "The encoding of what its commands print, such as \"cp1252\". A stock worker decodes output itself.",
        ),
    ],
};

/// Builds at the same time on one worker: each takes connections and processes; more is a slip of the pen.
const SLOTS_MAX: i64 = 1_000;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn worker<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&WORKER, args, eval)?;
        let name = call.subject("worker");
        call.collector.declare(Kind::Worker, &name, &call.site);
        if let Some(why) = directory_name::trouble(&name).filter(|_| !name.is_empty() && name.trim() == name) {
            call.wrong("name", &format!("{why}; a worker's name is that of its directory"), None);
        }
        let password = call.text("password");
        if password.as_ref().is_some_and(|password| password.masked().is_empty()) {
            let hint = "leave it out for a local worker; otherwise secret(\"…\") or a text";
            call.wrong("password", "is empty, so nobody could log in with it", Some(hint.to_owned()));
        }
        let slots = call.whole("slots", 1..=SLOTS_MAX).and_then(|slots| u64::try_from(slots).ok());
        let plan = WorkerPlan {
            name: name.clone(),
            password,
            tags: call.strings("tags").unwrap_or_default(),
            slots: slots.unwrap_or(1),
            locks: call.locks("locks"),
            properties: call.properties("properties", "Worker"),
            encoding: encoding(&call),
            place: call.place(),
        };
        call.collector.plan.borrow_mut().workers.entry(name).or_insert(plan);
        Ok(NoneType)
    }
}

fn encoding(call: &Call<'_, '_, '_, '_, '_>) -> Option<String> {
    match encoding_name(&call.string("encoding")?) {
        Ok(name) => Some(name),
        Err(why) => {
            let why = why.to_string();
            let (what, hint) = why.split_once("; ").unwrap_or((&why, ""));
            let what = what.trim_start_matches("`encoding`: ");
            call.wrong("encoding", &format!("{what}, so output could not be decoded"), Some(hint.to_owned()));
            None
        }
    }
}

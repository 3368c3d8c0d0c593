//! `lock`: something that only so many builds may use at the same time.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::UnpackValue as _;

use super::super::args::Call;
use super::super::collect::{Kind, ReferenceKind};
use super::super::signature::{Native, optional, required};
use super::super::values::access::LockValue;
use crate::model::{LockPlan, LockScope};

pub(super) static LOCK: Native = Native {
    name: "lock",
    doc: "Declares a lock and returns it. In `locks = [...]`, write the lock itself (one unit), or add \
             `.shared(n)` or `.exclusive()`.",
    example: "db = lock(\"db\", count = 3)\nworker(\"w\", locks = [db.shared(1)])",
    positional: 1,
    kinds: &[],
    params: &[
        required("name", "text", "Its name."),
        optional("count", "whole number", "1", "How many units shared holders can hold in total."),
        optional(
            "scope",
            "\"master\" or \"worker\"",
            "\"master\"",
            "One lock for the whole installation, or one per worker.",
        ),
        optional("count_for", "dict of worker to whole number", "{}", "Different counts for individual workers."),
    ],
};

const SCOPES: [(&str, LockScope); 2] = [("master", LockScope::Master), ("worker", LockScope::Worker)];

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn lock<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<LockValue> {
        let mut call = Call::open(&LOCK, args, eval)?;
        let name = call.subject("lock");
        call.collector.declare(Kind::Lock, &name, &call.site);
        let mut plan = LockPlan {
            name: name.clone(),
            scope: call.word("scope", &SCOPES).unwrap_or(LockScope::Master),
            count: call.count_of("count", 1).unwrap_or(1),
            count_for: std::collections::BTreeMap::new(),
            place: call.place(),
        };
        for (worker, value) in call.dict("count_for").unwrap_or_default() {
            let at = call.arg("count_for").key(&worker);
            call.collector.refer(&call.title, ReferenceKind::Worker, &worker, call.site.at(at.clone()));
            let number = i64::unpack_value(value).ok().flatten().and_then(|n| u64::try_from(n).ok());
            match number.filter(|n| *n > 0) {
                Some(number) => drop(plan.count_for.insert(worker, number)),
                None => {
                    let message =
                        format!("{}: the count for `{worker}` must be a whole number, at least 1", call.title);
                    call.problem(at, message, None);
                }
            }
        }
        if !plan.count_for.is_empty() && plan.scope == LockScope::Master {
            let hint = Some("write `scope = \"worker\"`".to_owned());
            call.wrong("count_for", "needs a lock of each worker", hint);
        }
        call.collector.plan.borrow_mut().locks.entry(name.clone()).or_insert(plan);
        Ok(LockValue { name })
    }
}

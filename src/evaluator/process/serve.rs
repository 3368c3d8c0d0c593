//! Carries out one order after the other, until nobody gives any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::frame;
use super::super::message::{Order, Reply, TurnOrder};
use super::{Ends, allow, spent};
use crate::config::{Cancel, Scripts, take_printed};
use crate::model::{BuildContext, BuildId, EvalJob, EvalOutcome, FnId, Journal, Question};

/// What is remembered of a build from one turn to the next; the other end knows it.
struct Remembered {
    context: Arc<BuildContext>,
    journal: Arc<Journal>,
}

/// Serves until the other end is closed, or says something that makes no sense here.
pub(super) fn serve(scripts: &Scripts, ends: &mut Ends) {
    let mut builds = BTreeMap::new();
    while let Some(order) = ends.hear() {
        let reply = match order {
            Order::Turn(order) => turn(scripts, &mut builds, order),
            Order::Decide { questions, micros, budget_micros } => {
                Some(decide(scripts, &questions, micros, budget_micros))
            }
            Order::Render { function, facts, micros } => {
                allow(micros);
                let text = scripts.render(function, &facts).map_err(|error| error.message);
                Some(Reply::Rendered { text, printed: take_printed() })
            }
            Order::Load { .. } | Order::Text(_) | Order::Fork | Order::End { .. } => None,
        };
        let Some(reply) = reply else { return };
        let sent = say(ends, &reply);
        allow(0);
        if !sent {
            return;
        }
    }
}

fn turn(scripts: &Scripts, builds: &mut BTreeMap<BuildId, Remembered>, order: TurnOrder<'_>) -> Option<Reply> {
    for build in &order.forget {
        builds.remove(build);
    }
    if let Some(context) = order.context {
        builds.insert(order.build, Remembered { context, journal: Arc::default() });
    }
    let remembered = builds.get_mut(&order.build)?;
    let journal = Arc::make_mut(&mut remembered.journal);
    journal.0.extend(order.entries.into_iter().map(|(key, entry)| (key.into_owned(), entry.into_owned())));
    let job = EvalJob {
        turn: 0,
        plan: scripts.digest().clone(),
        step: order.step,
        part: order.part,
        context: Arc::clone(&remembered.context),
        journal: Arc::clone(&remembered.journal),
        step_outcome: order.step_outcome,
    };
    allow(order.micros);
    let outcome = scripts.evaluate(&job, &Cancel::default());
    Some(Reply::Turned { outcome, printed: take_printed() })
}

fn decide(scripts: &Scripts, questions: &[(FnId, Question)], micros: u64, budget_micros: u64) -> Reply {
    let began = spent();
    let mut answers = Vec::with_capacity(questions.len());
    for (function, question) in questions {
        if spent() - began > budget_micros {
            break;
        }
        allow(micros);
        answers.push(scripts.decide(*function, question).map_err(|error| error.message));
    }
    Reply::Decided { answers, spent_micros: spent() - began, printed: take_printed() }
}

/// Says a reply. One that is too large is a fault of the script, and it hears so.
fn say(ends: &mut Ends, reply: &Reply) -> bool {
    match frame::encode(reply) {
        Ok(bytes) => ends.send(&bytes),
        Err(error) => {
            let message = format!("the script's result cannot be handed over: {error}");
            ends.say(&match reply {
                Reply::Rendered { .. } => Reply::Rendered { text: Err(message), printed: String::new() },
                Reply::Decided { spent_micros, .. } => {
                    Reply::Decided { answers: vec![Err(message)], spent_micros: *spent_micros, printed: String::new() }
                }
                _ => {
                    Reply::Turned { outcome: EvalOutcome::Failed { asks: Vec::new(), message }, printed: String::new() }
                }
            })
        }
    }
}

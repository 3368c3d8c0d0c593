//! Carries out one order after the other, until nobody gives any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::frame;
use super::super::message::{ChildReply, ChildRequest, EvaluationRequest};
use super::{Pipes, allow, spent};
use crate::config::{Cancel, Scripts, take_printed};
use crate::model::{BuildContext, BuildId, EvalJob, EvalOutcome, FnId, Journal, Question, Readings, TextRef};

/// What is remembered of a build from one turn to the next; the other end knows it.
struct Remembered {
    context: Arc<BuildContext>,
    journal: Arc<Journal>,
    /// Texts that it was sent.
    texts: BTreeMap<TextRef, Arc<str>>,
}

/// Serves until the other end is closed, or says something that makes no sense here.
pub(super) fn serve(scripts: &Scripts, pipes: &mut Pipes) {
    let mut builds = BTreeMap::new();
    while let Some(order) = pipes.hear() {
        let reply = match order {
            ChildRequest::Evaluate(order) => turn(scripts, &mut builds, order),
            ChildRequest::Decide { questions, micros, budget_micros } => {
                Some(decide(scripts, &questions, micros, budget_micros))
            }
            ChildRequest::Render { function, facts, micros } => {
                allow(micros);
                let text = scripts.render(function, &facts).map_err(|error| error.message);
                Some(ChildReply::Rendered { text, printed: take_printed() })
            }
            ChildRequest::Compute { function, facts, micros } => {
                allow(micros);
                let value = scripts.compute(function, &facts).map_err(|error| error.message);
                Some(ChildReply::Computed { value, printed: take_printed() })
            }
            ChildRequest::Load { .. } | ChildRequest::Text(_) | ChildRequest::Fork | ChildRequest::End { .. } => None,
        };
        let Some(reply) = reply else { return };
        let sent = say(pipes, &reply);
        allow(0);
        if !sent {
            return;
        }
    }
}

fn turn(
    scripts: &Scripts,
    builds: &mut BTreeMap<BuildId, Remembered>,
    order: EvaluationRequest<'_>,
) -> Option<ChildReply> {
    for build in &order.forget {
        builds.remove(build);
    }
    if let Some(context) = order.context {
        builds.insert(order.build, Remembered { context, journal: Arc::default(), texts: BTreeMap::new() });
    }
    let remembered = builds.get_mut(&order.build)?;
    let journal = Arc::make_mut(&mut remembered.journal);
    journal.0.extend(order.entries.into_iter().map(|(key, entry)| (key.into_owned(), entry.into_owned())));
    remembered.texts.extend(order.texts.into_iter().map(|(text, content)| (text, Arc::from(content.as_ref()))));
    let job = EvalJob {
        turn: 0,
        plan: scripts.digest().clone(),
        step: order.step,
        part: order.part,
        context: Arc::clone(&remembered.context),
        journal: Arc::clone(&remembered.journal),
        step_outcome: order.step_outcome,
        readings: Arc::new(Readings { texts: remembered.texts.clone(), logs: order.logs.into_iter().collect() }),
    };
    allow(order.micros);
    let outcome = scripts.evaluate(&job, &Cancel::default());
    Some(ChildReply::Evaluated { outcome, printed: take_printed() })
}

fn decide(scripts: &Scripts, questions: &[(FnId, Question)], micros: u64, budget_micros: u64) -> ChildReply {
    let began = spent();
    let mut answers = Vec::with_capacity(questions.len());
    for (function, question) in questions {
        if spent() - began > budget_micros {
            break;
        }
        allow(micros);
        answers.push(scripts.decide(*function, question).map_err(|error| error.message));
    }
    ChildReply::Decided { answers, spent_micros: spent() - began, printed: take_printed() }
}

/// Says a reply. One that is too large is a fault of the script, and it hears so.
fn say(pipes: &mut Pipes, reply: &ChildReply) -> bool {
    match frame::encode(reply) {
        Ok(bytes) => pipes.send(&bytes),
        Err(error) => {
            let message = format!("the script's result cannot be handed over: {error}");
            pipes.say(&match reply {
                ChildReply::Rendered { .. } => ChildReply::Rendered { text: Err(message), printed: String::new() },
                ChildReply::Computed { .. } => ChildReply::Computed { value: Err(message), printed: String::new() },
                ChildReply::Decided { spent_micros, .. } => ChildReply::Decided {
                    answers: vec![Err(message)],
                    spent_micros: *spent_micros,
                    printed: String::new(),
                },
                _ => ChildReply::Evaluated {
                    outcome: EvalOutcome::Failed { asks: Vec::new(), message },
                    printed: String::new(),
                },
            })
        }
    }
}

//! Changes arrive: each gets a number, once a source, and is shown to the schedulers.
//!
//! A *source* is whoever may tell of one change several times and means one: a declared poller, with the hooks that are
//! called for its repository. Two pollers are two sources, even of one repository. Who sends a change explicitly is none:
//! that is always recorded, unless it comes with the name of a delivery that came before.
//!
//! ```text
//!   hook ──► pollers of its repository? ──none──► recorded
//!                     │ some                        ▲
//!                     ▼                             │ never polled yet, so that it would take the change for old
//!          announced, poller woken ─────────────────┘
//!                     │
//!   poller ──► known? │ no ──► joined with what the hook knew ──► recorded
//! ```
//! A hook may also say that somebody wants a build (a comment does): that change is recorded in any case. Or it only wakes
//! the pollers.

use super::schedulers::offer_change;
use super::turn::Turn;
use super::watch::{home_of, repository_of, watches};
use super::{Reply, SubmissionResult, Ticket};
use crate::model::{
    Actor, Change, ChangeId, ChangeSourceId, ChangeSourcePlan, Event, Intake, NewChange, StampSpec, normal_address,
    without_login,
};

/// What somebody tells of.
pub(super) struct ToldChanges {
    pub changes: Vec<NewChange>,
    pub delivery: Option<String>,
    pub intake: Intake,
}

/// Changes from outside.
pub(super) fn changes_told(turn: &mut Turn<'_>, told: ToldChanges, by: &Actor, ticket: Option<Ticket>) {
    let ToldChanges { changes, delivery, intake: how } = told;
    if let Some(first) = delivery.as_deref().and_then(|delivery| turn.state.changes().delivered(delivery)) {
        let intake = vec![SubmissionResult::SameDelivery(first); changes.len()];
        return turn.reply(ticket, Reply::Changes(intake));
    }
    let mut intake = Vec::new();
    for change in changes {
        match (by, how) {
            (Actor::Person { .. } | Actor::User { .. } | Actor::Token { .. }, _) => {
                intake.push(SubmissionResult::Recorded(change_seen(turn, change, None)));
            }
            (Actor::Hook { .. }, Intake::Always) => {
                intake.push(SubmissionResult::Recorded(change_seen(turn, with_short_branch(change), None)));
            }
            (Actor::Hook { .. }, Intake::Report) => hook_told(turn, change, &mut intake),
            (Actor::Hook { .. }, Intake::Wake) => hook_woke(turn, change, &mut intake),
        }
    }
    if let Some(delivery) = delivery {
        let change = intake.iter().find_map(SubmissionResult::recorded);
        turn.record(Event::DeliveryTaken { delivery, change });
    }
    turn.reply(ticket, Reply::Changes(intake));
}

/// A hook was called. What pollers of its repository see they record themselves, with all that the repository says.
fn hook_told(turn: &mut Turn<'_>, change: NewChange, intake: &mut Vec<SubmissionResult>) {
    let change = with_short_branch(change);
    let pollers = pollers_of(turn, &change);
    if pollers.is_empty() {
        return intake.push(SubmissionResult::Recorded(change_seen(turn, change, None)));
    }
    sabotage!(HookRecordsToo => { change_seen(turn, change.clone(), None); });
    let mut awaiting = Vec::new();
    for poller in pollers {
        match told_to(turn, &poller, &change) {
            Some(known) => intake.push(known),
            None => awaiting.push(poller.name),
        }
    }
    if awaiting.is_empty() {
        return;
    }
    let sources = awaiting.iter().map(|name| turn.state.source_id(name)).collect();
    turn.record(Event::ChangeAnnounced { change: announcement(&change), sources });
    for source in awaiting {
        turn.in_flight.marks.poll(&source);
        intake.push(SubmissionResult::Awaited { source });
    }
}

/// A hook was called that only wakes pollers: all that look at the repository, whatever was pushed.
fn hook_woke(turn: &mut Turn<'_>, change: NewChange, intake: &mut Vec<SubmissionResult>) {
    sabotage!(WakeRecords => { change_seen(turn, change.clone(), None); });
    let change = NewChange { repository: change.repository, ..NewChange::default() };
    let names: Vec<String> = pollers_of(turn, &change).into_iter().map(|poller| poller.name).collect();
    if names.is_empty() {
        return intake.push(SubmissionResult::NobodyPolls);
    }
    // Recorded, so that it is also done after a restart.
    let sources = names.iter().map(|name| turn.state.source_id(name)).collect();
    turn.record(Event::ChangeAnnounced { change, sources });
    for source in names {
        turn.in_flight.marks.poll(&source);
        intake.push(SubmissionResult::Awaited { source });
    }
}

/// What comes at once of a hook's call for a poller; nothing if the poller has to look.
fn told_to(turn: &mut Turn<'_>, poller: &ChangeSourcePlan, change: &NewChange) -> Option<SubmissionResult> {
    let own = owned(poller, change);
    if let Some(known) = turn.state.changes().same(Some(turn.state.source_id(&poller.name)), &own) {
        return Some(SubmissionResult::Known { change: known, source: poller.name.clone() });
    }
    let was_polled = turn.state.sources().get(&poller.name).is_some_and(|source| source.cursor.is_some());
    if was_polled {
        return None;
    }
    // Its first poll takes whatever is there for old.
    Some(SubmissionResult::Recorded(change_seen(turn, own, Some(turn.state.source_id(&poller.name)))))
}

/// The pollers that would see a change.
fn pollers_of(turn: &Turn<'_>, change: &NewChange) -> Vec<ChangeSourcePlan> {
    let (Some(plan), false) = (turn.plan(), home_of(change).is_empty()) else { return Vec::new() };
    let address = normal_address(home_of(change));
    let sees = |poller: &&ChangeSourcePlan| {
        let cursor = turn.state.sources().get(&poller.name).and_then(|source| source.cursor.as_ref());
        repository_of(poller).is_some_and(|own| normal_address(own) == address) && watches(poller, cursor, change)
    };
    plan.change_sources.values().filter(sees).cloned().collect()
}

/// One change. What the same source told of before keeps its number.
pub(super) fn change_seen(turn: &mut Turn<'_>, mut data: NewChange, source: Option<ChangeSourceId>) -> ChangeId {
    if let Some(known) = turn.state.changes().same(source, &data) {
        return known;
    }
    sabotage!(PolledChangeLost => if source.is_some() && !turn.facts.is_empty() { return ChangeId(0) });
    if source.is_some()
        && let Some(announced) = turn.state.changes().announced(&data)
    {
        sabotage!(AnnouncedTakenForSeen => return ChangeId(0));
        join(&mut data, announced);
    }
    data.when.get_or_insert(turn.now);
    let id = ChangeId(turn.state.last().change + 1);
    let spec = StampSpec {
        codebase: data.codebase.clone(),
        repository: data.repository.clone(),
        project: data.project.clone(),
        branch: data.branch.clone(),
        revision: data.revision.clone(),
    };
    let change = Change {
        id,
        parent: turn.state.changes().previous(&data),
        stamp: turn.state.stamp(spec, 0, turn.now),
        arrived: turn.now,
        source,
        data,
    };
    turn.record(Event::ChangeArrived { change });
    offer_change(turn, id);
    id
}

/// `main` and `refs/heads/main` are one.
fn with_short_branch(mut change: NewChange) -> NewChange {
    if let Some(short) = change.branch.as_deref().and_then(|branch| branch.strip_prefix("refs/heads/")) {
        change.branch = Some(short.to_owned());
    }
    change
}

/// What a hook tells as the poller itself would.
fn owned(poller: &ChangeSourcePlan, change: &NewChange) -> NewChange {
    let or = |own: &String, told: &String| if own.is_empty() { told.clone() } else { own.clone() };
    // The branch of a pull request may be in another repository.
    let is_elsewhere = normal_address(&change.repository) != normal_address(home_of(change));
    let home = if is_elsewhere { None } else { repository_of(poller) };
    NewChange {
        repository: without_login(home.unwrap_or(&change.repository)),
        project: or(&poller.project, &change.project),
        codebase: poller.codebase.clone(),
        category: poller.category.clone().or_else(|| change.category.clone()),
        ..change.clone()
    }
}

/// What of a hook's call a poller cannot know itself. Message and files it knows better.
fn announcement(change: &NewChange) -> NewChange {
    NewChange { comments: String::new(), files: Vec::new(), codebase: String::new(), when: None, ..change.clone() }
}

/// Adds to what a poller saw what only a hook knew.
fn join(seen: &mut NewChange, told: &NewChange) {
    let has_mail = |person: &str| person.contains('@');
    if seen.author.is_empty() || !has_mail(&seen.author) && has_mail(&told.author) {
        seen.author.clone_from(&told.author);
    }
    if told.committer.as_deref().is_some_and(has_mail) && !seen.committer.as_deref().is_some_and(has_mail) {
        seen.committer.clone_from(&told.committer);
    }
    if seen.project.is_empty() {
        seen.project.clone_from(&told.project);
    }
    seen.category = seen.category.take().or_else(|| told.category.clone());
    seen.revlink = seen.revlink.take().or_else(|| told.revlink.clone());
    let mut properties = told.properties.clone();
    properties.update(&seen.properties);
    seen.properties = properties;
}

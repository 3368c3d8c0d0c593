//! Reports: who is told of a build that was requested, started or ended, and why.

use super::deliveries::leave;
use super::state::{Build, Fingerprint, Previous};
use super::turn::Turn;
use super::{Reply, Ticket};
use crate::model::{
    BuildId, BuilderId, BuildsetId, Event, NotifierPlan, NotifyOn, Outcome, Plan, Report, ReportId, ReportReason,
    ReportSubject, RequestId, SourceStamp, Value,
};

/// Undelivered reports of one notifier: a busy week of builds. Beyond it the oldest is given up.
const OUTBOX_MAX: usize = 10_000;

/// What a report may be about, as far as it decides who is told.
struct About<'a> {
    builders: Vec<&'a str>,
    stamps: &'a [SourceStamp],
    /// What was checked out, where the stamps do not say it.
    got: Option<&'a Value>,
}

/// Puts a report into the outbox for each notifier that speaks of the end of this build.
pub(super) fn report_build(turn: &mut Turn<'_>, build: &Build, outcome: Outcome, previous: Previous) {
    // Builds also end because no configuration can be loaded any more; nobody is configured to be told then.
    let Some(plan) = turn.plan() else { return };
    let got = build.properties.get("got_revision");
    let about = About { builders: vec![&build.builder], stamps: &build.stamps, got };
    for notifier in plan.notifiers.values().filter(|notifier| concerns(notifier, &about, &plan)) {
        if let Some(reason) = reason(&notifier.on, outcome, previous) {
            let (builder, previous) = (build.builder_id, previous.outcome.filter(|_| !previous.unproven));
            let subject = ReportSubject::Build { build: build.id, builder, outcome, previous };
            queue(turn, &plan, notifier, (reason, subject), &about);
        }
    }
}

/// The same for the start of a build.
pub(super) fn report_start(turn: &mut Turn<'_>, build: BuildId) {
    let Some(plan) = plan_that_tells(turn, NotifyOn::Start) else { return };
    let build = turn.state.build(build).clone();
    sabotage!(BorrowersStartUntold => if build.lender.is_some() { return });
    let about = About { builders: vec![&build.builder], stamps: &build.stamps, got: None };
    let subject = ReportSubject::Start { build: build.id, builder: build.builder_id };
    tell(turn, &plan, (NotifyOn::Start, ReportReason::Start), &subject, &about);
}

/// The same for a request that was made, or (with an outcome) that ended without a build.
pub(super) fn report_request(turn: &mut Turn<'_>, request: RequestId, outcome: Option<Outcome>) {
    let Some(plan) = plan_that_tells(turn, NotifyOn::Pending) else { return };
    let found = turn.state.request(request);
    let (builder, buildset): (BuilderId, BuildsetId) = (found.builder, found.buildset);
    let record = std::sync::Arc::clone(&turn.state.buildset_of(found).record);
    let name = turn.state.builder(builder).name.clone();
    let about = About { builders: vec![&name], stamps: &record.stamps, got: None };
    let subject = ReportSubject::Request { request, builder, buildset, outcome };
    tell(turn, &plan, (NotifyOn::Pending, ReportReason::Pending), &subject, &about);
}

/// The same for a buildset that ended.
pub(super) fn report_set(turn: &mut Turn<'_>, buildset: BuildsetId, outcome: Outcome) {
    let Some(plan) = plan_that_tells(turn, NotifyOn::Set) else { return };
    // One that nobody waits for has left with its end.
    let Some(set) = turn.state.buildsets().get(&buildset).cloned() else { return };
    let ids = set.requests.values().flatten().map(|end| end.builder);
    let names: Vec<String> = ids.map(|builder| turn.state.builder(builder).name.clone()).collect();
    let builders = names.iter().map(String::as_str).collect();
    let about = About { builders, stamps: &set.record.stamps, got: None };
    let subject = ReportSubject::Set { buildset, outcome };
    tell(turn, &plan, (NotifyOn::Set, ReportReason::Set), &subject, &about);
}

/// The configuration in force, if one of its notifiers speaks on this occasion.
fn plan_that_tells(turn: &Turn<'_>, on: NotifyOn) -> Option<std::sync::Arc<Plan>> {
    turn.plan().filter(|plan| plan.notifiers.values().any(|notifier| notifier.on.contains(&on)))
}

/// Puts a report into the outbox for each notifier that speaks on this occasion, of this.
fn tell(
    turn: &mut Turn<'_>,
    plan: &Plan,
    (on, reason): (NotifyOn, ReportReason),
    subject: &ReportSubject,
    about: &About<'_>,
) {
    let speaks = |notifier: &&NotifierPlan| notifier.on.contains(&on) && concerns(notifier, about, plan);
    for notifier in plan.notifiers.values().filter(speaks) {
        queue(turn, plan, notifier, (reason, subject.clone()), about);
    }
}

fn queue(
    turn: &mut Turn<'_>,
    plan: &Plan,
    notifier: &NotifierPlan,
    (reason, subject): (ReportReason, ReportSubject),
    about: &About<'_>,
) {
    make_room(turn, &notifier.name);
    let report = Report {
        id: ReportId(turn.state.last().report + 1),
        notifier: notifier.name.clone(),
        plan: plan.digest.clone(),
        reason,
        subject,
        made: turn.now,
        target: target(about),
        latest_only: notifier.latest_only,
        again: None,
    };
    turn.record(Event::ReportQueued { report });
}

fn make_room(turn: &mut Turn<'_>, notifier: &str) {
    if let Some(oldest) = turn.state.oldest_report_beyond(notifier, OUTBOX_MAX - 1) {
        let why = format!("{OUTBOX_MAX} reports of this notifier waited, and this was the oldest");
        leave(turn, oldest, Event::ReportDropped { report: oldest, why });
    }
}

/// Somebody wants a report sent again that was given up. It is made as the configuration in force says, so that what was
/// put right since counts.
pub(super) fn resend_ordered(turn: &mut Turn<'_>, id: ReportId, of: Option<Report>, ticket: Option<Ticket>) {
    let Some(of) = of else {
        return turn.reply(ticket, Reply::Unknown(format!("no report {id} was given up, or it was sent again")));
    };
    let Some(plan) = turn.plan() else {
        return turn.reply(ticket, Reply::Refused("no configuration is in force".to_owned()));
    };
    let Some(notifier) = plan.notifiers.get(&of.notifier) else {
        let why = format!("notifier `{}` is not configured any more", of.notifier);
        return turn.reply(ticket, Reply::Refused(why));
    };
    if notifier.latest_only && is_stale(turn, &of.subject) {
        let why = "it is out of date: what it is about has ended, and a later report says so".to_owned();
        return turn.reply(ticket, Reply::Refused(why));
    }
    // Ordered twice: it is on its way.
    if !turn.state.outbox().values().any(|queued| queued.report.again == Some(id)) {
        make_room(turn, &of.notifier);
        let report = Report {
            id: ReportId(turn.state.last().report + 1),
            plan: plan.digest.clone(),
            made: turn.now,
            latest_only: notifier.latest_only,
            again: Some(id),
            ..of
        };
        turn.record(Event::ReportQueued { report });
    }
    turn.reply(ticket, Reply::Done);
}

/// Whether a report says of something that it begins which is over.
fn is_stale(turn: &Turn<'_>, subject: &ReportSubject) -> bool {
    match subject {
        ReportSubject::Start { build, .. } => !turn.state.builds().contains_key(build),
        ReportSubject::Request { request, outcome: None, .. } => {
            turn.state.requests().get(request).is_none_or(|request| request.build.is_some())
        }
        ReportSubject::Request { outcome: Some(_), .. } | ReportSubject::Build { .. } | ReportSubject::Set { .. } => {
            false
        }
    }
}

/// Stands for builders and the revisions that they build; where a revision is not known, for the branch.
fn target(about: &About<'_>) -> String {
    let revision = |stamp: &SourceStamp| match (&stamp.spec.revision, about.got) {
        (Some(revision), _) => Some(revision.clone()),
        (None, Some(Value::Str(revision))) => Some(revision.clone()),
        (None, Some(Value::Map(by_codebase))) => {
            by_codebase.get(&stamp.spec.codebase).and_then(Value::as_str).map(str::to_owned)
        }
        (None, _) => None,
    };
    let sources = about.stamps.iter().map(|stamp| match revision(stamp) {
        Some(revision) => (&stamp.spec.codebase, &stamp.spec.repository, Some(revision), None),
        None => (&stamp.spec.codebase, &stamp.spec.repository, None, stamp.spec.branch.as_ref()),
    });
    Fingerprint::of(&(&about.builders, sources.collect::<Vec<_>>())).to_string()
}

#[cfg(test)]
pub(super) fn queue_again(turn: &mut Turn<'_>) {
    for report in turn.state.outbox().values().map(|queued| queued.report.clone()).collect::<Vec<_>>() {
        let id = ReportId(turn.state.last().report + 1);
        turn.record(Event::ReportQueued { report: Report { id, ..report } });
    }
}

/// Whether a notifier speaks of one of these builders, their tags, and these branches.
fn concerns(notifier: &NotifierPlan, about: &About<'_>, plan: &Plan) -> bool {
    let is_named =
        |name: &&str| notifier.builders.as_ref().is_none_or(|builders| builders.iter().any(|known| known == name));
    let is_tagged = |name: &&str| {
        notifier.tags.is_empty()
            || (plan.builders.get(*name))
                .is_some_and(|builder| builder.tags.iter().any(|tag| notifier.tags.contains(tag)))
    };
    let branched = (notifier.branches.as_ref())
        .is_none_or(|branches| about.stamps.iter().any(|stamp| branches.contains(&stamp.spec.branch)));
    branched && about.builders.iter().any(|name| is_named(name) && is_tagged(name))
}

/// The most telling reason for which a notifier speaks: a turn for the worse or the better first, then any change, then
/// the outcome as such.
fn reason(on: &[NotifyOn], outcome: Outcome, previous: Previous) -> Option<ReportReason> {
    let kind = match outcome {
        Outcome::Success => Some((NotifyOn::Success, ReportReason::Success)),
        Outcome::Warnings => Some((NotifyOn::Warnings, ReportReason::Warnings)),
        Outcome::Failure => Some((NotifyOn::Failure, ReportReason::Failure)),
        Outcome::Exception => Some((NotifyOn::Exception, ReportReason::Exception)),
        Outcome::Cancelled => Some((NotifyOn::Cancelled, ReportReason::Cancelled)),
        Outcome::Skipped | Outcome::Retry => None,
    };
    let is_bad = |outcome| matches!(outcome, Outcome::Failure | Outcome::Exception);
    let is_good = |outcome| matches!(outcome, Outcome::Success | Outcome::Warnings);
    let was_bad = previous.outcome.is_some_and(is_bad);
    let counts = (is_bad(outcome) || is_good(outcome)) && !previous.unproven;
    [
        (is_bad(outcome) && !was_bad).then_some((NotifyOn::Problem, ReportReason::Problem)),
        (is_good(outcome) && was_bad && counts).then_some((NotifyOn::Recovery, ReportReason::Recovery)),
        (counts && previous.outcome.is_some_and(|previous| previous != outcome))
            .then_some((NotifyOn::Change, ReportReason::Change)),
        kind,
        Some((NotifyOn::Always, ReportReason::Always)),
    ]
    .into_iter()
    .flatten()
    .find(|(occasion, _)| on.contains(occasion))
    .map(|(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_reason_is_given() {
        use NotifyOn as On;
        let all = [On::Success, On::Failure, On::Problem, On::Recovery, On::Change, On::Always];
        let told = |outcome, previous| reason(&all, outcome, Previous { outcome: previous, unproven: false });
        assert_eq!(told(Outcome::Failure, Some(Outcome::Success)), Some(ReportReason::Problem));
        assert_eq!(told(Outcome::Failure, None), Some(ReportReason::Problem));
        assert_eq!(told(Outcome::Failure, Some(Outcome::Failure)), Some(ReportReason::Failure));
        assert_eq!(told(Outcome::Success, Some(Outcome::Exception)), Some(ReportReason::Recovery));
        assert_eq!(told(Outcome::Warnings, Some(Outcome::Success)), Some(ReportReason::Change));
        assert_eq!(told(Outcome::Success, Some(Outcome::Success)), Some(ReportReason::Success));
        assert_eq!(told(Outcome::Cancelled, Some(Outcome::Success)), Some(ReportReason::Always));
        assert_eq!(reason(&[On::Failure], Outcome::Success, Previous::default()), None);
    }

    #[test]
    fn a_first_success_is_no_recovery() {
        assert_eq!(reason(&[NotifyOn::Recovery, NotifyOn::Change], Outcome::Success, Previous::default()), None);
    }

    #[test]
    fn a_success_that_skipped_what_was_broken_is_only_a_success() {
        let on = [NotifyOn::Recovery, NotifyOn::Change, NotifyOn::Success];
        let previous = Previous { outcome: Some(Outcome::Failure), unproven: true };
        assert_eq!(reason(&on, Outcome::Success, previous), Some(ReportReason::Success));
    }
}

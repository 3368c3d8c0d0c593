//! Takes an input apart: who deals with it.

use super::deliveries::{self, Setback};
use super::intake::ToldChanges;
use super::settle::{Core, Parts};
use super::timers::CLOCK_SLACK;
use super::{
    Input, PollResult, Reply, Ticket, adopt, asked, command_ends, evaluate, intake, reports, returns, schedulers,
    sources, workers,
};
use crate::base::Span;
use crate::model::{Actor, Event, Order};

/// A clock that goes back by more than this was wrong: moments planned by it are planned anew.
const CLOCK_WRONG: Span = Span::from_minutes(24 * 60);

impl Core<'_> {
    /// Deals with one input; what follows from it is left to [`Core::finish`].
    pub fn take(&mut self, input: Input) {
        self.look_at_clock();
        match input {
            Input::Started { name, installation } => self.started(name, installation),
            Input::Stopping => self.turn.record(Event::MasterStopped),
            Input::PlanLoaded { plan, why, cause: _, ticket } => {
                adopt::plan_loaded(&mut self.turn, self.parts, &plan, why, ticket);
            }
            Input::PlanRefused { why, cause: _, message, ticket } => {
                self.turn.record(Event::PlanRefused { why, message: message.clone() });
                self.turn.reply(ticket, Reply::Refused(message));
            }
            // What is due is done after every input.
            Input::Woke => {}

            Input::Polled { source, report } => self.polled(&source, report),
            Input::Ordered { order, by, ticket } => self.ordered(order, &by, ticket),

            Input::WorkerConnected { worker, epoch, instance, resumes, info } => {
                let connection = super::state::Connection { epoch, instance, resumes };
                returns::worker_connected(&mut self.turn, &worker, connection, info);
            }
            Input::Resumed { worker, epoch, commands } => returns::resumed(&mut self.turn, &worker, epoch, commands),
            Input::Forgotten { worker, epoch, commands } => {
                returns::forgotten(&mut self.turn, &worker, epoch, commands);
            }
            Input::WorkerLost { worker, epoch, why } => workers::worker_lost(&mut self.turn, worker, epoch, why),
            Input::CommandEnded(ended) => command_ends::command_ended(&mut self.turn, ended),

            Input::Evaluated { build, turn, outcome } => evaluate::evaluated(&mut self.turn, build, turn, outcome),

            Input::ReportSent { report, remarks } => self.parts.deliveries.sent(&mut self.turn, report, remarks),
            Input::ReportFailed { report, error, final_, pause } => {
                let setback = Setback { error, in_vain: final_, pause };
                self.parts.deliveries.failed(&mut self.turn, report, setback);
            }
        }
    }

    fn ordered(&mut self, order: Order, by: &Actor, ticket: Option<Ticket>) {
        let turn = &mut self.turn;
        match order {
            Order::Force(order) => self.parts.postponed.force_ordered(turn, order, by, ticket),
            Order::Rebuild { build, of } => asked::rebuild_ordered(turn, build, of, by, ticket),
            Order::StopBuild { build, why } => asked::stop_ordered(turn, build, &why, ticket),
            Order::EndBuild { build, why } => asked::end_build_ordered(turn, build, &why, ticket),
            Order::CancelRequest { request, why } => asked::cancel_ordered(turn, request, &why, ticket),
            Order::SetPriority { request, priority } => asked::priority_ordered(turn, request, priority, ticket),
            Order::EnableScheduler { scheduler, enabled } => {
                schedulers::enable_ordered(turn, scheduler, enabled, ticket);
            }
            Order::PauseWorker { worker, paused, reason } => {
                workers::pause_ordered(turn, worker, paused, reason, ticket);
            }
            Order::StopWorker { worker } => workers::graceful_ordered(turn, worker, ticket),
            Order::KillWorker { worker, why } => returns::kill_ordered(turn, worker, why, ticket),
            Order::AddChanges { changes, delivery, intake } => {
                intake::changes_told(turn, ToldChanges { changes, delivery, intake }, by, ticket);
            }
            Order::Poll { source } => sources::poll_ordered(turn, source, ticket),
            Order::DeliverNow { report } => self.parts.deliveries.hurry_ordered(turn, report, ticket),
            Order::GiveUpReport { report } => deliveries::give_up_ordered(turn, report, by, ticket),
            Order::Resend { report, of } => reports::resend_ordered(turn, report, of.map(|of| *of), ticket),
            Order::Reload { .. } => unreachable!("the shell loads configurations"),
        }
    }

    /// A poll ended: its changes go to the schedulers before the source remembers what it has seen.
    fn polled(&mut self, name: &str, report: Result<PollResult, String>) {
        let Core { turn, parts } = self;
        let Some(report) = parts.polls.returned(turn, name, report) else { return };
        let id = turn.state.source_id(name);
        for change in report.changes {
            intake::change_seen(turn, change, Some(id));
        }
        parts.polls.seen(turn, name, report.cursor);
    }

    /// A master took up work: nothing is connected, nothing is under way, and everything is looked at.
    fn started(&mut self, name: String, installation: String) {
        let turn = &mut self.turn;
        let before = std::mem::replace(self.parts, Parts { told: turn.now, ..Parts::default() });
        let plans = turn.in_flight.plans.of_started();
        *turn.in_flight = super::in_flight::InFlight { plans, ..Default::default() };
        turn.in_flight.plans.prepare(turn.state);
        turn.record(Event::MasterStarted { name, installation });
        turn.effects.extend(before.log_writes);
        schedulers::retime_nights(turn);
        sabotage!(ReportAgainOnRestart => super::reports::queue_again(turn));
        workers::forget_connections(turn);
    }

    fn look_at_clock(&mut self) {
        let turn = &mut self.turn;
        let back = self.parts.told.since(turn.now);
        self.parts.told = turn.now;
        if back > CLOCK_SLACK {
            turn.look_at_everything();
        }
        if back > CLOCK_WRONG {
            schedulers::retime_schedulers(turn);
        }
    }
}

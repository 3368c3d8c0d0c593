//! Takes an input apart: who deals with it.

use super::pass::Pass;
use super::timers::CLOCK_SLACK;
use super::{Input, Reply};
use crate::base::Span;
use crate::model::Event;

/// A clock that goes back by more than this was wrong: moments planned by it are planned anew.
const CLOCK_WRONG: Span = Span::from_minutes(24 * 60);

impl Pass<'_> {
    /// Deals with one input; what follows from it is left to [`Pass::finish`].
    pub fn take(&mut self, input: Input) {
        self.look_at_clock();
        match input {
            Input::Started { name, installation } => self.started(name, installation),
            Input::Stopping => self.record(Event::MasterStopped),
            Input::PlanLoaded { plan, cause, ticket } => self.plan_loaded(&plan, cause, ticket),
            Input::PlanRefused { cause, message, ticket } => {
                self.record(Event::PlanRefused { cause, message: message.clone() });
                self.reply(ticket, Reply::Refused(message));
            }
            // What is due is done after every input.
            Input::Woke => {}

            Input::ChangesSeen { changes, by, ticket } => self.changes_seen(changes, by, ticket),
            Input::Polled { source, report } => self.polled(&source, report),
            Input::PollAsked { source, ticket } => self.poll_asked(source, ticket),

            Input::ForceAsked { ask, ticket } => self.force_asked(ask, ticket),
            Input::RebuildAsked { ask, ticket } => self.rebuild_asked(ask, ticket),
            Input::StopAsked { build, why, by, ticket } => self.stop_asked(build, &why, &by, ticket),
            Input::EndAsked { build, why, ticket } => self.end_build_asked(build, &why, ticket),
            Input::CancelAsked { request, why, by, ticket } => self.cancel_asked(request, &why, &by, ticket),
            Input::PriorityAsked { request, priority, ticket } => self.priority_asked(request, priority, ticket),
            Input::EnableAsked { scheduler, enabled, ticket } => self.enable_asked(scheduler, enabled, ticket),
            Input::PauseAsked { worker, paused, reason, ticket } => self.pause_asked(worker, paused, reason, ticket),
            Input::GracefulAsked { worker, ticket } => self.graceful_asked(worker, ticket),
            Input::KillAsked { worker, why, ticket } => self.kill_asked(worker, why, ticket),

            Input::WorkerConnected { worker, epoch, instance, resumes, info } => {
                let connection = super::state::Connection { epoch, instance, resumes };
                self.worker_connected(&worker, connection, info);
            }
            Input::Resumed { worker, epoch, commands } => self.resumed(&worker, epoch, commands),
            Input::WorkerLost { worker, epoch, why } => self.worker_lost(worker, epoch, why),
            Input::CommandEnded(ended) => self.command_ended(ended),

            Input::Evaluated { build, turn, outcome } => self.evaluated(build, turn, outcome),

            Input::ReportSent { report, remarks } => self.report_sent(report, remarks),
            Input::ReportFailed { report, error, final_ } => self.report_failed(report, error, final_),
        }
    }

    /// A master took up work: nothing is connected, nothing is under way, and everything is looked at.
    fn started(&mut self, name: String, installation: String) {
        let plans = std::mem::take(&mut self.up.plans);
        let unloadable = std::mem::take(&mut self.up.unloadable);
        let again = std::mem::take(&mut self.up.again);
        *self.up = super::underway::Underway { plans, unloadable, now: self.now, ..Default::default() };
        self.up.prepare(self.state);
        self.record(Event::MasterStarted { name, installation });
        self.effects.extend(again);
        self.retime_nights();
        sabotage!(ReportAgainOnRestart => self.queue_reports_again());
        self.forget_connections();
    }

    fn look_at_clock(&mut self) {
        let back = self.up.now.since(self.now);
        self.up.now = self.now;
        if back > CLOCK_SLACK {
            self.look_at_everything();
        }
        if back > CLOCK_WRONG {
            self.retime_schedulers();
        }
    }
}

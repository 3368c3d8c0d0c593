//! Hands each effect to whoever carries it out. Quick: nothing here waits, but for the log writer's bound.

use std::sync::Arc;

use bytes::Bytes;

use super::deliveries::Deliveries;
use super::evaluators::Evaluators;
use super::link::LinkOrder;
use super::log_writes::LogWrites;
use super::polls::Polls;
use super::workers::Workers;
use crate::base::Clock;
use crate::engine::Effect;
use crate::store::LogPart;

/// Everybody who carries effects out.
pub(super) struct Effects {
    pub evaluators: Arc<Evaluators>,
    pub polls: Arc<Polls>,
    pub deliveries: Arc<Deliveries>,
    pub log_writes: Arc<LogWrites>,
    pub workers: Arc<Workers>,
    pub clock: Arc<dyn Clock>,
}

impl Effects {
    /// Starts to carry one out; its facts are durable.
    pub async fn carry_out(&self, effect: Effect) {
        match effect {
            Effect::Reply { .. } => unreachable!("the engine task answers askers itself"),
            Effect::Evaluate { .. } => unreachable!("the engine task begins evaluations at once"),
            Effect::Poll { source, cursor } => self.polls.poll(source, cursor),
            Effect::Deliver { report } => self.deliveries.deliver(report),
            Effect::WriteLog { build, log, n, stream, text } => {
                let part = LogPart { stream, text: Bytes::from(text), times: vec![self.clock.now()] };
                self.log_writes.append(build, log, n, part).await;
            }
            Effect::CloseLog { build, log } => self.log_writes.close(build, log).await,
            Effect::Dispatch(order) => {
                let (worker, epoch) = (order.worker.clone(), order.epoch);
                self.workers.send(&worker, epoch, LinkOrder::Dispatch(order));
            }
            Effect::Interrupt { worker, epoch, command, level, why } => {
                self.workers.send(&worker, epoch, LinkOrder::Interrupt { command, level, why });
            }
            Effect::Resume { worker, epoch, commands } => {
                self.workers.send(&worker, epoch, LinkOrder::Resume { commands });
            }
            Effect::Forget { worker, epoch, commands } => {
                self.workers.send(&worker, epoch, LinkOrder::Forget { commands });
            }
            Effect::ShutDownWorker { worker, epoch } => self.workers.send(&worker, epoch, LinkOrder::ShutDown),
            Effect::KillWorker { worker, epoch, why } => self.workers.kill(&worker, epoch, &why),
            Effect::Disconnect { worker, epoch, why } => self.workers.disconnect(&worker, epoch, &why),
        }
    }
}

//! The loop of a live link: reads, writes, takes orders, watches time limits, and ends in order.
//!
//! ```text
//!              orders, probes, cut
//!                     │
//! socket ──frames──▶ loop ──frames──▶ writer ──▶ socket
//!                   │    ▲
//!                   ▼    │ notices
//!                 lanes, inputs ──▶ logs, engine task
//! ```
//!
//! Everything runs inside one future, so dropping it leaves nothing behind.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FusedFuture as _, FutureExt as _};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::greet::{Newcomer, ping};
use super::handle::LinkOrders;
use super::host::LinkHost;
use super::limits::Limits;
use super::session::Session;
use crate::base::Span;
use crate::engine::Input;
use crate::master::{Frame, Socket};

/// Frames between loop and writer: several, so that the writer can send them with one system call.
const WRITES_MAX: usize = 32;

/// Serves the connection of a worker until it ends, and returns the reason. Sends `WorkerConnected` to the engine
/// first, and `WorkerLost` last. After the end of the connection this takes at most [`Limits::drain`] and
/// [`Limits::goodbye`], plus the time of the engine task for one input.
pub async fn serve(host: Arc<dyn LinkHost>, newcomer: Newcomer, mut orders: LinkOrders) -> String {
    let shared = Arc::clone(&orders.shared);
    let (worker, epoch) = (shared.worker.clone(), shared.epoch);
    let info = newcomer.facts();
    let Newcomer { socket, info: told, limits, .. } = newcomer;

    let (notices_in, mut notices) = mpsc::unbounded_channel();
    // Number 0 was the request for its info.
    let mut session = Session::new(Arc::clone(&host), shared, limits, &told, 1, notices_in);
    session.welcome(&told);
    let instance = told.instance.unwrap_or_default();
    info!(worker, epoch, resumes = session.resumes(), "worker connected");
    let connected =
        Input::WorkerConnected { worker: worker.clone(), epoch, instance, resumes: session.resumes(), info };
    session.tell_engine(connected, CancellationToken::new());

    let Socket { incoming, outgoing, .. } = socket;
    let (writes, to_write) = mpsc::channel(WRITES_MAX);
    let mut writer = pin!(write(outgoing, to_write).fuse());
    let why = Loop { session: &mut session, limits, incoming, writes: &writes }
        .run(&mut orders, &mut notices, writer.as_mut())
        .await;
    info!(worker, epoch, "worker disconnected: {why}");

    session.wind_up();
    let drained = async { while session.tasks.next().await.is_some() {} };
    let goodbye = async {
        drop(writes.try_send(Frame::Close));
        drop(writes);
        if !writer.is_terminated() {
            // Whether or not the worker hears it, the connection is over.
            _ = timeout(limits.goodbye, writer).await;
        }
    };
    let (drained, ()) = tokio::join!(timeout(limits.drain, drained), goodbye);
    if drained.is_err() {
        warn!(worker, epoch, "gave up output that arrived before the connection ended");
    }
    // A master that is gone learns of the loss when it starts again.
    drop(host.input(Input::WorkerLost { worker, epoch, why: why.clone() }).await);
    why
}

type Incoming = futures_util::stream::BoxStream<'static, Result<Frame, String>>;
type Outgoing = Pin<Box<dyn Sink<Frame, Error = String> + Send>>;

/// Sends frames until there are no more, then closes.
async fn write(mut outgoing: Outgoing, mut frames: mpsc::Receiver<Frame>) -> Result<(), String> {
    while let Some(frame) = frames.recv().await {
        outgoing.feed(frame).await?;
        while let Ok(frame) = frames.try_recv() {
            outgoing.feed(frame).await?;
        }
        outgoing.flush().await?;
    }
    outgoing.close().await
}

struct Loop<'a> {
    session: &'a mut Session,
    limits: Limits,
    incoming: Incoming,
    writes: &'a mpsc::Sender<Frame>,
}

impl Loop<'_> {
    /// Runs until the connection has to end, and returns the reason.
    async fn run(
        mut self,
        orders: &mut LinkOrders,
        notices: &mut mpsc::UnboundedReceiver<super::lane::Notice>,
        mut writer: Pin<&mut impl Future<Output = Result<(), String>>>,
    ) -> String {
        let shared = Arc::clone(&orders.shared);
        let mut cut = pin!(shared.is_cut());
        let mut killed = pin!(shared.is_killed().fuse());
        let mut heard = Instant::now();
        let mut next_ping = heard + self.limits.ping;
        // Callers that wait for a sign of life.
        let mut probes: Vec<oneshot::Sender<()>> = Vec::new();
        loop {
            if !self.session.keeps_up() {
                heard = Instant::now();
            }
            let silent = heard + self.limits.silence;
            let wake = [Some(next_ping), Some(silent), self.session.overdue()].into_iter().flatten().min();
            let went = tokio::select! {
                why = &mut cut => Err(why),
                why = &mut killed, if !killed.is_terminated() => {
                    self.session.kill(why);
                    Ok(())
                }
                ended = &mut writer => Err(ended.err().map_or_else(|| "the connection ended".to_owned(), broke)),
                Some(notice) = notices.recv() => self.session.notice(notice),
                Some(()) = self.session.tasks.next() => Ok(()),
                permit = self.writes.reserve(), if !self.session.outbox.is_empty() => {
                    if let (Ok(permit), Some(frame)) = (permit, self.session.outbox.pop_front()) {
                        permit.send(frame);
                    }
                    Ok(())
                }
                frame = self.incoming.next(), if self.session.keeps_up() && self.session.has_room() => {
                    heard = Instant::now();
                    // A caller that no longer waits needs no answer.
                    probes.drain(..).for_each(|probe| _ = probe.send(()));
                    self.frame(frame)
                }
                Some(order) = orders.orders.recv(), if self.session.has_room() => {
                    self.session.order(order);
                    Ok(())
                }
                Some(probe) = orders.probes.recv() => {
                    probes.push(probe);
                    self.session.outbox.push_back(ping());
                    Ok(())
                }
                () = sleep_until(wake.unwrap_or(silent)) => self.woke(silent, &mut next_ping),
            };
            if let Err(why) = went {
                return why;
            }
        }
    }

    fn frame(&mut self, frame: Option<Result<Frame, String>>) -> Result<(), String> {
        match frame {
            Some(Ok(Frame::Binary(bytes))) => self.session.message(&bytes),
            Some(Ok(Frame::Ping(content))) => {
                self.session.outbox.push_back(Frame::Pong(content));
                Ok(())
            }
            Some(Ok(Frame::Text(_))) => {
                debug!("ignored a text message");
                Ok(())
            }
            Some(Ok(Frame::Pong(_))) => Ok(()),
            Some(Ok(Frame::Close)) | None => Err("the worker closed the connection".to_owned()),
            Some(Err(error)) => Err(broke(error)),
        }
    }

    fn woke(&mut self, silent: Instant, next_ping: &mut Instant) -> Result<(), String> {
        let now = Instant::now();
        if now >= silent {
            return Err(format!("no sign of life for {}", shown(self.limits.silence)));
        }
        if let Some(why) = self.session.killed(now) {
            return Err(why);
        }
        if self.session.overdue().is_some_and(|by| now >= by) {
            return Err(format!("it left a request unanswered for {}", shown(self.limits.answer)));
        }
        if now >= *next_ping {
            *next_ping = now + self.limits.ping;
            if self.session.has_room() {
                self.session.outbox.push_back(ping());
            }
        }
        Ok(())
    }
}

fn broke(error: impl std::fmt::Display) -> String {
    format!("the connection broke: {error}")
}

fn shown(time: Duration) -> Span {
    Span::from(time)
}

//! Placeholder.
use std::sync::Arc;
use super::inbox::Inbox; use super::programs::Programs; use super::{Options, Socket};
use crate::engine::{CommandOrder, StopLevel};
use crate::model::CommandId;
#[derive(Debug)]
pub(super) struct Workers { _inbox: Inbox }
impl Workers {
    pub fn new(_last_epoch: u64, inbox: Inbox, _programs: Arc<Programs>, _options: &Options) -> Self { Self { _inbox: inbox } }
    pub async fn serve(&self, _seat: Seat, _socket: Socket) {}
    pub async fn close(&self, _why: &str) {}
    pub fn dispatch(&self, _order: CommandOrder) {}
    pub fn interrupt(&self, _w: &str, _e: u64, _c: CommandId, _l: StopLevel, _why: String) {}
    pub fn resume(&self, _w: &str, _e: u64, _c: Vec<CommandOrder>) {}
    pub fn forget(&self, _w: &str, _e: u64, _c: Vec<CommandId>) {}
    pub fn disconnect(&self, _w: &str, _e: u64, _why: String) {}
    pub fn shut_down(&self, _w: &str, _e: u64) {}
}
/// A worker that proved who it is and waits for its upgraded connection.
#[derive(Debug)]
pub struct Seat {
    /// Its name.
    pub worker: String,
}

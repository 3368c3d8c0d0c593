//! Signatures that the other rooms use; bodies follow.
#![allow(unused_variables, clippy::todo, clippy::unused_async)]

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::master::Handle;

/// Serves pages, API and workers until `stop`, then ends within a bound.
pub async fn serve(handle: Handle, listener: TcpListener, stop: CancellationToken) {
    todo!()
}

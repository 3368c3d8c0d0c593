//! `master`: a master and its pages, until a signal ends it. Also the part that `up` shares.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::args::MasterArgs;
use super::check::check_is_file;
use super::error::CliError;
use super::output::{say, write_report};
use super::signals::Signals;
use crate::auth::Accounts;
use crate::base::{LogForm, SystemClock, init_logging};
use crate::master::{Handle, Launcher, Load, Master, Options, Reach, Reply, load};
use crate::model::{Caller, Order, Via};
use crate::store::Store;
use crate::web;

/// Where we listen when nobody says otherwise: this machine only, for control needs no password yet.
const DEFAULT_LISTEN: &str = "127.0.0.1:8010";
/// How long a port may still be taken by a master that has just died.
const BIND_WITHIN: Duration = Duration::from_secs(2);
/// Between two tries.
const BIND_EVERY: Duration = Duration::from_millis(100);
/// What callers are told while the master cannot record that it starts.
const DISK_FULL: &str = "the master is starting, but its disk is full: it continues once there is space again";
/// An orderly end takes at most this long; what is open is durable anyway.
const END_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn run(args: &MasterArgs, form: LogForm) -> Result<ExitCode, CliError> {
    init_logging(form, "info,warp=off,hyper=warn,sled=warn");
    in_runtime(async {
        let Some(started) = StartedMaster::open(args, false).await? else { return Ok(ExitCode::SUCCESS) };
        say(&format!("The state directory is {}", started.data.display()));
        say(&format!("Starwright's master listens at {}", started.local_url()));
        if started.url != started.local_url() {
            say(&format!("Its public address is {}", started.url));
        }
        started.serve(|_| async {}).await
    })
}

/// Runs a future on a runtime of all cores.
pub(super) fn in_runtime(work: impl Future<Output = Result<ExitCode, CliError>>) -> Result<ExitCode, CliError> {
    super::worker::install_tls();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::environment(format!("failed to start threads: {error}")))?;
    let result = runtime.block_on(work);
    // What still blocks in the background (a name look-up, a slow disk) must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// A started master with its listening socket.
pub(super) struct StartedMaster {
    master: Master,
    listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) url: String,
    /// Where its state is.
    pub(super) data: PathBuf,
    accounts: Accounts,
    signals: Signals,
}

impl StartedMaster {
    /// Starts a master; none if a signal ended it before it was up.
    pub(super) async fn open(args: &MasterArgs, local_workers: bool) -> Result<Option<Self>, CliError> {
        let mut signals = Signals::listen()?;
        let (master, listener, address) = tokio::select! {
            opened = Self::start(args, local_workers) => opened?,
            () = signals.next() => {
                say("stopped before it was up; no recorded state is lost");
                return Ok(None);
            }
        };
        let url = master.handle.url();
        let data = absolute(&args.data)?;
        let accounts = open_accounts(&data, &args.config, address)?;
        Ok(Some(Self { master, listener, address, url, data, accounts, signals }))
    }

    async fn start(args: &MasterArgs, local_workers: bool) -> Result<(Master, TcpListener, SocketAddr), CliError> {
        check_is_file(&args.config)?;
        let config = absolute(&args.config)?;
        let launcher = Launcher::default();
        // The configuration may say where to listen, so it is loaded first.
        let first = match args.listen {
            Some(_) => None,
            None => Some(load(launcher.clone(), config.clone()).await),
        };
        let wanted = listen_address(args, first.as_ref()).await?;
        let listener = bind(wanted).await?;
        let address =
            listener.local_addr().map_err(|error| CliError::environment(format!("failed to listen: {error}")))?;
        let options = Options {
            config,
            data: absolute(&args.data)?,
            url: format!("http://{}/", reachable(address)),
            watch: !args.no_watch,
            local_workers,
            reach: if address.ip().to_canonical().is_loopback() { Reach::Machine } else { Reach::Network },
            launcher,
        };
        let data = options.data.clone();
        let held_up = || Store::would_be_full(&data).then(|| DISK_FULL.to_owned());
        let master = tokio::select! {
            master = Master::start_loaded(options, first) => master.map_err(start_error)?,
            never = web::answer_while_starting(&listener, held_up) => match never {},
        };
        Ok((master, listener, reachable(address)))
    }

    /// The address that it really listens at, as a browser on this machine takes it.
    pub(super) fn local_url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.master.handle
    }

    /// Serves until a signal; `beside` runs as long and gets the token that ends it.
    pub(super) async fn serve<F: Future<Output = ()> + Send + 'static>(
        mut self,
        beside: impl FnOnce(CancellationToken) -> F,
    ) -> Result<ExitCode, CliError> {
        let stop = CancellationToken::new();
        let beside = tokio::spawn(beside(stop.child_token()));
        let accounts = Arc::new(self.accounts);
        let web = tokio::spawn(web::serve(self.master.handle.clone(), accounts, self.listener, stop.clone()));
        let ended = until_signal(&self.master.handle, &mut self.signals).await;
        if ended.is_ok() {
            say("shutting down; running builds continue on their workers (a second signal stops at once)");
        }
        let orderly = async {
            // First of all: what ends after this is not lost, it was left.
            self.master.part_with_workers().await;
            stop.cancel();
            let _workers_end_with_their_token = beside.await;
            let _pages_end_with_their_token = web.await;
            self.master.stop().await;
        };
        let how = tokio::select! {
            () = orderly => "stopped; the next master picks up the running builds",
            () = self.signals.next() => "stopping at once; no recorded state is lost",
            () = tokio::time::sleep(END_WITHIN) => "the shutdown took too long, stopping at once; no recorded state is lost",
        };
        if ended.is_ok() {
            say(how);
        }
        ended.map(|()| ExitCode::SUCCESS)
    }
}

/// Users, tokens and sessions, which only the running master may change.
fn open_accounts(data: &Path, config: &Path, address: SocketAddr) -> Result<Accounts, CliError> {
    let base = absolute(config)?.parent().unwrap_or(Path::new(".")).to_owned();
    let opened = Accounts::open(data, base, &format!("http://{address}"), Arc::new(SystemClock));
    opened.map_err(|error| CliError::environment(format!("failed to open the users in `{}`: {error}", data.display())))
}

fn start_error(error: crate::master::StartError) -> CliError {
    match error.report() {
        Some(report) => CliError::refused(format!("the configuration was rejected\n\n{}", report.trim_end())),
        None => CliError::of(&error),
    }
}

/// Listens. A master that was killed a moment ago may still have the port.
async fn bind(wanted: SocketAddr) -> Result<TcpListener, CliError> {
    let until = Instant::now() + BIND_WITHIN;
    loop {
        match TcpListener::bind(wanted).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => sleep(BIND_EVERY).await,
            Err(error) => {
                return Err(CliError::environment(format!("failed to listen at {wanted}: {error}"))
                    .hint("if another program uses the port, choose a different one with --listen HOST:PORT"));
            }
        }
    }
}

/// The address to bind: the command line's, else the configuration's, else ours.
async fn listen_address(args: &MasterArgs, loaded: Option<&Load>) -> Result<SocketAddr, CliError> {
    // A faulty configuration is reported by the master, which may have an earlier one in force.
    let (named, by) = match (&args.listen, loaded) {
        (Some(named), _) => (Some(named.clone()), "--listen"),
        (None, Some(Load::Loaded(loaded))) => (loaded.plan.web.listen.clone(), "web(listen = …)"),
        (None, Some(Load::Refused(_) | Load::Aborted) | None) => (None, "web(listen = …)"),
    };
    let named = named.unwrap_or_else(|| DEFAULT_LISTEN.to_owned());
    let mut found = tokio::net::lookup_host(&named).await.map_err(|error| {
        CliError::environment(format!("failed to look up the address `{named}` of `{by}`: {error}"))
    })?;
    found.next().ok_or_else(|| CliError::environment(format!("`{named}` has no address")))
}

/// An address that this machine can connect to: "all addresses" is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::new(std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), v6.port())
        }
        other => other,
    }
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path)
        .map_err(|error| CliError::environment(format!("failed to find `{}`: {error}", path.display())))
}

/// Waits for a signal to end, and reloads on SIGHUP meanwhile. Also ends, as an error, when the master's owner ended by
/// itself.
#[cfg(unix)]
async fn until_signal(handle: &Handle, signals: &mut Signals) -> Result<(), CliError> {
    let mut hangup = super::signals::listen_for(tokio::signal::unix::SignalKind::hangup())?;
    loop {
        tokio::select! {
            () = signals.next() => return Ok(()),
            _ = hangup.recv() => {
                // A load that takes long must not keep us from the other signals.
                let handle = handle.clone();
                let order = Order::Reload { why: "SIGHUP".to_owned() };
                let by = Caller::machine("", Via::Signal);
                tokio::spawn(async move { tell_reload(handle.order(order, by).await.ok()) });
            }
            why = handle.failed() => return Err(CliError::of(&*why)),
        }
    }
}

#[cfg(not(unix))]
async fn until_signal(handle: &Handle, signals: &mut Signals) -> Result<(), CliError> {
    tokio::select! {
        () = signals.next() => Ok(()),
        why = handle.failed() => Err(CliError::of(&*why)),
    }
}

fn tell_reload(reply: Option<Reply>) {
    if let Some(Reply::Refused(report)) = reply {
        write_report(&report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_a_dying_master_gives_up_is_taken() {
        let dying = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = dying.local_addr().unwrap();
        let next = tokio::spawn(bind(address));
        // The other task has met the taken port once before this one goes on.
        tokio::task::yield_now().await;
        drop(dying);
        assert_eq!(next.await.unwrap().unwrap().local_addr().unwrap(), address);
    }
}

//! Arguments, and the way from them to a subcommand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use super::client::Client;
use super::error::CliError;
use super::terminal::Colour;
use super::{
    builds, cancel, check, force, log, master, pause, rebuild, reload, sendchange, status, stop, store, up, worker,
};
use crate::base::LogForm;
use crate::base::process::keep_private;

/// A CI engine in one binary.
///
/// A master reads its configuration from a Starlark file, watches repositories, and gives builds to
/// workers. Builds survive a crash of the master: they continue where they were.
///
/// Start here:  starwright up examples/master.star
#[derive(Debug, Parser)]
#[command(name = "starwright", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Write log lines as JSON objects (for masters and workers)
    #[arg(long, global = true)]
    log_json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0   done; a watched build ended with success or warnings
  1   a watched build failed, a store was found damaged, or there are alerts (`status`)
  2   wrong arguments
  3   the configuration was refused
  4   a watched build ended with an exception
  5   a watched build was interrupted and will run again
  6   a watched build was cancelled
  10  the environment: no master answers, disk, network, no such build, no store
  20  a bug in Starwright
  141 whoever read the output went away (as for any tool in a pipe)

STARWRIGHT_LOG chooses what is logged, for example: STARWRIGHT_LOG=debug starwright master master.star";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine: a master, its local workers, and the pages
    #[command(after_help = "Example:\n  starwright up examples/master.star\nthen open http://127.0.0.1:8010/")]
    Up(MasterArgs),
    /// Run a master
    #[command(
        after_help = "Example:\n  starwright master master.star --data /var/lib/starwright --listen 0.0.0.0:8010\n\nSignals: SIGHUP reloads the configuration. SIGTERM shuts down in an orderly way: builds continue on their workers, and the next master picks them up. A second SIGTERM ends at once."
    )]
    Master(MasterArgs),
    /// Run a worker
    #[command(
        after_help = "Example:\n  starwright worker --master ci.example.org:8010 --name linux-1 --password-file secret --dir /srv/worker\n\nSignals: SIGTERM ends the worker, a second one ends it at once. Its commands keep running, as they do when it is killed, and the next worker in the same directory picks them up."
    )]
    Worker(WorkerArgs),
    /// Check configurations without running them
    #[command(after_help = "Prints \"ok\" with a summary, or every problem with its place and a hint (exit code 3).")]
    Check {
        /// Configuration files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Make a running master reload its configuration
    #[command(
        after_help = "A faulty configuration changes nothing: the old one stays in force, and the problems are printed (exit code 3)."
    )]
    Reload {
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Say what runs, what waits, which workers are connected, and what needs a hand
    #[command(after_help = "Exit code 1 if there are alerts: something needs a hand. Else 0.")]
    Status {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Start a build by hand
    #[command(
        after_help = "Examples:\n  starwright force linux\n  starwright force release -p version=1.2 -p publish=true --watch"
    )]
    Force(ForceArgs),
    /// List builds, newest first
    Builds {
        /// Only builds of this builder
        #[arg(long, short)]
        builder: Option<String>,
        /// How many
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// Print the records of the HTTP API as a JSON array, with the names of builder and worker
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Print the log of a build, or of one of its steps
    #[command(
        after_help = "Examples:\n  starwright log linux/12\n  starwright log linux/12 compile     (one step; linux/12/compile does the same)\n  starwright log linux -f             (the newest build, as it runs)\n\nWith -f, the exit code is that of the build's result, and a restart of the master is waited for."
    )]
    Log {
        /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
        build: String,
        /// Name or number of a step; without it, all steps
        step: Option<String>,
        /// Keep printing until the build ends
        #[arg(long, short)]
        follow: bool,
        /// Pass on the colours in the log; other control sequences never reach the terminal
        #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
        color: Colour,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Stop a build
    Stop {
        /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
        build: String,
        /// Why; shown in the build's summary
        #[arg(long, short, default_value = "")]
        reason: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Start a build again, with the same sources and properties
    Rebuild {
        /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
        build: String,
        /// Show the build's progress; the exit code is that of its result
        #[arg(long, short)]
        watch: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Take back a build request; if it is being built, stop that build
    Cancel {
        /// The request's number, as `force` prints it
        request: u64,
        /// Why
        #[arg(long, short, default_value = "")]
        reason: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Give a worker no new builds
    Pause {
        /// The worker's name
        worker: String,
        /// Why; shown on the worker's page
        #[arg(long, short, default_value = "")]
        reason: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Give a paused worker builds again
    Unpause {
        /// The worker's name
        worker: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Tell a master about a change, for sources that it cannot poll
    Sendchange(SendchangeArgs),
    /// Maintain the state directory of a master that is not running
    #[command(subcommand)]
    Store(StoreCommand),
    /// (started by workers) Run one command and spool its output
    #[command(hide = true, name = "run-command")]
    RunCommand,
    /// (started by masters and `check`) Evaluate Starlark
    #[command(hide = true)]
    Evaluator {
        /// Load over a socket, and fork evaluators
        #[arg(long)]
        template: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum StoreCommand {
    /// Read everything and report what is damaged
    #[command(
        after_help = "Changes nothing but this: what a killed master had begun is brought to its end. Exit code 1 if \
                            something is damaged."
    )]
    Check {
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Reclaim the disk space of what was removed
    #[command(
        after_help = "Needs as much free space as the store has small records. A crash at any moment leaves the old or \
                            the new state."
    )]
    Compact {
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Write everything into one file, for backups and for moving
    #[command(
        after_help = "Examples:\n  starwright store export --data /var/lib/starwright backup.dump\n  starwright store export - | zstd > backup.dump.zst\n\nThe file appears when it is complete. Exit code 1 if something could not be read and is missing from it."
    )]
    Export {
        /// The file to write, or - for standard output
        file: PathBuf,
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Create a store from an exported file
    #[command(
        after_help = "Examples:\n  starwright store import --data /var/lib/starwright backup.dump\n  zstd -dc backup.dump.zst | starwright store import --data restored -\n\nThe directory has to be empty or missing, and appears when it is complete. It is the same installation: run only one of the two."
    )]
    Import {
        /// The file to read, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        folder: DataFolder,
    },
    /// End a build that cannot go on, as an exception
    #[command(
        name = "end-build",
        after_help = "Examples:\n  starwright store end-build linux/12\n  starwright store end-build 812 --reason \"its script hangs\"\n\nFor a build that no running master gets to its end: with one, use `starwright stop`. What its worker still runs of it is\nstopped when the worker connects to the next master."
    )]
    EndBuild {
        /// BUILDER/NUMBER, or a build's id
        build: String,
        /// Why; shown in the build's summary
        #[arg(long, short, default_value = "it was ended by hand")]
        reason: String,
        #[command(flatten)]
        folder: DataFolder,
    },
    /// Rebuild the database from packs and journal
    #[command(
        after_help = "Restores history and open work when the database (the folder `sled`) is gone or damaged. A master does it by\nitself when it notices damage at its start. The old database is kept in `damaged`. Exit code 1 if packs or journal are\ndamaged, too: what is whole is there."
    )]
    Rebuild {
        /// Even if the present database holds more than packs and journal
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        folder: DataFolder,
    },
}

#[derive(Debug, Args)]
pub(super) struct DataFolder {
    /// The master's state directory
    #[arg(long, env = "STARWRIGHT_DATA", default_value = ".starwright")]
    pub data: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct MasterArgs {
    /// The configuration
    pub config: PathBuf,
    /// Directory for history, logs and open work; created if missing
    #[arg(long, env = "STARWRIGHT_DATA", default_value = ".starwright")]
    pub data: PathBuf,
    /// Address for pages, API and workers; the default is the configuration's `web(listen = …)`, else 127.0.0.1:8010
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<SocketAddr>,
    /// Do not reload the configuration when its files change
    #[arg(long)]
    pub no_watch: bool,
}

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// Where the master listens
    #[arg(long, value_name = "HOST:PORT")]
    pub master: String,
    /// The worker's name in the master's configuration
    #[arg(long)]
    pub name: String,
    /// File that holds the password; a trailing newline does not count
    #[arg(long, value_name = "FILE")]
    pub password_file: PathBuf,
    /// Directory for workspaces and the spool; created if missing
    #[arg(long)]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct MasterAddress {
    /// Address of the master's pages
    #[arg(long = "master", value_name = "URL", env = "STARWRIGHT_MASTER", default_value = "http://127.0.0.1:8010")]
    pub url: String,
}

#[derive(Debug, Args)]
pub(super) struct ForceArgs {
    /// The builder
    pub builder: String,
    /// A parameter of the force form; can be given several times
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// The force scheduler, if the builder has several
    #[arg(long)]
    pub scheduler: Option<String>,
    /// Branch to build
    #[arg(long)]
    pub branch: Option<String>,
    /// Revision to build
    #[arg(long)]
    pub revision: Option<String>,
    /// Why; shown with the build
    #[arg(long, short, default_value = "")]
    pub reason: String,
    /// Who wants it; without it, STARWRIGHT_USER or the name of the user who runs this
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Show the build's progress; the exit code is that of its result
    #[arg(long, short)]
    pub watch: bool,
    #[command(flatten)]
    pub master: MasterAddress,
}

#[derive(Debug, Args)]
pub(super) struct SendchangeArgs {
    /// Who made it, for example "Ada <ada@example.org>"
    #[arg(long, short)]
    pub author: String,
    /// Branch
    #[arg(long, short)]
    pub branch: Option<String>,
    /// Revision
    #[arg(long, short)]
    pub revision: Option<String>,
    /// Repository
    #[arg(long, short = 'R', default_value = "")]
    pub repository: String,
    /// Project
    #[arg(long, default_value = "")]
    pub project: String,
    /// Codebase
    #[arg(long, default_value = "")]
    pub codebase: String,
    /// Category
    #[arg(long)]
    pub category: Option<String>,
    /// A page that shows the change
    #[arg(long)]
    pub revlink: Option<String>,
    /// The message
    #[arg(long, short = 'm', default_value = "")]
    pub comments: String,
    /// A name of this call: a second one of the same name records nothing
    #[arg(long, value_name = "NAME")]
    pub delivery: Option<String>,
    /// A property of the change; can be given several times
    #[arg(long = "property", short = 'p', value_name = "NAME=VALUE")]
    pub properties: Vec<String>,
    /// Files that it touched
    pub files: Vec<String>,
    #[command(flatten)]
    pub master: MasterAddress,
}

/// Runs the program.
pub fn main() -> ExitCode {
    // One of these starts for each command: it does without the parser, which takes longer than the rest of its start.
    if std::env::args_os().nth(1).is_some_and(|word| word == "run-command") && std::env::args_os().len() == 2 {
        return run_command();
    }
    keep_private();
    let cli = Cli::parse();
    let form = if cli.log_json { LogForm::Json } else { LogForm::Text };
    match run(cli.command, form) {
        Ok(code) => code,
        Err(error) => error.show(),
    }
}

fn run(command: Command, form: LogForm) -> Result<ExitCode, CliError> {
    match command {
        Command::RunCommand => Ok(run_command()),
        Command::Evaluator { template } => Ok(crate::evaluator::main(template)),
        Command::Check { files } => check::run(&files),
        Command::Up(args) => up::run(&args, form),
        Command::Master(args) => master::run(&args, form),
        Command::Worker(args) => worker::run(&args, form),
        Command::Reload { master } => client(|| reload::run(Client::new(&master.url)?)),
        Command::Status { json, master } => client(|| status::run(Client::new(&master.url)?, json)),
        Command::Force(args) => client(|| force::run(Client::new(&args.master.url)?, &args)),
        Command::Builds { builder, limit, json, master } => {
            client(|| builds::run(Client::new(&master.url)?, builder.as_deref(), limit, json))
        }
        Command::Log { build, step, follow, color, master } => {
            client(|| log::run(Client::new(&master.url)?, &build, step.as_deref(), follow, color.is_wanted()))
        }
        Command::Stop { build, reason, master } => client(|| stop::run(Client::new(&master.url)?, &build, &reason)),
        Command::Rebuild { build, watch, master } => client(|| rebuild::run(Client::new(&master.url)?, &build, watch)),
        Command::Cancel { request, reason, master } => {
            client(|| cancel::run(Client::new(&master.url)?, request, &reason))
        }
        Command::Pause { worker, reason, master } => {
            client(|| pause::run(Client::new(&master.url)?, &worker, true, &reason))
        }
        Command::Unpause { worker, master } => client(|| pause::run(Client::new(&master.url)?, &worker, false, "")),
        Command::Store(command) => store::run(&command, form),
        Command::Sendchange(args) => client(|| sendchange::run(Client::new(&args.master.url)?, &args)),
    }
}

fn run_command() -> ExitCode {
    ExitCode::from(u8::try_from(crate::worker::run_command()).unwrap_or(1))
}

/// Runs a subcommand that talks to a master.
fn client<F: Future<Output = Result<ExitCode, CliError>>>(
    subcommand: impl FnOnce() -> Result<F, CliError>,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::environment(format!("failed to start: {error}")))?;
    runtime.block_on(async { subcommand()?.await })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}

//! The arguments of every subcommand, and their help.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::terminal::Colour;
use crate::base::{Span, nearest};
use crate::model::{Action, AuthorClass};

/// A CI engine in one binary.
///
/// A master reads its configuration from a Starlark file, watches repositories, and assigns builds to workers. Builds
/// survive a crash of the master: they continue where they stopped.
///
/// Start here:  starwright up examples/master.star
#[derive(Debug, Parser)]
#[command(name = "starwright", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Write log lines as JSON objects (for masters and workers)
    #[arg(long, global = true)]
    pub log_json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0    success; a watched build ended with success or warnings
  1    a watched build failed, a store is damaged, or there are alerts (`status`)
  2    invalid arguments
  3    the configuration was rejected
  4    a watched build ended with an exception
  5    a watched build was interrupted and will run again
  6    a watched build was cancelled
  10   environment: no master is reachable, disk or network error, no such build, no store
  20   a bug in Starwright
  141  the reader of the output closed the pipe

STARWRIGHT_LOG sets the log filter, for example: STARWRIGHT_LOG=debug starwright master master.star";

#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "the hidden subcommand is called `run-command`")]
pub(super) enum Command {
    /// Run everything on this machine: a master with its web pages, and its local workers
    #[command(after_help = "Example:\n  starwright up examples/master.star\nthen open http://127.0.0.1:8010/")]
    Up(MasterArgs),
    /// Run a master
    #[command(
        after_help = "Example:\n  starwright master master.star --data /var/lib/starwright --listen 0.0.0.0:8010\n\nSignals: SIGHUP reloads the configuration. SIGTERM shuts the master down: running builds continue on their workers, and the next master picks them up. A second SIGTERM stops it at once."
    )]
    Master(MasterArgs),
    /// Run a worker
    #[command(
        after_help = "Example:\n  starwright worker --master ci.example.org:8010 --name linux-1 --password-file secret --dir /srv/worker\n\nSignals: SIGTERM stops the worker; a second one stops it at once. Running commands keep running, as they do after a crash, and the next worker in the same directory picks them up."
    )]
    Worker(WorkerArgs),
    /// Check configurations without running them
    #[command(after_help = "Prints \"ok\" and a summary, or every problem with its location and a hint (exit code 3).")]
    Check {
        /// Configuration files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Make a running master reload its configuration
    #[command(
        after_help = "If the configuration has problems, they are printed and the current one stays in force (exit code 3)."
    )]
    Reload {
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Show running builds, waiting requests, connected workers, and alerts
    #[command(after_help = "Exits 1 if there are alerts, 0 otherwise.")]
    Status {
        /// Print a JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Start a build manually
    #[command(
        after_help = "Examples:\n  starwright force linux\n  starwright force release -p version=1.2 -p publish=true --watch"
    )]
    Force(ForceArgs),
    /// List builds, newest first
    Builds {
        /// List only builds of this builder
        #[arg(long, short)]
        builder: Option<String>,
        /// Maximum number of builds to list
        #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        /// Print a JSON array: the records of the HTTP API, with the names of builder and worker
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Print the log of a build, or of one of its steps
    #[command(
        after_help = "Examples:\n  starwright log linux/12\n  starwright log linux/12 compile     (one step; linux/12/compile does the same)\n  starwright log linux -f             (the running build, or the next one if a request waits)\n\nWith -f, the exit code reports the build's result, and the command continues across a restart of the master."
    )]
    Log {
        /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
        build: String,
        /// Name or number of a step; all steps by default
        step: Option<String>,
        /// Keep printing until the build ends
        #[arg(long, short)]
        follow: bool,
        /// Keep the colours of the log; other control sequences are always removed
        #[arg(long, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
        color: Colour,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// List the artifacts of a build, or fetch one
    #[command(
        after_help = "Examples:\n  starwright artifacts linux/12\n  starwright artifacts linux/12 get dist/app.whl\n  starwright artifacts linux get dist/app.whl -o /tmp\n\nA fetch that was cut off goes on where it was when it is called again. The content is compared with its digest."
    )]
    Artifacts(ArtifactsArgs),
    /// Show what the tests of a build came to; the exit code says whether one failed
    Tests(TestsArgs),
    /// Stop a build
    Stop {
        /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
        build: String,
        /// Reason, shown in the build's summary
        #[arg(long, short, default_value = "")]
        reason: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Run a build again, with the same sources and properties
    Rebuild {
        /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
        build: String,
        /// Show the build's progress; the exit code reports its result
        #[arg(long, short)]
        watch: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Cancel a build request; if its build is running, stop it
    Cancel {
        /// The request's number, as `force` prints it
        request: u64,
        /// Reason
        #[arg(long, short, default_value = "")]
        reason: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// List reports that are not delivered yet, or were given up
    #[command(
        after_help = "Examples:\n  starwright deliveries\n  starwright deliveries --resend 812     (send report 812 again)\n  starwright deliveries --give-up 813"
    )]
    Deliveries {
        /// Send a report again that was given up; its number is in the list
        #[arg(long, value_name = "REPORT")]
        resend: Option<u64>,
        /// Try to deliver a waiting report now
        #[arg(long, value_name = "REPORT", conflicts_with = "resend")]
        send: Option<u64>,
        /// Give up a waiting report
        #[arg(long, value_name = "REPORT", conflicts_with_all = ["resend", "send"])]
        give_up: Option<u64>,
        /// Print JSON, as the API has it
        #[arg(long, conflicts_with_all = ["resend", "send", "give_up"])]
        json: bool,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Stop assigning new builds to a worker
    Pause {
        /// The worker's name
        worker: String,
        /// Reason, shown on the worker's page
        #[arg(long, short, default_value = "")]
        reason: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Assign builds to a paused worker again
    Unpause {
        /// The worker's name
        worker: String,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Report a change to a master, for sources that it cannot poll
    Sendchange(SendchangeArgs),
    /// Log in at a master; later commands act as this user
    #[command(
        after_help = "The login is kept in starwright/logins.json below your configuration directory, which only you can read. Programs use a token instead: see `starwright token`, and --token."
    )]
    Login {
        /// Name; by default $STARWRIGHT_USER or the current user
        #[arg(long)]
        user: Option<String>,
        /// File that contains the password; by default it is asked for, or read from standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Log out at a master
    Logout {
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Show who you are to a master
    Whoami {
        #[command(flatten)]
        master: MasterAddress,
    },
    /// Manage the users of a master (`login("users", "local")` in its configuration)
    #[command(subcommand)]
    User(UserCommand),
    /// Manage the tokens with which programs call a master
    #[command(subcommand)]
    Token(TokenCommand),
    /// Maintain the state directory of a stopped master
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
        after_help = "Read-only, except that it completes any operation that a killed master left unfinished. Exits 1 if something is damaged."
    )]
    Check {
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Reclaim the disk space of removed builds
    #[command(
        after_help = "Needs free space about the size of the database (logs are not copied). Safe to interrupt: you end up with either the old or the new store."
    )]
    Compact {
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Export the store to one file, for backup or migration
    #[command(
        after_help = "Examples:\n  starwright store export --data /var/lib/starwright backup.dump\n  starwright store export - | zstd > backup.dump.zst\n\nThe file appears only once it is complete. Exits 1 if something could not be read and is missing from it."
    )]
    Export {
        /// The file to write, or - for standard output
        file: PathBuf,
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Create a store from an exported file
    #[command(
        after_help = "Examples:\n  starwright store import --data /var/lib/starwright backup.dump\n  zstd -dc backup.dump.zst | starwright store import --data restored -\n\nThe target must be empty or missing, and appears only once the import is complete. The copy keeps the identity of the installation: never run it alongside the original."
    )]
    Import {
        /// The file to read, or - for standard input
        file: PathBuf,
        #[command(flatten)]
        state: DataDirectory,
    },
    /// End a build that cannot continue, with the result `exception`
    #[command(
        name = "end-build",
        after_help = "Examples:\n  starwright store end-build linux/12\n  starwright store end-build 812 --reason \"its script hangs\"\n\nFor a build that the master cannot finish; while a master is running, use `starwright stop` instead. Commands that a worker still runs for the build are stopped when the worker connects to the next master."
    )]
    EndBuild {
        /// BUILDER/NUMBER, or a build's id
        build: String,
        /// Reason, shown in the build's summary
        #[arg(long, short, default_value = "ended manually")]
        reason: String,
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Rebuild the database from packs and journal
    #[command(
        after_help = "Restores history and open work when the database (the directory `sled`) is missing or damaged. A master that detects damage at startup does this automatically. The old database is kept in `damaged`. Exits 1 if packs or journal are damaged as well; everything readable is still recovered."
    )]
    Rebuild {
        /// Rebuild even if the current database contains more than packs and journal
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        state: DataDirectory,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user
    #[command(
        after_help = "Example:\n  starwright user add ada --role admin --mail ada@example.org\n\nThe password is asked for, or read from standard input or --password-file."
    )]
    Add {
        /// Name with which the user logs in
        name: String,
        #[command(flatten)]
        account: UserAccount,
        /// File that contains the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        state: DataDirectory,
    },
    /// List all users
    List {
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Remove a user, who is logged out everywhere
    Remove {
        /// The user's name
        name: String,
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Set another password; the user is logged out everywhere
    Password {
        /// The user's name
        name: String,
        /// File that contains the password
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        #[command(flatten)]
        state: DataDirectory,
    },
}

/// What is known of a user.
#[derive(Debug, Args)]
pub(super) struct UserAccount {
    /// Full name, shown on pages
    #[arg(long, value_name = "TEXT")]
    pub full_name: Option<String>,
    /// Mail address; makes builds of commits by this address the user's own
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<String>,
    /// A role; can be repeated. `admin` may do everything
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// What kind of author it is: person, bot, agent or fork
    #[arg(long, value_name = "WORD", default_value = "person")]
    pub class: ClassWord,
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Create a token and print it; it cannot be shown again
    #[command(
        after_help = "Examples:\n  starwright token create deploy --scopes read,force --builders 'release-*' --expires 90d\n  starwright token create ada-laptop --scopes read,force,stop --user ada"
    )]
    Create {
        /// Its name, which the history shows
        name: String,
        /// What it allows, separated by commas: read, force, stop, cancel, rebuild, prioritise, enable, pause, poll,
        /// reload, change, try, resend, audit, admin
        #[arg(long, value_name = "WORDS", value_delimiter = ',', required = true)]
        scopes: Vec<ScopeWord>,
        /// Only these builders: names or patterns, separated by commas
        #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
        builders: Vec<String>,
        /// How long it is good, such as 90d; without it, until it is revoked
        #[arg(long, value_name = "TIME")]
        expires: Option<Span>,
        /// The user whose token it is: it never allows more than the user may do
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// What kind of author uses it: person, bot, agent or fork
        #[arg(long, value_name = "WORD", default_value = "bot")]
        class: ClassWord,
        #[command(flatten)]
        state: DataDirectory,
    },
    /// List all tokens
    List {
        #[command(flatten)]
        state: DataDirectory,
    },
    /// Make a token worthless
    Revoke {
        /// The token's name
        name: String,
        #[command(flatten)]
        state: DataDirectory,
    },
}

/// A word for an action.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScopeWord(pub Action);

impl std::str::FromStr for ScopeWord {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let known = || Action::ALL.iter().map(|action| action.word());
        Action::of_word(word).map(Self).ok_or_else(|| match nearest(word, known()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
        })
    }
}

/// A word for a class of authors.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassWord(pub AuthorClass);

impl std::str::FromStr for ClassWord {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        AuthorClass::of_word(word).map(Self).ok_or_else(|| "write person, bot, agent or fork".to_owned())
    }
}

#[derive(Debug, Args)]
pub(super) struct DataDirectory {
    /// The master's state directory; by default `.starwright` in the current directory
    #[arg(long, env = "STARWRIGHT_DATA", default_value = ".starwright")]
    pub data: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct MasterArgs {
    /// The configuration
    pub config: PathBuf,
    /// State directory, for history, logs and open work; created if missing. By default `.starwright` in the current
    /// directory
    #[arg(long, env = "STARWRIGHT_DATA", default_value = ".starwright")]
    pub data: PathBuf,
    /// Address for pages, API and workers; by default that of `web(listen = …)` in the configuration, or 127.0.0.1:8010
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    pub listen: Option<String>,
    /// Do not reload the configuration when its files change
    #[arg(long)]
    pub no_watch: bool,
}

/// An address as somebody writes it; its host is looked up when it is needed.
fn host_and_port(text: &str) -> Result<String, String> {
    let parts =
        text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && (!host.contains(':') || is_bracketed(host)));
    match parts.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(_)) => Ok(text.to_owned()),
        Some(Err(_)) => Err("the port must be a number up to 65535, as in 127.0.0.1:8010".to_owned()),
        None => Err("write host and port, as in 127.0.0.1:8010, localhost:8010 or [::1]:8010".to_owned()),
    }
}

/// Whether a host is written as an IPv6 address must be where a port follows.
fn is_bracketed(host: &str) -> bool {
    host.starts_with('[') && host.ends_with(']')
}

#[derive(Debug, Args)]
pub(super) struct WorkerArgs {
    /// Address of the master
    #[arg(long, value_name = "HOST:PORT")]
    pub master: String,
    /// The worker's name in the master's configuration
    #[arg(long)]
    pub name: String,
    /// File that contains the password; a trailing newline is ignored
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
    /// Token to present; better set the variable, because other users of the machine can see arguments. By default that
    /// of `starwright login`, or the key that a master on this machine leaves in its state directory
    #[arg(long, value_name = "TOKEN", env = "STARWRIGHT_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ArtifactsArgs {
    /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
    pub build: String,
    /// `get` fetches the artifact that is named next
    #[arg(value_parser = ["get"], requires = "name")]
    pub action: Option<String>,
    /// The artifact's name
    pub name: Option<String>,
    /// Where to put it: a file or a directory; by default, the current directory
    #[arg(long, short)]
    pub output: Option<PathBuf>,
    /// Print a JSON array instead of a list
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub master: MasterAddress,
}

#[derive(Debug, Args)]
pub(super) struct TestsArgs {
    /// BUILDER/NUMBER, BUILDER (its newest build), or a build's id
    pub build: String,
    /// Show all results, not only those that failed
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub master: MasterAddress,
}

#[derive(Debug, Args)]
pub(super) struct ForceArgs {
    /// The builder
    pub builder: String,
    /// Parameter of the force form; can be repeated
    #[arg(short = 'p', long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// The force scheduler, if the builder has several
    #[arg(long)]
    pub scheduler: Option<String>,
    /// Branch to build; with several codebases, CODEBASE=BRANCH for each
    #[arg(long)]
    pub branch: Vec<String>,
    /// Revision to build; with several codebases, CODEBASE=REVISION for each
    #[arg(long)]
    pub revision: Vec<String>,
    /// Reason, shown with the build
    #[arg(long, short, default_value = "")]
    pub reason: String,
    /// Who requests the build; by default $STARWRIGHT_USER or the current user
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Show the build's progress; the exit code reports its result
    #[arg(long, short)]
    pub watch: bool,
    #[command(flatten)]
    pub master: MasterAddress,
}

#[derive(Debug, Args)]
pub(super) struct SendchangeArgs {
    /// Author, for example "Ada <ada@example.org>"
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
    /// Web page that shows the change
    #[arg(long)]
    pub revlink: Option<String>,
    /// Commit message
    #[arg(long, short = 'm', default_value = "")]
    pub comments: String,
    /// Unique name of this call; another call with the same name is ignored
    #[arg(long, value_name = "NAME")]
    pub delivery: Option<String>,
    /// Property of the change; can be repeated
    #[arg(long = "property", short = 'p', value_name = "NAME=VALUE")]
    pub properties: Vec<String>,
    /// Changed files
    pub files: Vec<String>,
    #[command(flatten)]
    pub master: MasterAddress,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_address_to_listen_at_may_have_a_name() {
        for fine in ["127.0.0.1:8041", "localhost:8041", "[::1]:0"] {
            assert_eq!(host_and_port(fine).as_deref(), Ok(fine));
        }
        for wrong in ["8039", "localhost", ":8039", "::1", "localhost:http", "localhost:70000"] {
            assert!(host_and_port(wrong).unwrap_err().contains("127.0.0.1:8010"), "{wrong}");
        }
    }
}

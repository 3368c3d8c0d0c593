//! From the arguments to the subcommand that they name.

use std::process::ExitCode;

use clap::Parser as _;

use super::args::{Cli, Command};
use super::client::Client;
use super::deliveries::Change;
use super::error::CliError;
use super::{
    artifacts, builds, cancel, check, deliveries, force, log, login, master, pause, rebuild, reload, sendchange,
    status, stop, store, tests, token, up, user, worker,
};
use crate::base::LogForm;
use crate::base::process::{forgo_core_files, keep_private};

/// Runs the program.
pub fn main() -> ExitCode {
    forgo_core_files();
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
        Command::Reload { master } => client(|| reload::run(Client::new(&master)?)),
        Command::Status { json, master } => client(|| status::run(Client::new(&master)?, json)),
        Command::Force(args) => client(|| force::run(Client::new(&args.master)?, &args)),
        Command::Builds { builder, limit, json, master } => {
            client(|| builds::run(Client::new(&master)?, builder.as_deref(), limit, json))
        }
        Command::Log { build, step, follow, color, master } => {
            client(|| log::run(Client::new(&master)?, &build, step.as_deref(), follow, color.is_wanted()))
        }
        Command::Tests(args) => client(|| tests::run(Client::new(&args.master)?, &args)),
        Command::Artifacts(args) => client(|| artifacts::run(Client::new(&args.master)?, &args)),
        Command::Deliveries { resend, send, give_up, json, master } => {
            let change = [(Change::Resend, resend), (Change::Send, send), (Change::GiveUp, give_up)];
            let change = change.into_iter().find_map(|(change, report)| Some((change, report?)));
            client(|| deliveries::run(Client::new(&master)?, change, json))
        }
        Command::Stop { build, reason, master } => client(|| stop::run(Client::new(&master)?, &build, &reason)),
        Command::Rebuild { build, watch, master } => client(|| rebuild::run(Client::new(&master)?, &build, watch)),
        Command::Cancel { request, reason, master } => client(|| cancel::run(Client::new(&master)?, request, &reason)),
        Command::Pause { worker, reason, master } => {
            client(|| pause::run(Client::new(&master)?, &worker, true, &reason))
        }
        Command::Unpause { worker, master } => client(|| pause::run(Client::new(&master)?, &worker, false, "")),
        Command::Login { user, password_file, master } => {
            client(|| login::login(Client::without_login(&master)?, user.as_deref(), password_file.as_deref()))
        }
        Command::Logout { master } => client(|| login::logout(Client::new(&master)?)),
        Command::Whoami { master } => client(|| login::whoami(Client::new(&master)?)),
        Command::User(command) => user::run(&command),
        Command::Token(command) => token::run(&command),
        Command::Store(command) => store::run(&command, form),
        Command::Sendchange(args) => client(|| sendchange::run(Client::new(&args.master)?, &args)),
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

//! From an order to the arguments on the wire. Our own workers get the specification of the model as it is; for a stock
//! worker it is translated here, at the door.

use std::collections::{BTreeMap, BTreeSet};

use super::host::LinkHost;
use super::paths::{BaseDir, Syntax};
use super::transfer::{BLOCK_BYTES, Download, Transfer, Upload};
use crate::base::Span;
use crate::engine::{CommandOrder, Work};
use crate::model::{CommandSpec, EnvValue, FileCommand, Program, Text, UploadSpec};
use crate::protocol::{CommandArgs, EnvEntry, LogFileArg, ProgramArg, RunArgs, ShellArgs};
use crate::secrets::{Revealed, SecretError, Secrets};

/// A file command of a stock worker ends after so long without output, of which it has none: enough for the
/// largest trees on slow disks.
const FILE_COMMAND_TIMEOUT: Span = Span::from_minutes(120);

/// What a worker gets to do a command.
#[derive(Debug)]
pub(super) struct Prepared {
    pub args: CommandArgs,
    /// Values that the arguments hold, by name.
    pub secrets: BTreeSet<(String, String)>,
    /// What the log says first; secrets show by name.
    pub header: String,
    /// What the command moves.
    pub transfer: Option<Transfer>,
}

/// Makes the arguments; the error is the reason why the command is broken.
pub(super) fn prepare(
    order: &CommandOrder,
    base_dir: &BaseDir,
    host: &dyn LinkHost,
    ours: bool,
) -> Result<Prepared, String> {
    let secrets = host.secrets(&order.plan);
    let mut vault = Vault { secrets: &secrets, used: BTreeSet::new() };
    let mut transfer = None;
    let (args, header) = match &order.work {
        Work::Run(spec) => {
            let workdir = base_dir.place(&order.dir, &spec.workdir);
            if base_dir.is_base_or_above(&workdir) {
                return Err(misplaced(&workdir));
            }
            let args = if ours {
                run(order, spec, workdir, &mut vault).map(|run| CommandArgs::Run(Box::new(run)))
            } else {
                shell(order, spec, workdir, base_dir, &mut vault).map(|shell| CommandArgs::Shell(Box::new(shell)))
            };
            (args.map_err(|error| error.to_string())?, header(order, spec))
        }
        Work::File(FileCommand::Write(spec)) => {
            let text = vault.open(&spec.content).map_err(|error| error.to_string())?;
            let path = base_dir.place(&order.dir, &spec.path);
            let (args, found) = download(path, spec.mode, Download::text(text), ours);
            transfer = Some(found);
            (args, String::new())
        }
        Work::File(FileCommand::Download(spec)) => {
            let found = Download::artifact(order, spec, host)?;
            let path = base_dir.place(&order.dir, &spec.path);
            let mode = spec.mode.or_else(|| found.mode());
            let (args, found) = download(path, mode, found, ours);
            transfer = Some(found);
            (args, String::new())
        }
        Work::File(FileCommand::Upload(spec)) => {
            let found = Upload::new(order, spec, host, ours)?;
            let args = upload(spec, base_dir.place(&order.dir, &spec.path), found.received());
            transfer = Some(Transfer::Upload(found));
            (args, String::new())
        }
        Work::File(command) => (file(order, command, base_dir)?, String::new()),
    };
    Ok(Prepared { args, secrets: vault.used, header, transfer })
}

/// The worker is given no bound: we refuse what is too large ourselves, and can say why.
fn upload(spec: &UploadSpec, path: String, offset: u64) -> CommandArgs {
    let (blocksize, maxsize) = (BLOCK_BYTES, None);
    if spec.is_directory {
        CommandArgs::UploadDirectory { path, blocksize, maxsize, compress: None, offset }
    } else {
        CommandArgs::UploadFile { path, blocksize, maxsize, keepstamp: false, offset }
    }
}

fn download(path: String, mode: Option<u32>, found: Download, ours: bool) -> (CommandArgs, Transfer) {
    let content = ours.then(|| found.content_arg());
    let mode = mode.map(|mode| u64::from(mode & 0o777));
    let args = CommandArgs::DownloadFile { path, blocksize: BLOCK_BYTES, maxsize: None, mode, content };
    (args, Transfer::Download(found))
}

fn misplaced(path: &str) -> String {
    format!("`{path}` is the worker's base directory or above it; name a directory below the builder's")
}

/// Reveals texts and remembers what it gave away.
struct Vault<'a> {
    secrets: &'a Secrets,
    used: BTreeSet<(String, String)>,
}

impl Vault<'_> {
    fn reveal(&mut self, text: &Text) -> Result<Revealed, SecretError> {
        let revealed = self.secrets.open(text)?;
        self.used.extend(revealed.values.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.used.extend(revealed.logins.iter().map(|login| ("login".to_owned(), login.clone())));
        Ok(revealed)
    }

    fn open(&mut self, text: &Text) -> Result<String, SecretError> {
        Ok(self.reveal(text)?.text)
    }

    fn open_all(&mut self, texts: &[Text]) -> Result<Vec<String>, SecretError> {
        texts.iter().map(|text| self.open(text)).collect()
    }
}

/// For one of our workers, which fills in the secrets itself.
fn run(
    order: &CommandOrder,
    spec: &CommandSpec,
    workdir: String,
    vault: &mut Vault<'_>,
) -> Result<RunArgs, SecretError> {
    let env = merged(order, spec).into_iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut run = RunArgs::new(CommandSpec { workdir, env, output: Box::default(), ..spec.clone() });
    // Also shows here, and not at the worker, that a secret is missing or cannot stand where it does.
    for text in run.spec.texts().filter(|text| text.is_secret()) {
        run.secrets.extend(vault.reveal(text)?.values);
    }
    Ok(run)
}

/// For a stock worker.
fn shell(
    order: &CommandOrder,
    spec: &CommandSpec,
    workdir: String,
    base_dir: &BaseDir,
    vault: &mut Vault<'_>,
) -> Result<ShellArgs, SecretError> {
    let command = match &spec.program {
        Program::Argv(words) => ProgramArg::Argv(vault.open_all(words)?),
        Program::Shell(line) => ProgramArg::Line(vault.open(line)?),
    };
    let grace = spec.grace.as_seconds_f64();
    Ok(ShellArgs {
        env: wire_env(&merged(order, spec), base_dir, vault)?,
        // A stock worker sends the heads as part of the streams.
        want_stdout: spec.log_stdout || spec.want_output,
        want_stderr: spec.log_stderr || spec.want_output,
        logfiles: spec.log_files.iter().map(|(name, file)| (name.clone(), log_file(&file.path, file.follow))).collect(),
        timeout: spec.idle_timeout.map(Span::as_seconds_f64),
        max_time: spec.total_timeout.map(Span::as_seconds_f64),
        max_lines: spec.lines_max,
        // Without a grace period, output would stop at the signal (docs/reference/worker-protocol.md#stopping).
        sigterm_time: (grace > 0.0).then_some(grace),
        use_pty: spec.pty,
        log_environ: false,
        initial_stdin: spec.stdin.as_ref().map(|text| vault.open(text)).transpose()?,
        ..ShellArgs::new(command, workdir)
    })
}

fn log_file(path: &str, follow: bool) -> LogFileArg {
    LogFileArg { filename: path.to_owned(), follow }
}

/// The builder's environment, below the command's own.
fn merged<'a>(order: &'a CommandOrder, spec: &'a CommandSpec) -> BTreeMap<&'a String, &'a EnvValue> {
    order.env.iter().chain(&spec.env).collect()
}

fn wire_env(
    env: &BTreeMap<&String, &EnvValue>,
    base_dir: &BaseDir,
    vault: &mut Vault<'_>,
) -> Result<BTreeMap<String, EnvEntry>, SecretError> {
    let mut entries = BTreeMap::new();
    for (name, value) in env {
        // Windows ignores case, but a stock worker there would pass the variable twice
        // (docs/reference/worker-protocol.md#windows).
        let name = if base_dir.syntax == Syntax::Nt { name.to_uppercase() } else { (*name).clone() };
        let entry = match value {
            EnvValue::Set(text) => EnvEntry::Set(vault.open(text)?),
            EnvValue::Join(texts) => EnvEntry::Join(vault.open_all(texts)?),
            // A stock worker fails if this one is removed (docs/reference/worker-protocol.md#environment).
            EnvValue::Unset if name == "PYTHONPATH" => continue,
            EnvValue::Unset => EnvEntry::Unset,
        };
        entries.insert(name, entry);
    }
    Ok(entries)
}

fn file(order: &CommandOrder, command: &FileCommand, base_dir: &BaseDir) -> Result<CommandArgs, String> {
    let place = |path: &String| base_dir.place(&order.dir, path);
    let timeout = Some(FILE_COMMAND_TIMEOUT.as_seconds_f64());
    let guarded = |path: &String| {
        let path = place(path);
        if base_dir.is_base_or_above(&path) { Err(misplaced(&path)) } else { Ok(path) }
    };
    Ok(match command {
        FileCommand::MakeDirs(paths) => CommandArgs::MakeDirs { paths: paths.iter().map(place).collect() },
        FileCommand::Remove(paths) => {
            CommandArgs::RemoveDirs { paths: paths.iter().map(guarded).collect::<Result<_, _>>()?, timeout }
        }
        FileCommand::Copy { from, to } => CommandArgs::Copy { from: place(from), to: guarded(to)?, timeout },
        FileCommand::Stat(path) => CommandArgs::Stat { path: place(path) },
        FileCommand::List(path) => CommandArgs::List { path: place(path) },
        FileCommand::Glob(pattern) => CommandArgs::Glob { path: place(pattern) },
        FileCommand::Write(_) | FileCommand::Upload(_) | FileCommand::Download(_) => {
            return Err("this is not done by the worker alone".to_owned());
        }
    })
}

/// What stands above a command's output beside what the worker writes itself: the environment that it gets.
fn header(order: &CommandOrder, spec: &CommandSpec) -> String {
    let env = merged(order, spec);
    if env.is_empty() {
        return String::new();
    }
    let mut lines = vec![" with environment".to_owned()];
    lines.extend(env.iter().map(|(name, value)| format!("  {}", shown_variable(name, value))));
    lines.join("\n") + "\n"
}

fn shown_variable(name: &str, value: &EnvValue) -> String {
    match value {
        EnvValue::Set(text) => format!("{name}={}", text.masked()),
        EnvValue::Join(texts) => format!("{name}={}", texts.iter().map(Text::masked).collect::<Vec<_>>().join(":")),
        EnvValue::Unset => format!("{name} removed"),
    }
}

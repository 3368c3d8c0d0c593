//! Arguments of `start_command`, typed (docs/reference/worker-protocol.md#commands).

use std::collections::BTreeMap;
use std::fmt;

use rmpv::Value;

use super::fields::{FieldError, Fields, MapWriter, array, flag, map, natural, number, shortest, text, texts};
use super::run_args::RunArgs;

/// The arguments of a command as they are sent. Debug output leaves out the values, which may be secret.
#[derive(Clone, PartialEq)]
pub struct Args(pub Value);

impl fmt::Debug for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Fields::of(&self.0).map(|fields| fields.entries().map(|(key, _)| key).collect::<Vec<_>>());
        f.debug_tuple("Args").field(&names.unwrap_or_default()).finish()
    }
}

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandArgs {
    /// A program, in the words of a stock worker.
    Shell(Box<ShellArgs>),
    /// Ours: a program, in the words of the model.
    Run(Box<RunArgs>),
    MakeDirs {
        paths: Vec<String>,
    },
    RemoveDirs {
        paths: Vec<String>,
        timeout: Option<f64>,
    },
    Copy {
        from: String,
        to: String,
        timeout: Option<f64>,
    },
    Stat {
        path: String,
    },
    List {
        path: String,
    },
    Glob {
        path: String,
    },
    RemoveFile {
        path: String,
    },
    UploadFile {
        path: String,
        blocksize: u64,
        maxsize: Option<u64>,
        keepstamp: bool,
        /// Ours: the bytes that the master has already.
        offset: u64,
    },
    UploadDirectory {
        path: String,
        blocksize: u64,
        maxsize: Option<u64>,
        compress: Option<String>,
        /// Ours: the bytes that the master has already.
        offset: u64,
    },
    DownloadFile {
        path: String,
        blocksize: u64,
        maxsize: Option<u64>,
        mode: Option<u64>,
        /// Ours: what the file will be.
        content: Option<ContentArg>,
    },
}

/// A content that is to arrive whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentArg {
    /// SHA-256, in hexadecimal digits.
    pub digest: String,
    /// In bytes.
    pub size: u64,
}

/// What to execute.
#[derive(Clone, PartialEq, Eq)]
pub enum ProgramArg {
    /// Executed directly, without a shell.
    Argv(Vec<String>),
    /// A command line for the worker's shell.
    Line(String),
}

/// A change to one environment variable.
#[derive(Clone, PartialEq, Eq)]
pub enum EnvEntry {
    Set(String),
    /// Joined with the platform's path separator.
    Join(Vec<String>),
    Unset,
}

/// A log file to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFileArg {
    pub filename: String,
    pub follow: bool,
}

/// Arguments of `shell` (docs/reference/worker-protocol.md#shell).
#[derive(Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of the protocol")]
pub struct ShellArgs {
    pub command: ProgramArg,
    /// Absolute.
    pub workdir: String,
    pub env: BTreeMap<String, EnvEntry>,
    pub want_stdout: bool,
    pub want_stderr: bool,
    pub logfiles: BTreeMap<String, LogFileArg>,
    /// Seconds without output; none or 0 for no limit.
    pub timeout: Option<f64>,
    /// Seconds in total; none or 0 for no limit.
    pub max_time: Option<f64>,
    pub max_lines: Option<u64>,
    /// Seconds between TERM and the signal below. None: send that one at once.
    pub sigterm_time: Option<f64>,
    /// Name without `SIG`.
    pub interrupt_signal: String,
    pub use_pty: bool,
    pub log_environ: bool,
    pub initial_stdin: Option<String>,
}

impl fmt::Debug for ProgramArg {
    /// Leaves out the words, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argv(words) => write!(f, "Argv({} words)", words.len()),
            Self::Line(line) => write!(f, "Line({} bytes)", line.len()),
        }
    }
}

impl fmt::Debug for ShellArgs {
    /// Leaves out values that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellArgs")
            .field("command", &self.command)
            .field("workdir", &self.workdir)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("logfiles", &self.logfiles)
            .finish_non_exhaustive()
    }
}

impl ShellArgs {
    /// A command with the protocol's defaults.
    pub fn new(command: ProgramArg, workdir: impl Into<String>) -> Self {
        Self {
            command,
            workdir: workdir.into(),
            env: BTreeMap::new(),
            want_stdout: true,
            want_stderr: true,
            logfiles: BTreeMap::new(),
            timeout: None,
            max_time: None,
            max_lines: None,
            sigterm_time: None,
            interrupt_signal: "KILL".to_owned(),
            use_pty: false,
            log_environ: true,
            initial_stdin: None,
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, FieldError> {
        let shell =
            Self::new(fields.need("command", "a str or an array of words", read_program)?, fields.text("workdir")?);
        Ok(Self {
            env: fields.optional("env", "a map", read_env)?.unwrap_or_default(),
            want_stdout: fields.flag("want_stdout", true)?,
            want_stderr: fields.flag("want_stderr", true)?,
            logfiles: fields.optional("logfiles", "a map of file names", read_logfiles)?.unwrap_or_default(),
            timeout: fields.optional("timeout", "a number", number)?,
            max_time: fields.optional("maxTime", "a number", number)?,
            max_lines: fields.optional("max_lines", "an int", natural)?,
            sigterm_time: fields.optional("sigtermTime", "a number", number)?,
            interrupt_signal: fields.optional("interruptSignal", "a str", text)?.unwrap_or("KILL").to_owned(),
            use_pty: fields.flag("usePTY", false)?,
            log_environ: fields.flag("logEnviron", true)?,
            initial_stdin: fields.optional("initial_stdin", "a str", text)?.map(str::to_owned),
            ..shell
        })
    }

    fn write(&self, out: &mut MapWriter) {
        out.put("workdir", self.workdir.as_str())
            .put("env", map(self.env.iter().map(|(name, entry)| (name.as_str(), write_env(entry)))))
            .put("want_stdout", self.want_stdout)
            .put("want_stderr", self.want_stderr)
            .put("logfiles", map(self.logfiles.iter().map(|(name, file)| (name.as_str(), write_logfile(file)))))
            .put_or_nil("timeout", self.timeout.map(shortest))
            .put_or_nil("maxTime", self.max_time.map(shortest))
            .put_or_nil("max_lines", self.max_lines)
            .put_or_nil("sigtermTime", self.sigterm_time.map(shortest))
            .put("usePTY", self.use_pty)
            .put("logEnviron", self.log_environ)
            .put_or_nil("initial_stdin", self.initial_stdin.as_deref())
            .put("interruptSignal", self.interrupt_signal.as_str())
            .put("command", write_program(&self.command));
    }
}

impl CommandArgs {
    /// Reads the arguments of the command with this name. The error is the response to the master.
    pub fn read(name: &str, args: &Args) -> Result<Self, FieldError> {
        let fields = Fields::of(&args.0).unwrap_or(Fields::new(&[]));
        let path = || fields.text("path");
        let blocksize = || fields.need("blocksize", "an int", natural);
        let maxsize = || fields.optional("maxsize", "an int", natural);
        let timeout = || fields.optional("timeout", "a number", number);
        let offset = || Ok(fields.optional("x_offset", "an int", natural)?.unwrap_or(0));
        Ok(match name {
            "shell" => Self::Shell(Box::new(ShellArgs::read(fields)?)),
            "x_run" => Self::Run(Box::new(RunArgs::read(fields)?)),
            "mkdir" => Self::MakeDirs { paths: fields.texts("paths")? },
            "rmdir" => Self::RemoveDirs { paths: fields.texts("paths")?, timeout: timeout()? },
            "cpdir" => Self::Copy { from: fields.text("from_path")?, to: fields.text("to_path")?, timeout: timeout()? },
            "stat" => Self::Stat { path: path()? },
            "listdir" => Self::List { path: path()? },
            "glob" => Self::Glob { path: path()? },
            "rmfile" => Self::RemoveFile { path: path()? },
            "upload_file" => Self::UploadFile {
                path: path()?,
                blocksize: blocksize()?,
                maxsize: maxsize()?,
                keepstamp: fields.flag("keepstamp", false)?,
                offset: offset()?,
            },
            "upload_directory" => Self::UploadDirectory {
                path: path()?,
                blocksize: blocksize()?,
                maxsize: maxsize()?,
                compress: fields.optional("compress", "a str", text)?.map(str::to_owned),
                offset: offset()?,
            },
            "download_file" => Self::DownloadFile {
                path: path()?,
                blocksize: blocksize()?,
                maxsize: maxsize()?,
                mode: fields.optional("mode", "an int", natural)?,
                content: ContentArg::read(fields)?,
            },
            _ => return Err(FieldError::UnknownCommand { name: name.to_owned() }),
        })
    }

    /// The name of the command in the protocol.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Shell(_) => "shell",
            Self::Run(_) => "x_run",
            Self::MakeDirs { .. } => "mkdir",
            Self::RemoveDirs { .. } => "rmdir",
            Self::Copy { .. } => "cpdir",
            Self::Stat { .. } => "stat",
            Self::List { .. } => "listdir",
            Self::Glob { .. } => "glob",
            Self::RemoveFile { .. } => "rmfile",
            Self::UploadFile { .. } => "upload_file",
            Self::UploadDirectory { .. } => "upload_directory",
            Self::DownloadFile { .. } => "download_file",
        }
    }

    /// The arguments, with every key that a stock worker requires.
    #[must_use]
    pub fn write(&self) -> Args {
        let mut out = MapWriter::default();
        match self {
            Self::Shell(shell) => shell.write(&mut out),
            Self::Run(run) => run.write(&mut out),
            Self::MakeDirs { paths } => {
                out.put("paths", array(paths.iter().map(String::as_str)));
            }
            Self::RemoveDirs { paths, timeout } => {
                out.put("paths", array(paths.iter().map(String::as_str)))
                    .put("logEnviron", false)
                    .put_or_nil("timeout", timeout.map(shortest));
            }
            Self::Copy { from, to, timeout } => {
                out.put("from_path", from.as_str())
                    .put("to_path", to.as_str())
                    .put("logEnviron", false)
                    .put_or_nil("timeout", timeout.map(shortest));
            }
            Self::Stat { path } | Self::List { path } | Self::Glob { path } | Self::RemoveFile { path } => {
                out.put("path", path.as_str());
            }
            Self::UploadFile { path, blocksize, maxsize, keepstamp, offset } => {
                out.put("path", path.as_str())
                    .put_or_nil("maxsize", *maxsize)
                    .put("blocksize", *blocksize)
                    .put("keepstamp", *keepstamp)
                    .put_some("x_offset", (*offset > 0).then_some(*offset));
            }
            Self::UploadDirectory { path, blocksize, maxsize, compress, offset } => {
                out.put("path", path.as_str())
                    .put_or_nil("maxsize", *maxsize)
                    .put("blocksize", *blocksize)
                    .put_or_nil("compress", compress.as_deref())
                    .put_some("x_offset", (*offset > 0).then_some(*offset));
            }
            Self::DownloadFile { path, blocksize, maxsize, mode, content } => {
                out.put("path", path.as_str())
                    .put_or_nil("maxsize", *maxsize)
                    .put("blocksize", *blocksize)
                    .put_or_nil("mode", *mode)
                    .put_some("x_digest", content.as_ref().map(|content| content.digest.as_str()))
                    .put_some("x_size", content.as_ref().map(|content| content.size));
            }
        }
        Args(out.end())
    }
}

impl ContentArg {
    fn read(fields: Fields<'_>) -> Result<Option<Self>, FieldError> {
        let Some(digest) = fields.optional("x_digest", "a str", text)? else { return Ok(None) };
        let size = fields.need("x_size", "an int", natural)?;
        Ok(Some(Self { digest: digest.to_owned(), size }))
    }
}

/// A string, or an array of words. Numbers and booleans among the words stand for their text.
fn read_program(value: &Value) -> Option<ProgramArg> {
    if let Some(line) = text(value) {
        return Some(ProgramArg::Line(line.to_owned()));
    }
    let word = |item: &Value| match item {
        Value::Array(_) | Value::Map(_) | Value::Ext(..) | Value::Nil => None,
        Value::Boolean(_) | Value::F32(_) | Value::F64(_) | Value::Integer(_) => Some(item.to_string()),
        Value::String(_) | Value::Binary(_) => text(item).map(str::to_owned),
    };
    value.as_array()?.iter().map(word).collect::<Option<_>>().map(ProgramArg::Argv)
}

fn write_program(program: &ProgramArg) -> Value {
    match program {
        ProgramArg::Argv(words) => array(words.iter().map(String::as_str)),
        ProgramArg::Line(line) => line.as_str().into(),
    }
}

fn read_env(value: &Value) -> Option<BTreeMap<String, EnvEntry>> {
    let entry = |item: &Value| match item {
        Value::Nil => Some(EnvEntry::Unset),
        Value::Array(_) => texts(item).map(EnvEntry::Join),
        _ => text(item).map(|value| EnvEntry::Set(value.to_owned())),
    };
    Fields::of(value)?.entries().map(|(name, item)| Some((name.to_owned(), entry(item)?))).collect()
}

fn write_env(entry: &EnvEntry) -> Value {
    match entry {
        EnvEntry::Set(value) => value.as_str().into(),
        EnvEntry::Join(values) => array(values.iter().map(String::as_str)),
        EnvEntry::Unset => Value::Nil,
    }
}

fn read_logfiles(value: &Value) -> Option<BTreeMap<String, LogFileArg>> {
    let file = |item: &Value| {
        if let Some(filename) = text(item) {
            return Some(LogFileArg { filename: filename.to_owned(), follow: false });
        }
        let fields = Fields::of(item)?;
        let follow = fields.get("follow").and_then(flag).unwrap_or(false);
        Some(LogFileArg { filename: text(fields.get("filename")?)?.to_owned(), follow })
    };
    Fields::of(value)?.entries().map(|(name, item)| Some((name.to_owned(), file(item)?))).collect()
}

fn write_logfile(file: &LogFileArg) -> Value {
    map([("filename", Value::from(file.filename.as_str())), ("follow", file.follow.into())])
}

//! Starwright: a CI engine in one binary.
//!
//! `docs/ARCHITECTURE.md` describes the rooms and says which may import which; `tests/it/house.rs` compares that table
//! with the code.
//!
//! The program needs [`main`] only. Everything else that is public is public for the tests in `tests/it` and for the
//! benchmarks, in [`testing`]. The rooms are private, so that the compiler finds what nobody uses.
#![deny(unsafe_code)]

mod auth;
mod base;
mod cli;
mod config;
mod engine;
mod evaluator;
mod master;
mod model;
mod notify;
mod protocol;
mod secrets;
mod store;
mod vcs;
mod web;
mod worker;

pub use cli::main;

/// What tests and benchmarks use of the private rooms.
pub mod testing {
    /// The nouns. All of them: facts and records are made of them, and tests make every kind of both.
    pub mod model {
        pub use crate::model::*;
    }

    /// Time, and errors with their reasons.
    pub mod base {
        pub use crate::base::{Clock, Explained, Span, SystemClock, Timestamp};

        /// Processes and those that they started.
        pub mod process {
            pub use crate::base::process::tree;
        }
    }

    /// Everything that is kept on the disk.
    pub mod store {
        pub use crate::store::{
            ArtifactStore, History, LogLimits, LogPart, LogStore, Recovered, Scan, Store, StoreError, StoreOptions,
            UploadContent, UploadForm, maintain,
        };
    }

    /// A whole master.
    pub mod master {
        pub use crate::master::{
            AdmittedWorker, Alerts, Frame, Handle, HookAccess, HookAnswer, HookCall, HookError, Launcher, Master,
            Options, OrderError, Reach, Refusal, RefusalKind, RefusedWorker, Reply, ShuttingDown, Socket, StartError,
            SubmissionResult, link,
        };
    }

    /// Users, tokens and sessions.
    pub mod auth {
        pub use crate::auth::{Accounts, MachineKey, NewToken, NewUser, Tokens, Users};
    }

    /// Starlark, loaded and evaluated in this process.
    pub mod config {
        pub use crate::config::{
            Cancel, Loaded, Problem, Refused, Scripts, Sources, examples, load, load_sources, names_of_buildbot,
            reference, summary,
        };
    }

    /// Starlark in child processes.
    pub mod evaluator {
        pub use crate::evaluator::{
            Abort, Evaluator, Launcher, Limits, Load, Loaded, Lost, Mode, Refused, Template, load,
        };
    }

    /// What the master hears and orders.
    pub mod engine {
        pub use crate::engine::{CommandEnded, CommandOrder, Input, ResumeState, ResumedCommand, StopLevel, Work};
    }

    /// Reports: their texts and their delivery.
    pub mod notify {
        pub use crate::notify::channel::{credentials, write};
        pub use crate::notify::{
            BuildFacts, DeliveryError, Excerpt, MailMessage, Makers, ReportFacts, RequestFacts, SendOptions, SetBuild,
            SetFacts, Templates, render_mail, send_mail, send_mail_with,
        };
    }

    /// What master and workers say to each other.
    pub mod protocol {
        pub use crate::protocol::{
            Answer, Args, Caps, CommandArgs, CommandReport, ContentArg, DecodeError, EnvEntry, Lines, LogChunk,
            LogFileArg, MasterMessage, MasterRequest, Message, MsgPack, ProgramArg, RESUME_VERSION, ReportedEnd,
            Request, ResumeAnswer, ResumedState, RunArgs, Seq, Settings, ShellArgs, StdStream, Update, WorkerInfo,
            WorkerMessage, WorkerRequest,
        };
    }

    /// Where values of secrets come from.
    pub mod secrets {
        pub use crate::secrets::Secrets;
    }

    /// Polls and hooks.
    pub mod vcs {
        pub use crate::vcs::{
            GitProgram, Heard, HookCall, HookError, Meaning, PollError, PollTools, base_hook, bounded, change_of,
            check_proof, hear, poll, poll_with, record_of,
        };
    }

    /// The server of pages and API.
    pub mod web {
        pub use crate::web::{
            BodyLimits, COMMAND_LINE, ConnectionTimeouts, Control, SeatLimits, WebLimits, api_paths, own_api_paths,
            page_paths, serve_within,
        };

        /// The forms of our own API.
        pub mod wire {
            pub use crate::web::wire::{
                AlertsResponse, ChangesResponse, HealthResponse, PlanResponse, ReloadOutcome, ReloadResponse,
            };
        }
    }
}

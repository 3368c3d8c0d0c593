//! The nouns: change, source stamp, buildset, build request, build, step, worker, lock, outcome,
//! event, and [`Plan`], the whole configuration as data.
//!
//! Words are those of the field (docs/concepts.md). This room knows no storage, no wire format and no
//! Starlark; secrets appear by name only. Everything here is plain data that compares, serializes
//! (MessagePack maps with named fields, so that later versions can add fields with a default) and
//! iterates in a fixed order.

mod address;
mod alert;
mod artifact;
mod ask;
mod audit;
mod caller;
mod cause;
mod change;
mod command;
mod eval_part;
mod evaluation;
mod event;
mod function;
mod identity;
mod ids;
mod login;
mod object;
mod order;
mod outcome;
mod output;
mod plan;
mod plan_change;
mod project_changes;
mod property;
mod quote;
mod records;
mod report;
mod right;
mod script;
mod test_results;
mod text;
mod value;

pub use address::{
    is_relative_address, login_header, normal_address, repository_name, secret_login, web_server, without_login,
};
pub use alert::{Alert, AlertSubject};
pub use artifact::{
    ARTIFACT_NAME_MAX, Artifact, ArtifactRecord, ArtifactSource, ContentDigest, DownloadSpec, Moved, UPLOAD_FILES_MAX,
    UploadSpec, WRITTEN_BYTES_MAX, WriteSpec, check_artifact_name,
};
pub use ask::{ASKS_MAX, Answer, Ask, BeginStep, EndStep, Entry, Journal, Key, TriggerSpec, Triggered, TriggeredBuild};
pub use audit::{AuditAct, AuditRecord};
pub use caller::Caller;
pub use cause::{ANONYMOUS, Actor, Cause, Via};
pub use change::{Change, Cursor, NewChange, SourceStamp, StampSpec};
pub use command::{
    CommandEnd, CommandResult, CommandSpec, EnvValue, FileCommand, LogFileSpec, NOT_STARTED_CODE, OUTPUT_HEAD_MAX,
    OnLost, Program, StopLevel,
};
pub use eval_part::EvalPart;
pub use evaluation::{BuildContext, EvalJob, EvalOutcome, StepSummary, WorkerFacts};
pub use event::{BuilderAbout, Declined, Event, Fact, LogOpened, Note, StopReason};
pub use function::{FunctionKind, FunctionOwner, UserFunction};
pub use identity::{ADMIN, ANYONE, AUTHENTICATED, Grant, Identity, OWNER, RESERVED_ROLES};
pub use ids::{
    BuildId, BuilderId, BuildsetId, ChangeId, ChangeSourceId, CodebaseId, CommandId, ConfigDigest, FnId, LogId,
    MasterId, ProjectId, ReportId, RequestId, SchedulerId, SourceStampId, StepId, WorkerId,
};
pub use login::{AuthorClass, LoginMethod};
pub use object::{Denial, Object};
pub use order::{BuiltOf, ForceOrder, Intake, Order};
pub use outcome::Outcome;
pub use output::{
    FoundLog, LogPlaces, LogRequest, LoggedOutput, MoreOutput, OUTPUT_BYTES_MAX, OutputPlan, Readings, TEXTS_BYTES_MAX,
    TextEnd, TextRef, Want,
};
pub use plan::{
    About, ArtifactLimits, ArtifactRules, BranchChoice, BuilderPlan, BzrPlan, ChangeFilter, ChangeSourceKind,
    ChangeSourcePlan, CodebasePlan, CollapsePolicy, DECLARE_RIGHTS, DatabasePlan, DeclaredCodebase, ForceParam,
    ForceParamKind, ForgeKind, ForgeLogin, GerritPlan, GerritServer, GitPlan, HTTP_REQUEST_KEYS, HeaderLogin, HgPlan,
    HookDialect, HookPlan, HookSettings, HttpLogin, HttpPlan, ImportantFiles, LdapLogin, LockAccess, LockMode,
    LockPlan, LockScope, LoginKind, LoginPlan, LoginsPlan, MailPlan, MailTls, MasterPlan, Matcher, NotifierKind,
    NotifierPlan, NotifyOn, OidcLogin, Only, Plan, Policy, ProjectPlan, PullEvent, PullRef, PullsPlan, RETRY_DELAY_MAX,
    Recipients, RetentionPlan, RightsPlan, RolePlan, RulePlan, SchedulerKind, SchedulerPlan, SecretsPlan, SessionsPlan,
    SourcePlace, StepPlan, SvnLayout, SvnPlan, WebPlan, WorkerPlan, dir_key, dirs_clash, full_name, intern,
};
#[cfg(test)]
pub use plan::{ListPlan, PaperPlan};
pub use plan_change::{Difference, NameChanges, PlanChange, Section};
pub use project_changes::{CodebaseAbout, ProjectChanges};
pub use property::{Properties, Property, check_property};
pub use quote::{Quote, is_harmless};
pub use records::{
    BuildRecord, BuilderRecord, BuildsetRecord, ChangeSourceRecord, CodebaseRecord, LogKind, LogRecord, MadeBy,
    MasterRecord, ProjectRecord, RequestRecord, SchedulerRecord, StepRecord, Url, WorkerRecord,
};
pub use report::{DeliveryRecord, Report, ReportReason, ReportSubject, WaitingReport};
pub use right::Action;
pub use script::{CandidateWorker, Decision, Question, Script, ScriptError, Undecided, WaitingRequest};
pub use test_results::{
    BUILD_DATUM_BYTES_MAX, BuildDatum, BuildDatumRecord, ByDigest, Measurement, RECORDED_BYTES_MAX, RECORDED_MAX,
    TEST_BUCKETS, TEST_MESSAGE_MAX, TEST_NAME_MAX, TEST_RESULTS_MAX, TEST_SET_BYTES_MAX, TestColumns, TestCounts,
    TestId, TestOutcome, TestResult, TestRun, TestSet, TestSetRecord, TestTrend, ValueRun,
};
pub use text::{AddressPart, Piece, Text};
pub use value::Value;

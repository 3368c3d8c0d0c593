//! The envelope: numbered requests, and their responses (docs/reference/worker-protocol.md#envelope).

use rmpv::Value;

use super::codec::{self, DecodeError};
use super::fields::{FieldError, Fields, MapWriter, text};

/// The number of a request within its connection and direction. A peer may use any value and gets it back unchanged;
/// ours count from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Seq(Value);

impl Seq {
    /// The number, if it could be one of ours.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.0.as_u64()
    }
}

impl From<u64> for Seq {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

/// The content of a response: a value, or the text of a failure.
pub type Answer = Result<Value, String>;

/// One message from the side whose requests are `R`.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<R> {
    /// Gets exactly one response with the same number.
    Request { seq: Seq, request: R },
    /// The response to a request of the other side.
    Response { seq: Seq, answer: Answer },
    /// A map without operation or number, to be dropped silently.
    Ignored { why: String },
}

/// The requests of one side.
pub trait Request: Sized {
    /// Reads the keys of an operation. An unknown operation is a value too.
    fn read(op: &str, fields: &Value) -> Result<Self, FieldError>;
    /// The value for a known operation with wrong keys.
    fn malformed(op: &str, why: FieldError) -> Self;
    /// The operation's name and its keys, without the number.
    fn write(&self) -> (&str, Vec<(Value, Value)>);
}

impl<R: Request> Message<R> {
    /// Reads the payload of one binary frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let value = codec::decode(bytes)?;
        let Some(fields) = Fields::of(&value) else {
            return Err(DecodeError::NotAMap { kind: codec::kind(&value) });
        };
        let (Some(op), Some(seq)) = (fields.get("op").and_then(text), fields.get("seq_number")) else {
            return Ok(Self::Ignored { why: "a message without `op` or `seq_number`".to_owned() });
        };
        let seq = Seq(seq.clone());
        if op == "response" {
            return Ok(Self::Response { seq, answer: read_answer(fields) });
        }
        let request = R::read(op, &value).unwrap_or_else(|error| R::malformed(op, error));
        Ok(Self::Request { seq, request })
    }

    /// The payload of a binary frame.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut map = MapWriter::default();
        match self {
            Self::Request { seq, request } => {
                let (op, keys) = request.write();
                map.put("op", op).extend(keys).put("seq_number", seq.0.clone());
            }
            Self::Response { seq, answer } => {
                map.put("op", "response").put("seq_number", seq.0.clone());
                match answer {
                    Ok(result) => map.put("result", result.clone()),
                    Err(message) => map.put("result", message.as_str()).put("is_exception", true),
                };
            }
            Self::Ignored { .. } => {}
        }
        codec::encode(&map.end())
    }
}

/// `is_exception` counts when it is present, whatever its value, as in Buildbot.
fn read_answer(fields: Fields<'_>) -> Answer {
    let result = fields.get("result").cloned().unwrap_or(Value::Nil);
    match fields.get("is_exception") {
        None => Ok(result),
        Some(_) => Err(text(&result).map_or_else(|| result.to_string(), str::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;

    use super::*;
    use crate::model::{CommandId, StopLevel};
    use crate::protocol::{
        Args, Caps, CommandArgs, CommandReport, EnvEntry, LogChunk, MasterMessage, MasterRequest, ProgramArg,
        ReportedEnd, ResumeAnswer, ResumedState, Settings, ShellArgs, StdStream, Update, WorkerMessage, WorkerRequest,
    };

    fn id() -> CommandId {
        CommandId("c-1".to_owned())
    }

    fn survives<R: Request + PartialEq + std::fmt::Debug>(request: R) {
        let message = Message::Request { seq: Seq::from(7), request };
        assert_eq!(Message::<R>::decode(&message.encode()), Ok(message));
    }

    fn wire(message: &[u8]) -> String {
        codec::decode(message).unwrap().to_string()
    }

    #[test]
    fn our_additions_of_the_master_survive_the_wire() {
        let settings = Settings {
            newline_re: "x".to_owned(),
            max_line_length: 262_144,
            buffer_timeout: 0.3,
            buffer_size: 65_536,
            caps: Caps::OURS,
        };
        survives(MasterRequest::SetWorkerSettings(settings));
        survives(MasterRequest::GetWorkerInfo { offer: Caps::OURS });
        survives(MasterRequest::Resume { commands: BTreeMap::from([(id(), 12)]) });
        for level in [StopLevel::Interrupt, StopLevel::Kill] {
            let (why, builder) = ("stopped".to_owned(), None);
            survives(MasterRequest::InterruptCommand { command: id(), why, builder, level: Some(level) });
        }
    }

    #[test]
    fn our_additions_of_the_worker_survive_the_wire() {
        let chunk = LogChunk {
            log: "stdio".to_owned(),
            stream: StdStream::Stderr,
            data: Bytes::from_static(b"no utf-8: \xff\n"),
            times: vec![1_795_336_402_893],
        };
        survives(WorkerRequest::Update { command: id(), n: Some(3), updates: vec![Update::Chunk(chunk)] });
        let report = CommandReport {
            code: Some(3),
            stdout: Bytes::from_static(b"out"),
            cut: true,
            elapsed_ms: 1_500,
            files: vec!["a".to_owned()],
            stat: Some(vec![1; 10]),
            ..CommandReport::of(ReportedEnd::Exited, "")
        };
        let report = Some(Box::new(report));
        survives(WorkerRequest::Complete { command: id(), n: Some(4), failure: None, report });
    }

    #[test]
    fn a_stock_worker_sees_no_addition() {
        let plain = MasterMessage::Request {
            seq: Seq::from(0),
            request: MasterRequest::GetWorkerInfo { offer: Caps::default() },
        };
        assert_eq!(wire(&plain.encode()), r#"{"op": "get_worker_info", "seq_number": 0}"#);
        let shell = ShellArgs::new(ProgramArg::Line("true".to_owned()), "/w/b");
        assert!(!CommandArgs::Shell(Box::new(shell)).write().0.to_string().contains("\"x_"));
    }

    #[test]
    fn an_offer_names_its_versions_and_other_versions_are_no_match() {
        let offer =
            MasterMessage::Request { seq: Seq::from(0), request: MasterRequest::GetWorkerInfo { offer: Caps::OURS } };
        assert!(wire(&offer.encode()).contains(r#""x_caps": {"offer": {"resume": {"v": [2]}}}"#));
        let newer = crate::protocol::WorkerInfo::read(&Value::Map(vec![(
            "x_caps".into(),
            Value::Map(vec![("resume".into(), Value::Map(vec![("v".into(), 3.into())]))]),
        )]));
        assert!(!newer.caps.resume);
        assert_eq!(
            newer.caps.incompatibility("worker").unwrap(),
            "the worker speaks version 3 of `resume`, and this master speaks version 2; update starwright on the master"
        );
        let older = Caps { resume: false, unsupported: Some(1) };
        assert!(older.incompatibility("worker").unwrap().ends_with("update starwright on the worker"));
        assert!(older.incompatibility("master").unwrap().ends_with("update starwright on the master"));
        assert_eq!(Caps::OURS.incompatibility("worker").or(Caps::default().incompatibility("worker")), None);
    }

    #[test]
    fn shell_arguments_survive_the_wire_and_hide_their_values() {
        let shell = ShellArgs {
            env: BTreeMap::from([
                ("A".to_owned(), EnvEntry::Set("hush".to_owned())),
                ("B".to_owned(), EnvEntry::Join(vec!["/x".to_owned(), "/y".to_owned()])),
                ("C".to_owned(), EnvEntry::Unset),
            ]),
            timeout: Some(1200.0),
            sigterm_time: Some(0.5),
            initial_stdin: Some("hush".to_owned()),
            ..ShellArgs::new(ProgramArg::Argv(vec!["hush".to_owned()]), "/w/b")
        };
        let args = CommandArgs::Shell(Box::new(shell));
        assert_eq!(CommandArgs::read("shell", &args.write()).as_ref(), Ok(&args));
        assert!(!format!("{args:?} {:?}", args.write()).contains("hush"));
    }

    #[test]
    fn an_answer_to_resume_survives_the_wire() {
        let answer = ResumeAnswer {
            commands: BTreeMap::from([
                (id(), ResumedState::Running),
                (CommandId("2".to_owned()), ResumedState::Finished),
                (CommandId("3".to_owned()), ResumedState::Unknown),
            ]),
        };
        assert_eq!(ResumeAnswer::read(&answer.write()), answer);
        assert_eq!(ResumeAnswer::read(&Value::Nil), ResumeAnswer::default());
    }

    #[test]
    fn a_request_with_wrong_keys_keeps_its_number_so_that_it_can_be_answered() {
        let bytes = codec::encode(&Value::Map(vec![
            ("op".into(), "start_command".into()),
            ("command_id".into(), 5.into()),
            ("seq_number".into(), "any".into()),
        ]));
        let Ok(MasterMessage::Request { seq, request: MasterRequest::Malformed { op, why } }) =
            MasterMessage::decode(&bytes)
        else {
            panic!()
        };
        assert_eq!((op.as_str(), why.to_string().as_str()), ("start_command", "`command_id` is an int, not a str"));
        let answer = WorkerMessage::Response { seq, answer: Err(why.to_string()) };
        assert!(wire(&answer.encode()).contains(r#""seq_number": "any""#));
    }

    #[test]
    fn numbers_are_taken_whole_or_not() {
        let update = |name: &str, value: Value| {
            let pair = Value::Array(vec![name.into(), value]);
            let bytes = codec::encode(&Value::Map(vec![
                ("op".into(), "update".into()),
                ("args".into(), Value::Array(vec![pair])),
                ("command_id".into(), "c-1".into()),
                ("seq_number".into(), 0.into()),
            ]));
            match WorkerMessage::decode(&bytes) {
                Ok(Message::Request { request: WorkerRequest::Update { updates, .. }, .. }) => updates[0].clone(),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(update("rc", 3.0.into()), Update::Rc(3));
        assert_eq!(update("rc", 4_294_967_295_u64.into()), Update::Rc(4_294_967_295));
        assert_eq!(update("elapsed", 2.into()), Update::Elapsed(2.0));
        assert!(matches!(update("rc", "three".into()), Update::Unknown { .. }));
        assert!(matches!(update("x_later", Value::Nil), Update::Unknown { .. }));
    }

    #[test]
    fn arguments_that_are_no_map_are_an_error_and_not_a_panic() {
        assert!(CommandArgs::read("shell", &Args(Value::Nil)).is_err());
    }
}

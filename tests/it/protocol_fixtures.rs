//! Every recorded message of real masters and workers is read, and written again as it was.

use rmpv::Value;
use starwright::testing::protocol::{
    CommandArgs, DecodeError, Lines, MasterMessage, MasterRequest, Message, Request, Update, WorkerInfo, WorkerMessage,
    WorkerRequest,
};

use crate::support::wire_fixtures::{self, Direction, Recorded, sorted};

fn all() -> impl Iterator<Item = Recorded> {
    wire_fixtures::names().into_iter().flat_map(|name| wire_fixtures::messages(&name))
}

/// Keys that the recordings' scripts made up; the reader drops them.
const MADE_UP: [&str; 5] = ["own_extra", "own_capabilities", "capabilities", "extra", "x"];

/// The message as it should come out again.
fn expected(value: &Value) -> Value {
    let known = |(key, _): &(Value, Value)| !MADE_UP.contains(&key.as_str().unwrap_or_default());
    match sorted(value) {
        Value::Map(entries) => {
            Value::Map(entries.into_iter().filter(known).map(|(key, item)| (key, expected(&item))).collect())
        }
        other => other,
    }
}

/// Responses of the recording that keeps only summaries lack their results.
fn is_summary(value: &Value) -> bool {
    value["op"].as_str() == Some("response") && value["result"].is_nil() && value.as_map().map_or(0, Vec::len) == 2
}

fn check<R: Request + std::fmt::Debug>(recorded: &Recorded) -> Result<(), String> {
    let place = format!("{}:{}", recorded.file, recorded.line);
    let message = match (Message::<R>::decode(&recorded.bytes), &recorded.value) {
        (Ok(message), _) => message,
        // Sent on purpose: bytes that are no message, nil, an array, a number as key.
        (Err(_), None | Some(Value::Nil | Value::Array(_))) => return Ok(()),
        (Err(DecodeError::OddKey { .. }), Some(_)) => return Ok(()),
        (Err(error), Some(_)) => return Err(format!("{place}: {error}")),
    };
    if recorded.trimmed || matches!(message, Message::Ignored { .. }) {
        return Ok(());
    }
    let again = message.encode();
    if recorded.exact && again != recorded.bytes {
        return Err(format!("{place}: not the same bytes\n{message:?}"));
    }
    let (got, want) = (rmpv::decode::read_value(&mut &again[..]).unwrap(), recorded.value.as_ref().unwrap());
    let malformed = format!("{message:?}").contains("Malformed");
    let not_a_text = want["op"].as_str() == Some("print") && !want["message"].is_str();
    if !malformed && !not_a_text && !is_summary(want) && expected(&got) != expected(want) {
        return Err(format!("{place}: not the same message\n{got}\n{want}"));
    }
    Ok(())
}

#[test]
fn every_recorded_message_is_read_and_written_again_as_it_was() {
    let (mut exact, mut count) = (0, 0);
    let failures: Vec<String> = all()
        .inspect(|recorded| {
            count += 1;
            exact += usize::from(recorded.exact);
        })
        .filter_map(|recorded| match recorded.direction {
            Direction::ToMaster => check::<WorkerRequest>(&recorded).err(),
            Direction::ToWorker => check::<MasterRequest>(&recorded).err(),
        })
        .collect();
    assert_eq!(failures, Vec::<String>::new());
    assert!(count > 2000 && exact > 150, "{count} messages, {exact} with their bytes");
}

#[test]
fn only_the_messages_made_up_by_scripts_are_unknown_malformed_or_nameless() {
    let mut odd = Vec::new();
    for recorded in all().filter(|recorded| !recorded.trimmed && recorded.value.is_some()) {
        let shown = match recorded.direction {
            Direction::ToMaster => WorkerMessage::decode(&recorded.bytes).map(|message| format!("{message:?}")),
            Direction::ToWorker => MasterMessage::decode(&recorded.bytes).map(|message| format!("{message:?}")),
        };
        let is_odd = |text: &String| ["Malformed", "Ignored", "Unknown"].iter().any(|word| text.contains(word));
        if shown.as_ref().map_or(true, is_odd) {
            odd.push(recorded.file);
        }
    }
    odd.dedup();
    assert_eq!(
        odd,
        ["fake-worker-with-extra-capabilities", "probe-errors", "probe-extra-keys", "probe-malformed-frames"]
    );
}

#[test]
fn arguments_of_every_recorded_command_are_read() {
    let mut refused = Vec::new();
    let mut read = std::collections::BTreeMap::<&str, usize>::new();
    for recorded in all().filter(|recorded| recorded.direction == Direction::ToWorker && !recorded.trimmed) {
        let Ok(Message::Request { request: MasterRequest::StartCommand { name, args, .. }, .. }) =
            MasterMessage::decode(&recorded.bytes)
        else {
            continue;
        };
        match CommandArgs::read(&name, &args) {
            Ok(command) => {
                *read.entry(command.name()).or_default() += 1;
                let again = CommandArgs::read(&name, &command.write());
                assert_eq!(again, Ok(command), "{}:{}", recorded.file, recorded.line);
            }
            Err(error) => refused.push(format!("{}: {error}", recorded.file)),
        }
    }
    refused.retain(|text| !text.starts_with("probe-"));
    assert_eq!(refused, ["fs-commands: there is no command `nosuchcommand`"]);
    let names: Vec<&str> = read.keys().copied().collect();
    assert_eq!(
        names,
        [
            "cpdir",
            "download_file",
            "glob",
            "listdir",
            "mkdir",
            "rmdir",
            "rmfile",
            "shell",
            "stat",
            "upload_directory",
            "upload_file"
        ]
    );
}

#[test]
fn facts_of_a_worker_are_read() {
    let info = wire_fixtures::messages("connect")
        .into_iter()
        .filter(|recorded| recorded.direction == Direction::ToMaster)
        .find_map(|recorded| match WorkerMessage::decode(&recorded.bytes) {
            Ok(Message::Response { answer: Ok(result), .. }) if result.is_map() => Some(WorkerInfo::read(&result)),
            _ => None,
        })
        .unwrap();
    assert_eq!((info.system.as_str(), info.basedir.as_str()), ("posix", "/srv/bb-demo/w"));
    assert_eq!((info.version.as_str(), info.numcpus), ("4.3.0", 2));
    assert_eq!(info.worker_commands["shell"], "3.3");
    assert_eq!(info.environ["LANG"], "C.UTF-8");
    assert_eq!(info.facts["os_id"], "debian");
    assert!(info.instance.is_none() && !info.caps.resume);
    assert_eq!(WorkerInfo::read(&info.write()), info);
}

#[test]
fn positions_of_newlines_are_found_again() {
    let lines = all()
        .filter(|recorded| recorded.direction == Direction::ToMaster && !recorded.trimmed)
        .filter_map(|recorded| match WorkerMessage::decode(&recorded.bytes) {
            Ok(Message::Request { request: WorkerRequest::Update { updates, .. }, .. }) => Some(updates),
            _ => None,
        })
        .flatten()
        .filter(|update| match update {
            Update::Stream { lines: Lines { text, .. }, .. } | Update::Log { lines: Lines { text, .. }, .. } => {
                assert!(text.ends_with('\n'));
                true
            }
            _ => false,
        })
        .count();
    assert!(lines > 500, "{lines}");
}

//! The kind of notifier that only tests have: a line in a file.

use super::makers::Templates;
use super::{DeliveryError, ReportFacts};
use crate::model::{Outcome, PaperPlan, Value};

/// A line on its way into a file.
#[derive(Clone, Debug)]
pub struct Note {
    file: String,
    line: String,
}

/// Writes the line.
pub(super) fn write(plan: &PaperPlan, facts: &ReportFacts, templates: Templates<'_>) -> Note {
    let ReportFacts::Build(facts) = facts else { panic!("tests tell it of builds only") };
    let word = facts.outcome().map_or("started", Outcome::word);
    let ours = format!("{}/{}: {word}", facts.builder.name, facts.build.number);
    let theirs = plan.line.and_then(|function| templates(function, &Value::Str(ours.clone())).ok());
    Note { file: plan.file.clone(), line: theirs.unwrap_or(ours) }
}

impl Note {
    /// Delivers it.
    pub(super) async fn deliver(&self) -> Result<Vec<String>, DeliveryError> {
        let written = tokio::fs::write(&self.file, format!("{}\n", self.line)).await;
        written.map_err(|error| DeliveryError {
            message: format!("failed to write `{}`: {error}", self.file),
            final_: false,
            pause: None,
        })?;
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BuildFacts, Credentials, Letter, Makers, channel};
    use super::*;
    use crate::base::Timestamp;
    use crate::model::{
        BuildId, BuildRecord, BuilderId, BuilderRecord, ConfigDigest, FnId, NotifierKind, Properties, Report, ReportId,
        ReportReason, ReportSubject, RequestId, WorkerId,
    };

    fn facts() -> ReportFacts {
        let subject = ReportSubject::Build {
            build: BuildId(40),
            builder: BuilderId(1),
            outcome: Outcome::Failure,
            previous: None,
        };
        ReportFacts::Build(Box::new(BuildFacts {
            report: Report {
                id: ReportId(7),
                notifier: "desk".to_owned(),
                plan: ConfigDigest::default(),
                reason: ReportReason::Failure,
                subject,
                made: Timestamp::default(),
                target: String::new(),
                latest_only: false,
                again: None,
            },
            installation: String::new(),
            title: String::new(),
            url: String::new(),
            builder: BuilderRecord { name: "linux".to_owned(), ..BuilderRecord::default() },
            worker: String::new(),
            build: BuildRecord {
                id: BuildId(40),
                number: 12,
                builder: BuilderId(3),
                worker: WorkerId(1),
                request: RequestId(9),
                requests: vec![RequestId(9)],
                started: Timestamp::default(),
                completed: None,
                outcome: Some(Outcome::Failure),
                state: String::new(),
                culprits: Vec::new(),
                locks_wait_ms: 0,
                properties: Properties::default(),
                plan: ConfigDigest::default(),
                changes: Vec::new(),
            },
            buildset: None,
            scheduler: String::new(),
            changes: Vec::new(),
            steps: Vec::new(),
            previous: None,
            excerpts: Vec::new(),
            now: Timestamp::default(),
        }))
    }

    #[tokio::test]
    async fn a_kind_that_a_line_adds_is_written_and_delivered_like_the_others() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("desk").to_str().unwrap().to_owned();
        let paper = |line: Option<FnId>| NotifierKind::Paper(PaperPlan { file: file.clone(), line });
        let written = |kind: &NotifierKind, text: Templates<'_>| -> Letter {
            let makers = Makers { text, data: &|_, _| panic!("no template makes data") };
            channel::write(kind, &facts(), &makers).unwrap()
        };
        let letter = written(&paper(None), &|_, _| panic!("no template is set"));
        assert_eq!(letter.deliver(Credentials::Nothing).await, Ok(Vec::new()));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "linux/12: failure\n");
        let letter = written(&paper(Some(FnId(0))), &|_, _| Ok("theirs".to_owned()));
        letter.deliver(Credentials::Nothing).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs\n");
    }

    #[tokio::test]
    async fn what_cannot_be_delivered_is_told() {
        let plan = PaperPlan { file: "/no/such/directory/file".to_owned(), line: None };
        let makers = Makers { text: &|_, _| panic!("no template is set"), data: &|_, _| panic!("no template is set") };
        let letter = channel::write(&NotifierKind::Paper(plan), &facts(), &makers).unwrap();
        let error = letter.deliver(Credentials::Nothing).await.unwrap_err();
        assert!(!error.final_ && error.message.contains("/no/such/directory/file"), "{error}");
    }
}

//! What an evaluator knows of builds, so that it is sent only what it lacks.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::{BuildContext, BuildId, Entry, EvalJob, Journal, Key, Readings, TextRef};

/// Builds that an evaluator remembers: more than usually run in one configuration, few enough to look through.
const BUILDS_MAX: usize = 64;

/// What one evaluator knows.
#[derive(Debug, Default)]
pub(super) struct Journals {
    builds: BTreeMap<BuildId, Known>,
    turns: u64,
}

#[derive(Debug)]
struct Known {
    context: Arc<BuildContext>,
    /// Keys, and whether they were answered: nothing else of an entry changes that a script can see.
    entries: BTreeMap<Key, bool>,
    texts: BTreeSet<TextRef>,
    /// The turn in which it was used last.
    used: u64,
}

/// What has to be sent for a turn.
#[derive(Debug)]
pub(super) struct JournalUpdate<'a> {
    pub context: Option<Arc<BuildContext>>,
    pub entries: Vec<(Cow<'a, Key>, Cow<'a, Entry>)>,
    pub texts: Vec<(TextRef, Cow<'a, str>)>,
    pub forget: Vec<BuildId>,
}

impl Journals {
    /// What the evaluator lacks for this job; it knows it from then on.
    pub fn news<'a>(&mut self, build: BuildId, job: &'a EvalJob) -> JournalUpdate<'a> {
        self.turns += 1;
        let forget = self.make_room(build);
        let same = self.builds.get(&build).is_some_and(|known| known.continues(job));
        let context = (!same).then(|| Arc::clone(&job.context));
        if !same {
            let context = Arc::clone(&job.context);
            let known = Known { context, entries: BTreeMap::new(), texts: BTreeSet::new(), used: 0 };
            self.builds.insert(build, known);
        }
        let known = self.builds.get_mut(&build).expect("it is there, or was put there");
        known.used = self.turns;
        let texts = known.read(&job.readings);
        JournalUpdate { context, entries: known.learn(&job.journal), texts, forget }
    }

    /// Forgets the build that was used longest ago, if one more would be too many.
    fn make_room(&mut self, build: BuildId) -> Vec<BuildId> {
        if self.builds.len() < BUILDS_MAX || self.builds.contains_key(&build) {
            return Vec::new();
        }
        let oldest = self.builds.iter().min_by_key(|(_, known)| known.used).map(|(build, _)| *build);
        oldest.inspect(|build| drop(self.builds.remove(build))).into_iter().collect()
    }
}

impl Known {
    /// Whether a job is about the same step, and nothing that is known has vanished.
    fn continues(&self, job: &EvalJob) -> bool {
        Arc::ptr_eq(&self.context, &job.context) && self.entries.keys().all(|key| job.journal.0.contains_key(key))
    }

    /// Texts that are new.
    fn read<'a>(&mut self, readings: &'a Readings) -> Vec<(TextRef, Cow<'a, str>)> {
        let new = readings.texts.iter().filter(|(text, _)| self.texts.insert((*text).clone()));
        new.map(|(text, content)| (text.clone(), Cow::Borrowed(content.as_ref()))).collect()
    }

    /// Entries that are new or changed.
    fn learn<'a>(&mut self, journal: &'a Journal) -> Vec<(Cow<'a, Key>, Cow<'a, Entry>)> {
        let mut new = Vec::new();
        for (key, entry) in &journal.0 {
            let answered = entry.answer.is_some();
            if self.entries.get(key) != Some(&answered) {
                self.entries.insert(key.clone(), answered);
                new.push((Cow::Borrowed(key), Cow::Borrowed(entry)));
            }
        }
        new
    }
}

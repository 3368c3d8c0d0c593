//! Who gets a mail: the fixed addresses and those whose changes are in the build. Each once, order kept.

use std::collections::BTreeSet;

use lettre::message::Mailbox;

use super::BuildFacts;
use super::address::{identity, is_nobodys, mailbox, person};
use crate::model::Recipients;

/// A build with more people's changes in it than this (the first build of a long branch) is nobody's in
/// particular; only the newest are asked.
const BLAMED_MAX: usize = 50;

/// The recipients, and remarks on those that could not be used.
pub(super) fn recipients(plan: &Recipients, facts: &BuildFacts) -> (Vec<Mailbox>, Vec<String>) {
    let mut chosen = Chosen::default();
    let mut remarks = Vec::new();
    for text in &plan.to {
        match mailbox(text) {
            Some(mailbox) => chosen.take(mailbox),
            None => remarks.push(format!("`{text}` is no mail address and was left out.")),
        }
    }
    if plan.blame {
        for mailbox in blamed(plan, facts) {
            chosen.take(mailbox);
        }
    }
    (chosen.mailboxes, remarks)
}

fn blamed(plan: &Recipients, facts: &BuildFacts) -> Vec<Mailbox> {
    let authors = facts.changes.iter().rev().map(|change| change.data.author.as_str());
    // Who forced a build is asked only where they gave an address: the form takes any text.
    let owner = facts.owner().and_then(mailbox);
    let mut chosen = Chosen::default();
    for mailbox in owner.into_iter().chain(authors.filter_map(|author| person(author, plan.domain.as_deref()))) {
        if !is_nobodys(&mailbox) && chosen.mailboxes.len() < BLAMED_MAX {
            chosen.take(mailbox);
        }
    }
    chosen.mailboxes
}

#[derive(Default)]
struct Chosen {
    mailboxes: Vec<Mailbox>,
    seen: BTreeSet<String>,
}

impl Chosen {
    fn take(&mut self, mailbox: Mailbox) {
        if self.seen.insert(identity(&mailbox)) {
            self.mailboxes.push(mailbox);
        }
    }
}

//! Who gets a mail: the fixed addresses and those whose changes are in the build. Each once, order kept.

use std::collections::BTreeSet;

use lettre::message::Mailbox;

use super::address::{address_of, identity, is_nobodys, mailbox, person};
use super::facts::Head;
use super::wording::one_line;
use crate::model::Recipients;

/// A build with more people's changes in it than this (the first build of a long branch) is nobody's in
/// particular; only the newest are asked.
const BLAMED_MAX: usize = 50;
/// Odd addresses that are remarked on: a history imported by a broken tool may have nothing else.
const REMARKED_MAX: usize = 5;
/// Of an author that is shown in a remark.
const AUTHOR_CHARS_MAX: usize = 120;

/// The recipients, and remarks on those that could not be used.
pub(super) fn recipients(plan: &Recipients, facts: &Head<'_>) -> (Vec<Mailbox>, Vec<String>) {
    let mut chosen = Chosen::default();
    let mut remarks = Vec::new();
    for text in &plan.to {
        match mailbox(text) {
            Some(mailbox) => chosen.take(mailbox),
            None => remarks.push(format!("`{text}` is not a valid mail address and was left out.")),
        }
    }
    if plan.blame {
        for mailbox in blamed(plan, facts) {
            chosen.take(mailbox);
        }
        remarks.extend(unreachable(plan, facts));
    }
    (chosen.mailboxes, remarks)
}

/// Remarks on authors who gave an address that is none.
fn unreachable(plan: &Recipients, facts: &Head<'_>) -> Vec<String> {
    let authors: BTreeSet<&str> = facts.changes.iter().map(|change| change.data.author.as_str()).collect();
    let odd = authors
        .into_iter()
        .filter(|author| address_of(author).is_some() && person(author, plan.domain.as_deref()).is_none());
    let remark = |author: &str| {
        format!("`{}` is not a valid mail address; its author was left out.", one_line(author, AUTHOR_CHARS_MAX))
    };
    odd.take(REMARKED_MAX).map(remark).collect()
}

fn blamed(plan: &Recipients, facts: &Head<'_>) -> Vec<Mailbox> {
    let authors = facts.changes.iter().rev().map(|change| change.data.author.as_str());
    // Who forced a build is asked only where they gave an address: the form takes any text.
    let owner = facts.owner.and_then(mailbox);
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

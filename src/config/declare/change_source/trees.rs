//! The change sources `hg`, `svn` and `bzr`: repositories of Mercurial, Subversion and Bazaar.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use super::git::{branches, refuse_relative};
use crate::model::{BranchChoice, BzrPlan, ChangeSourceKind, HgPlan, SvnLayout, SvnPlan};

pub(super) const HG: KindOf<ChangeSourceKind> = KindOf {
    word: "hg",
    params: &[
        required("repository", "text", "The repository's address, in any form that Mercurial accepts."),
        optional("branches", "list of text", "the default branch", "Branches to poll."),
        optional("patterns", "list of glob patterns", "None", "Patterns of branches to poll."),
    ],
    read: read_hg,
};

pub(super) const SVN: KindOf<ChangeSourceKind> = KindOf {
    word: "svn",
    params: &[
        required("repository", "text", "For Subversion: the address of the directory that is looked at."),
        optional(
            "layout",
            "text",
            "\"plain\"",
            "For Subversion: where its branches are: \"plain\" (there are none), \"branches\" (`trunk`, `branches/NAME`) or \
             \"projects\" (`PROJECT/trunk`, `PROJECT/branches/NAME`).",
        ),
        optional("branches", "list of glob patterns", "all", "The branches whose changes count."),
        optional("user", "text", "None", "For Subversion: who logs in."),
        optional("password", "text or secret", "None", "For Subversion: their password."),
    ],
    read: read_svn,
};

pub(super) const BZR: KindOf<ChangeSourceKind> = KindOf {
    word: "bzr",
    params: &[
        required(
            "repository",
            "text",
            "For Bazaar: the address of the branch, or of the directory that holds branches.",
        ),
        optional("branches", "list of text", "[]", "For Bazaar: directories of branches, relative to it."),
        optional("program", "text", "\"brz\"", "For Bazaar: the program."),
    ],
    read: read_bzr,
};

/// The address, which must not be taken for an option.
fn repository(call: &Call<'_, '_, '_, '_, '_>) -> String {
    let repository = call.string("repository").unwrap_or_default();
    if (repository.is_empty() || repository.starts_with('-')) && call.value("repository").is_some() {
        call.wrong("repository", "is no address", None);
    }
    refuse_relative(call, &repository);
    repository
}

fn read_hg(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    let plan = HgPlan { repository: repository(call), branches: branches(call) };
    if let BranchChoice::Names(names) = &plan.branches
        && let Some(name) = names.iter().find(|name| name.is_empty() || name.contains([':', '\n']))
    {
        call.wrong("branches", &format!("holds `{name}`, which Mercurial does not allow as a branch"), None);
    }
    ChangeSourceKind::Hg(plan)
}

fn read_svn(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    let repository = repository(call);
    let layout = call.word("layout", &SvnLayout::ALL).unwrap_or(SvnLayout::Plain);
    if !repository.contains("://") && call.value("repository").is_some() {
        let hint = "write for example \"file:///srv/svn/app\"".to_owned();
        call.wrong("repository", "is not the address of a Subversion repository", Some(hint));
    }
    if layout == SvnLayout::Plain && call.value("branches").is_some() {
        let hint = "write layout = \"branches\" if it has `trunk` and `branches`".to_owned();
        call.wrong("branches", "needs a `layout` with branches", Some(hint));
    }
    let (user, password) = (call.string("user"), call.text("password"));
    if user.is_some() != password.is_some() {
        call.wrong(if user.is_some() { "user" } else { "password" }, "and its counterpart belong together", None);
    }
    ChangeSourceKind::Svn(Box::new(SvnPlan { repository, layout, branches: call.globs("branches"), user, password }))
}

fn read_bzr(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    let branches = call.some_strings("branches");
    for name in branches.iter().filter(|name| name.is_empty() || name.starts_with(['-', '/'])) {
        call.wrong("branches", &format!("holds `{name}`, which is no directory of a branch"), None);
    }
    let program = call.string("program").unwrap_or_else(|| "brz".to_owned());
    ChangeSourceKind::Bzr(BzrPlan { repository: repository(call), branches, program })
}

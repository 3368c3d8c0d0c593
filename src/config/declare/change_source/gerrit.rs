//! The change source `gerrit`: the changes under review of a project on a Gerrit server.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use crate::model::{ChangeSourceKind, GerritPlan, GerritServer};

pub(super) const GERRIT: KindOf<ChangeSourceKind> = KindOf {
    word: "gerrit",
    params: &[
        required("repository", "text", "For Gerrit: the address of the project, \"ssh://USER@HOST:29418/PROJECT\"."),
        optional("branches", "list of glob patterns", "all", "The branches that changes are for."),
        optional("drafts", "bool", "True", "Whether changes that are work in progress are built."),
        optional("comments", "regular expression", "None", "For Gerrit: comments that ask for a build."),
        optional("comments_from", "list of text", "[]", "For Gerrit: whose comments count, such as \"@ann\"."),
        optional("stream", "bool", "True", "For Gerrit: whether to poll at once when the server sends an event."),
        optional("ssh", "list of text", "[\"ssh\"]", "For Gerrit: the SSH program, and options for it."),
    ],
    read,
};

/// The port of a server that names none.
const PORT: u16 = 29418;

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    let repository = call.string("repository").unwrap_or_default();
    let place = parse(&repository);
    if place.is_none() && call.value("repository").is_some() {
        let hint = "write \"ssh://ci@review.example.org:29418/team/app\"".to_owned();
        call.wrong(
            "repository",
            &format!("is not the address of a project on a Gerrit server: `{repository}`"),
            Some(hint),
        );
    }
    let (user, host, port, project) = place.unwrap_or_default();
    let ssh = call.strings("ssh").unwrap_or_else(|| vec!["ssh".to_owned()]);
    if ssh.first().is_none_or(String::is_empty) {
        call.wrong("ssh", "names no program", None);
    }
    let address = user.as_ref().map_or_else(|| host.clone(), |user| format!("{user}@{host}"));
    ChangeSourceKind::Gerrit(Box::new(GerritPlan {
        repository: format!("ssh://{address}:{port}/{project}"),
        server: GerritServer { ssh, user, host, port },
        project,
        branches: call.globs("branches"),
        drafts: call.boolean("drafts", true),
        comments: call.regex("comments"),
        comments_from: comments_from(call),
        stream: call.boolean("stream", true),
    }))
}

/// User, host, port and project of an address.
fn parse(address: &str) -> Option<(Option<String>, String, u16, String)> {
    let rest = address.strip_prefix("ssh://")?;
    let (authority, project) = rest.split_once('/')?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (place, PORT),
    };
    let project = project.trim_matches('/');
    let project = project.strip_prefix("a/").unwrap_or(project);
    let project = project.strip_suffix(".git").unwrap_or(project);
    // All of it becomes words of a command line.
    let is_word = |text: &str, more: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || more.contains(c);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(fits)
    };
    let fits = is_word(host, ".-_[]") && user.is_none_or(|user| is_word(user, ".-_+")) && is_word(project, "-_./~+");
    fits.then(|| (user.map(str::to_owned), host.to_owned(), port, project.to_owned()))
}

/// Anybody with an account may comment, so the people who may ask for builds are named.
fn comments_from(call: &Call<'_, '_, '_, '_, '_>) -> Vec<String> {
    let from = call.strings("comments_from").unwrap_or_default();
    if call.value("comments").is_some() && from.is_empty() {
        let hint = "name those who may ask for builds: comments_from = [\"@ann\", \"@bob\"]".to_owned();
        call.wrong("comments", "needs `comments_from`", Some(hint));
    }
    for (index, one) in from.iter().enumerate().filter(|(_, one)| !one.starts_with('@') || one.len() < 2) {
        let message = format!("{}: `comments_from`: \"{one}\" is not a user name", call.title);
        call.problem(
            call.arg("comments_from").item(index),
            message,
            Some(format!("a user name is written \"@{one}\"")),
        );
    }
    from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_user_host_port_and_project() {
        let of = |address: &str| {
            parse(address).map(|(user, host, port, project)| (user.unwrap_or_default(), host, port, project))
        };
        let want = |user: &str, port, project: &str| {
            Some((user.to_owned(), "review.example.org".to_owned(), port, project.to_owned()))
        };
        assert_eq!(of("ssh://ci@review.example.org:29418/team/app"), want("ci", 29418, "team/app"));
        assert_eq!(of("ssh://review.example.org/app.git/"), want("", 29418, "app"));
        for wrong in [
            "https://review.example.org/app",
            "ssh://review.example.org",
            "ssh://ci@/app",
            "ssh://h:x/app",
            "ssh://-oProxy/app",
            "ssh://h/-x",
            "ssh://h/a b",
            "ssh://h/a;b",
            "ssh://h/{a}",
            "",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

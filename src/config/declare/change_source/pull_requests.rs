//! The change source `pull_requests`: the open pull requests of a repository on a forge.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use crate::model::{ChangeSourceKind, HookDialect, PullRef, PullsPlan};

pub(super) const PULL_REQUESTS: KindOf<ChangeSourceKind> = KindOf {
    word: "pull_requests",
    params: &[
        required(
            "forge",
            "\"github\", \"gitlab\", \"gitea\", \"bitbucket\" or \"bitbucketserver\"",
            "For pull requests: whose API to ask. `gitea` is also that of Forgejo.",
        ),
        required("repository", "text", "The repository on the forge, \"OWNER/NAME\"."),
        optional("branches", "list of glob patterns", "all", "The branches into which they are to be merged."),
        optional("token", "text or secret", "None", "For pull requests: a token that may read them."),
        optional("url", "text", "that of the public forge", "For pull requests: the address of the forge."),
        optional("api", "text", "follows from `url`", "For pull requests: the address of its API."),
        optional(
            "pull_requests",
            "\"merge\" or \"head\"",
            "\"merge\" where the forge has it",
            "What to build of pull requests.",
        ),
        optional("drafts", "bool", "True", "Whether drafts are built."),
    ],
    read,
};

/// The forges that have an API for it.
const FORGES: [(&str, HookDialect); 5] = [
    ("github", HookDialect::GitHub),
    ("gitlab", HookDialect::GitLab),
    ("gitea", HookDialect::Gitea),
    ("bitbucket", HookDialect::Bitbucket),
    ("bitbucketserver", HookDialect::BitbucketServer),
];

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    let forge = call.word("forge", &FORGES).unwrap_or_default();
    let path = call.string("repository").unwrap_or_default();
    let path = path.trim_matches('/').to_owned();
    if call.value("repository").is_some() && !is_path(&path) {
        let hint = "write it without the address of the forge: \"acme/app\"".to_owned();
        call.wrong("repository", &format!("must be OWNER/NAME, not `{path}`"), Some(hint));
    }
    let public = match forge {
        HookDialect::GitHub => Some("https://github.com"),
        HookDialect::GitLab => Some("https://gitlab.com"),
        HookDialect::Bitbucket => Some("https://bitbucket.org"),
        _ => None,
    };
    let url = address(call, "url").or_else(|| public.map(str::to_owned)).unwrap_or_else(|| {
        if call.value("forge").is_some() && call.value("url").is_none() {
            let hint = "write url = \"https://git.example.org\"".to_owned();
            call.wrong("forge", "needs `url`: there is no public one", Some(hint));
        }
        String::new()
    });
    let api = address(call, "api").unwrap_or_else(|| api_of(forge, &url));
    let refs = forge.pull_refs();
    let words = [("merge", PullRef::Merge), ("head", PullRef::Head)];
    let pulls = call.word("pull_requests", &words).or_else(|| refs.first().copied()).unwrap_or(PullRef::Head);
    if !refs.is_empty() && !refs.contains(&pulls) {
        call.wrong("pull_requests", "cannot be \"merge\": this forge has no ref of the merge result", None);
    }
    let repository = repository(forge, &url, &path);
    ChangeSourceKind::Pulls(Box::new(PullsPlan {
        forge,
        path,
        url,
        api,
        repository,
        token: call.text("token"),
        branches: call.globs("branches"),
        pulls,
        drafts: call.boolean("drafts", true),
    }))
}

/// Two names or more, without anything that would be another part of an address.
fn is_path(path: &str) -> bool {
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        !name.is_empty() && name != "." && name != ".." && name.chars().all(fits)
    };
    path.contains('/') && path.split('/').all(is_name)
}

fn address(call: &Call<'_, '_, '_, '_, '_>, name: &'static str) -> Option<String> {
    let address = call.string(name)?;
    if !address.starts_with("https://") && !address.starts_with("http://") {
        call.wrong(name, "must begin with https:// or http://", None);
    }
    Some(address.trim_end_matches('/').to_owned())
}

fn api_of(forge: HookDialect, url: &str) -> String {
    match forge {
        HookDialect::GitHub if url == "https://github.com" => "https://api.github.com".to_owned(),
        HookDialect::GitHub | HookDialect::Base | HookDialect::Generic => format!("{url}/api/v3"),
        HookDialect::GitLab => format!("{url}/api/v4"),
        HookDialect::Gitea => format!("{url}/api/v1"),
        HookDialect::Bitbucket => "https://api.bitbucket.org/2.0".to_owned(),
        HookDialect::BitbucketServer => format!("{url}/rest/api/1.0"),
    }
}

/// What changes name, as git takes it.
fn repository(forge: HookDialect, url: &str, path: &str) -> String {
    match (forge, path.split_once('/')) {
        (HookDialect::BitbucketServer, Some((project, slug))) => {
            format!("{url}/scm/{}/{slug}.git", project.to_lowercase())
        }
        (HookDialect::Bitbucket, _) => format!("{url}/{path}"),
        _ => format!("{url}/{path}.git"),
    }
}

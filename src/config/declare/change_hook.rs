//! `change_hook`: an address to which a forge or a script reports changes.

use std::collections::BTreeMap;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::signature::{Native, optional, required};
use crate::base::nearest;
use crate::model::{HookDialect, HookPlan, HookSettings, PullEvent, PullRef};

pub(super) static CHANGE_HOOK: Native = Native {
    name: "change_hook",
    doc: "Enables `/change_hook/NAME`, through which a forge or a script reports changes. The guide to forges says what to \
          set up there.",
    example: "change_hook(\"github\", secret = secret(\"github-hook\"))",
    positional: 1,
    kinds: &[],
    params: &[
        required(
            "dialect",
            "\"base\", \"github\", \"gitlab\", \"gitea\", \"bitbucket\", \"bitbucketserver\" or \"generic\"",
            "The format of the requests. `gitea` is also that of Forgejo and Gogs, `bitbucket` that of Bitbucket Cloud, \
             `bitbucketserver` that of Bitbucket Server and Data Center.",
        ),
        optional("name", "text", "the dialect", "The last part of its address: letters, digits and underscores."),
        optional(
            "secret",
            "text or secret",
            "None",
            "The secret of the webhook: the forge signs its calls with it (HMAC-SHA256), or sends it as a token \
             (GitLab). Every dialect but \"base\" needs it, or a password.",
        ),
        optional("user", "text", "None", "The user name that callers must send (HTTP Basic authentication)."),
        optional("password", "text or secret", "None", "The password that callers must send."),
        optional(
            "unauthenticated",
            "bool",
            "False",
            "Lets anyone call the hook of a forge: only for a network that nobody else can reach.",
        ),
        optional(
            "pull_requests",
            "\"merge\", \"head\" or None",
            "\"merge\" where the forge has it, else \"head\"",
            "What to build of pull and merge requests: the result of merging, what the author pushed, or nothing.",
        ),
        optional(
            "pull_events",
            "list of \"opened\", \"updated\", \"reopened\", \"labelled\", \"edited\", \"ready\"",
            "[\"opened\", \"updated\", \"reopened\"]",
            "Which events of pull requests are changes. \"ready\" is the end of being a draft.",
        ),
        optional("drafts", "bool", "True", "Whether drafts are built. If not, the end of being a draft is a change."),
        optional(
            "comments",
            "regular expression",
            "None",
            "Comments on pull requests that ask for a build: \"^/build\\\\b\" matches those that begin with `/build`.",
        ),
        optional(
            "comments_from",
            "list of text",
            "[\"owner\", \"member\", \"collaborator\"]",
            "Whose comments count: what GitHub calls the author's association, or login names such as \"@ann\". Other \
             forges tell login names only.",
        ),
        optional(
            "changes",
            "function of (event)",
            "None",
            "Decides what is recorded. It gets a dict with `dialect`, `event`, `payload` (the JSON) and `changes` (a list of \
             dicts), and returns the list of changes to record. A change with `always = True` is recorded also if its \
             commit is known.",
        ),
        optional(
            "wake",
            "bool",
            "False",
            "Only makes the pollers of the repository poll at once; nothing is recorded from the request.",
        ),
        optional(
            "fields",
            "dict of text",
            "{}",
            "For \"generic\": where each field of the change is, as a JSON pointer (\"/push/ref\"; \"/push/ref?\" if it may be \
             missing), or the text itself.",
        ),
        optional(
            "signature",
            "text",
            "\"X-Hub-Signature-256\"",
            "For \"generic\" and \"base\": the header that has the signature.",
        ),
        optional(
            "url",
            "text",
            "None",
            "For \"bitbucketserver\": its address, because versions before 8 do not say where the repository is.",
        ),
        optional("project", "text", "that of the codebase", "The project of its changes."),
        optional(
            "codebase",
            "text or `codebase`",
            "the declared one of the repository",
            "The codebase of its changes. A declared codebase also says the project.",
        ),
    ],
};

/// What GitHub says of the author of a comment.
const ASSOCIATIONS: [&str; 7] =
    ["owner", "member", "collaborator", "contributor", "first_timer", "first_time_contributor", "none"];
/// Those who may ask for builds, if nothing is said: people who may push.
const TRUSTED: [&str; 3] = ["owner", "member", "collaborator"];
/// Fields of a change that a generic hook may fill.
const FIELDS: [&str; 12] = [
    "author",
    "committer",
    "comments",
    "files",
    "branch",
    "revision",
    "revlink",
    "category",
    "repository",
    "project",
    "codebase",
    "when",
];
/// A longer one is not recognised by the web.
const NAME_LENGTH_MAX: usize = 64;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn change_hook<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&CHANGE_HOOK, args, eval)?;
        let words = HookDialect::ALL.map(|dialect| (dialect.word(), dialect));
        let Some(dialect) = call.word_or("dialect", &words, other_name) else { return Ok(NoneType) };
        let name = name(&call, dialect);
        call.title = format!("change hook `{name}`");
        call.collector.declare(Kind::Hook, &name, &call.site);
        let changes = call.function("changes", &["event"]);
        let hook = HookPlan {
            dialect,
            user: call.string("user"),
            password: call.text("password"),
            secret: call.text("secret"),
            wake: call.boolean("wake", false),
            changes,
            settings: settings(&call, dialect),
        };
        check_access(&call, &hook);
        if hook.wake && hook.changes.is_some() {
            call.wrong("wake", "and `changes` exclude each other: a hook that wakes pollers records nothing", None);
        }
        call.collector.plan.borrow_mut().web.hooks.entry(name).or_insert(hook);
        Ok(NoneType)
    }
}

/// The dialect of a forge that has none of its own.
fn other_name(forge: &str) -> Option<String> {
    let dialect = match forge.to_ascii_lowercase().as_str() {
        "forgejo" | "gogs" | "codeberg" => HookDialect::Gitea,
        "bitbucket_server" | "bitbucketdatacenter" | "stash" => HookDialect::BitbucketServer,
        "bitbucketcloud" | "bitbucket_cloud" => HookDialect::Bitbucket,
        "gerrit" => return Some("Gerrit has no hooks over HTTP: use gerrit_poller(…)".to_owned()),
        _ => return None,
    };
    Some(format!("calls of {forge} have the dialect \"{}\"", dialect.word()))
}

fn name(call: &Call<'_, '_, '_, '_, '_>, dialect: HookDialect) -> String {
    let Some(name) = call.string("name") else { return dialect.word().to_owned() };
    let is_word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || !is_word {
        let hint = format!("at most {NAME_LENGTH_MAX} letters, digits and underscores, for example \"github_team\"");
        call.wrong("name", "is not the last part of an address", Some(hint));
    }
    name
}

/// Whoever can call a hook can start builds.
fn check_access(call: &Call<'_, '_, '_, '_, '_>, hook: &HookPlan) {
    if hook.user.is_some() != hook.password.is_some() {
        let hint = "give both, or neither to let everybody call".to_owned();
        call.wrong(if hook.user.is_some() { "user" } else { "password" }, "is given without the other one", Some(hint));
    }
    let is_open = hook.secret.is_none() && hook.password.is_none() && hook.user.is_none();
    let is_allowed = call.boolean("unauthenticated", false);
    if is_allowed && !is_open {
        call.wrong("unauthenticated", "and a secret or password exclude each other", None);
    }
    if is_open && !is_allowed && hook.dialect != HookDialect::Base {
        let word = hook.dialect.word();
        let message = format!("{} has no secret, so anyone could start builds through it", call.title);
        let hint =
            format!("write change_hook(\"{word}\", secret = secret(\"{word}-hook\")), with the secret of the webhook");
        call.collector.note(call.site.clone(), message, Some(hint));
    }
}

fn settings(call: &Call<'_, '_, '_, '_, '_>, dialect: HookDialect) -> HookSettings {
    let refs = dialect.pull_refs();
    let takes_pulls = !refs.is_empty();
    let only = |name: &'static str, fits: bool| {
        if !fits && call.value(name).is_some() {
            call.wrong(name, &format!("has no meaning for dialect \"{}\"", dialect.word()), None);
        }
    };
    for name in ["pull_requests", "pull_events", "drafts", "comments", "comments_from"] {
        only(name, takes_pulls);
    }
    only("fields", dialect == HookDialect::Generic);
    only("signature", matches!(dialect, HookDialect::Generic | HookDialect::Base));
    only("url", dialect == HookDialect::BitbucketServer);
    let url = call.string("url");
    if url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        call.wrong("url", "must begin with http:// or https://", None);
    }
    let events = PullEvent::ALL.map(|event| (event.word(), event));
    let (codebase, project) = codebase(call);
    HookSettings {
        pulls: pulls(call, refs),
        pull_events: call.words("pull_events", &events).unwrap_or_else(|| PullEvent::USUAL.to_vec()),
        drafts: call.boolean("drafts", true),
        comments: call.regex("comments"),
        comments_from: comments_from(call, dialect),
        url,
        fields: fields(call, dialect),
        signature: call.string("signature"),
        project: call.string("project").or(project).unwrap_or_default(),
        codebase: codebase.unwrap_or_default(),
    }
}

/// The codebase, by its name or as it was declared, and the project that it belongs to then.
fn codebase(call: &Call<'_, '_, '_, '_, '_>) -> (Option<String>, Option<String>) {
    let Some(value) = call.value("codebase").filter(|value| value.get_type() == "struct") else {
        return (call.string("codebase"), None);
    };
    let field = |name| {
        let field = value.get_attr(name, call.eval.heap()).ok().flatten();
        field.and_then(|field| field.unpack_str().map(str::to_owned))
    };
    let (name, project) = (field("name"), field("project"));
    if name.is_none() {
        call.wrong(
            "codebase",
            "is not a codebase",
            Some("declare one: codebase(\"app\", repository = \"…\")".to_owned()),
        );
    }
    (name, project)
}

/// The first that the forge has, unless something else is said. `None` says none, so that it differs from saying nothing.
fn pulls(call: &Call<'_, '_, '_, '_, '_>, refs: &'static [PullRef]) -> Option<PullRef> {
    if call.is_none("pull_requests") {
        return None;
    }
    let all = [("merge", PullRef::Merge), ("head", PullRef::Head)];
    let none = |word: &str| {
        let is_none = ["none", "no", "false", "off", "ignore", ""].contains(&word.to_ascii_lowercase().as_str());
        is_none.then(|| "to ignore pull requests, write pull_requests = None, without quotes".to_owned())
    };
    let Some(chosen) = call.word_or("pull_requests", &all, none) else { return refs.first().copied() };
    if !refs.is_empty() && !refs.contains(&chosen) {
        let hint = "write pull_requests = \"head\"; a step can merge".to_owned();
        call.wrong("pull_requests", "cannot be \"merge\": this forge has no ref of the merge result", Some(hint));
    }
    Some(chosen)
}

fn comments_from(call: &Call<'_, '_, '_, '_, '_>, dialect: HookDialect) -> Vec<String> {
    let is_github = dialect == HookDialect::GitHub;
    let Some(from) = call.strings("comments_from") else {
        if call.value("comments").is_some() && !is_github && !dialect.pull_refs().is_empty() {
            let hint = "name those who may ask for builds: comments_from = [\"@ann\", \"@bob\"]".to_owned();
            call.wrong("comments", "needs `comments_from`: this forge does not say who may push", Some(hint));
        }
        return TRUSTED.map(str::to_owned).into();
    };
    for (index, one) in from.iter().enumerate() {
        let fits = one.len() > 1 && one.starts_with('@') || is_github && ASSOCIATIONS.contains(&one.as_str());
        if !fits {
            let near = nearest(one, ASSOCIATIONS.iter().copied());
            let hint = match near {
                Some(near) if is_github => format!("did you mean \"{near}\"?"),
                Some(_) => "only GitHub says what people are to a repository: name them, \"@ann\"".to_owned(),
                None => format!("a login name is written \"@{one}\""),
            };
            let what = if is_github { "neither a login name nor an association" } else { "not a login name" };
            let message = format!("{}: `comments_from`: \"{one}\" is {what}", call.title);
            call.problem(call.arg("comments_from").item(index), message, Some(hint));
        }
    }
    from
}

fn fields(call: &Call<'_, '_, '_, '_, '_>, dialect: HookDialect) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for (name, value) in call.dict("fields").unwrap_or_default() {
        match value.unpack_str() {
            Some(what) if FIELDS.contains(&name.as_str()) => drop(fields.insert(name, what.to_owned())),
            Some(_) => {
                let near = nearest(&name, FIELDS.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                let hint = near.unwrap_or_else(|| format!("there are: {}", FIELDS.join(", ")));
                let message = format!("{}: a change has no field `{name}`", call.title);
                call.problem(call.arg("fields").key(&name), message, Some(hint));
            }
            None => {
                let message = format!("{}: field `{name}` must be a text", call.title);
                call.problem(call.arg("fields").key(&name), message, None);
            }
        }
    }
    let says_nothing = call.value("fields").is_none() && call.value("changes").is_none();
    if dialect == HookDialect::Generic && says_nothing {
        let message = format!("{} says nothing of the fields of its changes", call.title);
        let hint =
            "write fields = {\"branch\": \"/ref\", \"revision\": \"/after\"}, or a function `changes`".to_owned();
        call.collector.note(call.site.clone(), message, Some(hint));
    }
    fields
}

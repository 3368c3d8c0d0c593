//! Buildbot's names.

/// Where a name was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A class, a function or a constant.
    Name,
    /// An argument, by its name.
    Argument,
    /// Something of what a step or renderer is given: `ctx` here.
    Member,
}

/// One of Buildbot's names.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) place: Place,
    pub(super) counterpart: Counterpart,
    /// What to write instead, or why that is not needed, or what helps meanwhile.
    pub(super) write: &'static str,
}

/// What Starwright has in place of one of Buildbot's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counterpart {
    Exists,
    NotNeeded,
    Missing,
}

impl Row {
    /// The hint for somebody who wrote the name.
    pub(super) fn hint(&self) -> String {
        let Self { name, write, .. } = self;
        match self.counterpart {
            Counterpart::Exists => format!("instead of Buildbot's `{name}`, use {write}"),
            Counterpart::NotNeeded => format!("Buildbot's `{name}` is not needed: {write}"),
            Counterpart::Missing if write.is_empty() => format!("Buildbot's `{name}` has no counterpart yet"),
            Counterpart::Missing => format!("Buildbot's `{name}` has no counterpart yet: {write}"),
        }
    }

    /// The right column of the guide's table.
    fn in_table(&self) -> String {
        match self.counterpart {
            Counterpart::Exists => self.write.to_owned(),
            Counterpart::NotNeeded => format!("(not needed) {}", self.write),
            Counterpart::Missing if self.write.is_empty() => "(none yet)".to_owned(),
            Counterpart::Missing => format!("(none yet) {}", self.write),
        }
    }
}

const fn name(name: &'static str, write: &'static str) -> Row {
    Row { name, place: Place::Name, counterpart: Counterpart::Exists, write }
}

const fn argument(name: &'static str, write: &'static str) -> Row {
    Row { name, place: Place::Argument, counterpart: Counterpart::Exists, write }
}

const fn member(name: &'static str, write: &'static str) -> Row {
    Row { name, place: Place::Member, counterpart: Counterpart::Exists, write }
}

impl Row {
    /// The name can be left out.
    const fn not_needed(self) -> Self {
        Self { counterpart: Counterpart::NotNeeded, ..self }
    }

    /// There is nothing like it.
    const fn missing(self) -> Self {
        Self { counterpart: Counterpart::Missing, ..self }
    }
}

/// All rows. A name that stands here twice means different things in different places.
pub(super) const ROWS: &[Row] = &[
    // The configuration itself.
    name("BuildmasterConfig", "declarations take effect as soon as they are called: worker(\"w\"), builder(\"b\", …)").not_needed(),
    name("c", "declarations take effect as soon as they are called: worker(\"w\"), builder(\"b\", …)").not_needed(),
    name("util", "functions are loaded by name, for example load(\"@stdlib//text.star\", \"interpolate\")").not_needed(),
    name("steps", "functions are loaded by name, for example load(\"@stdlib//steps.star\", \"sh\")").not_needed(),
    name("schedulers", "functions are loaded by name, for example load(\"@stdlib//schedulers.star\", \"on_change\")").not_needed(),
    name("changes", "functions are loaded by name, for example load(\"@stdlib//source.star\", \"git_poller\"). The changes of a build are `ctx.changes`").not_needed(),
    name("reporters", "functions are loaded by name, for example load(\"@stdlib//notify.star\", \"mail\")").not_needed(),
    name("Worker", "worker(\"name\", password = secret(\"name\"), tags = [\"linux\"])"),
    name("LocalWorker", "worker(\"name\") without a password; `starwright up` starts it"),
    name("BuilderConfig", "builder(\"name\", workers = [\"w\"], steps = [sh(\"make\")])"),
    name("BuildFactory", "a list, steps = [git(\"…\"), sh(\"make\")], or a function that returns one"),
    name("MasterLock", "lock(\"name\", count = 1)"),
    name("WorkerLock", "lock(\"name\", count = 1, scope = \"worker\")"),
    name("JanitorConfigurator", "database(keep_days = 90)"),
    name("SecretInAFile", "secrets(dir = \"secrets\")"),
    name("Secret", "secret(\"name\")"),
    // People and rights.
    name("UserPasswordAuth", "local_users(), with load(\"@stdlib//login.star\", \"local_users\"), and `starwright user add`"),
    name("HTPasswdAuth", "htpasswd(\"users.htpasswd\"), with load(\"@stdlib//login.star\", \"htpasswd\")"),
    name("HTPasswdAprAuth", "htpasswd(\"users.htpasswd\"), with load(\"@stdlib//login.star\", \"htpasswd\"); hash the passwords anew with `htpasswd -B`"),
    name("RemoteUserAuth", "proxy_login(\"X-Remote-User\"), with load(\"@stdlib//login.star\", \"proxy_login\")"),
    name("GoogleAuth", "google(client_id = \"…\", client_secret = secret(\"google\")), with load(\"@stdlib//login.star\", \"google\")"),
    name("GitHubAuth", "github(client_id = \"…\", client_secret = secret(\"github\")), with load(\"@stdlib//login.star\", \"github\")"),
    name("GitLabAuth", "gitlab(client_id = \"…\", client_secret = secret(\"gitlab\")), with load(\"@stdlib//login.star\", \"gitlab\")"),
    name("BitbucketAuth", "bitbucket(client_id = \"…\", client_secret = secret(\"bitbucket\")), with load(\"@stdlib//login.star\", \"bitbucket\")"),
    name("LdapUserInfo", "ldap(\"ldaps://…\", user_base = \"…\"), with load(\"@stdlib//login.star\", \"ldap\")"),
    name("Authz", "allow(roles = [\"developers\"], actions = [\"force\"]) for each rule; what no rule allows is denied"),
    name("RolesFromGroups", "allow(roles = [\"group\"], …): each group is a role"),
    name("RolesFromUsername", "role(\"operators\", users = [\"ada\"])"),
    name("RolesFromEmails", "role(\"operators\", users = [\"ada\"])"),
    name("RolesFromDomain", "a function: rights(lambda user, action, object: …), which can look at `user.mail`"),
    name("RolesFromOwner", "the role `owner`: allow(roles = [\"owner\"], actions = [\"stop\"])"),
    name("AnyEndpointMatcher", "allow(roles = [\"admins\"], actions = [\"read\"])"),
    name("AnyControlEndpointMatcher", "allow(roles = [\"developers\"], actions = [\"force\", \"stop\", \"rebuild\"])"),
    name("ForceBuildEndpointMatcher", "allow(roles = [\"developers\"], actions = [\"force\"], builders = [\"test-*\"])"),
    name("RebuildBuildEndpointMatcher", "allow(roles = [\"developers\"], actions = [\"rebuild\"])"),
    name("StopBuildEndpointMatcher", "allow(roles = [\"owner\"], actions = [\"stop\"])"),
    name("ViewBuildsEndpointMatcher", "allow(roles = [\"developers\"], actions = [\"read\"])"),
    name("EnableSchedulerEndpointMatcher", "allow(roles = [\"operators\"], actions = [\"enable\"])"),
    // Steps.
    name("ShellCommand", "sh(\"make\"), with load(\"@stdlib//steps.star\", \"sh\")"),
    name(
        "ShellSequence",
        "commands([\"a\", \"b\"]), with load(\"@stdlib//tools.star\", \"commands\")",
    ),
    name(
        "ShellArg",
        "an element of commands([\"a\", \"b\"]), with load(\"@stdlib//tools.star\", \"commands\")",
    ),
    name("Compile", "sh(\"make\", name = \"compile\"), with load(\"@stdlib//steps.star\", \"sh\")"),
    name("Configure", "configure(), with load(\"@stdlib//tools.star\", \"configure\")"),
    name("CMake", "cmake() and cmake_build(), with load(\"@stdlib//tools.star\", \"cmake\", \"cmake_build\")"),
    name("MsBuild14", "msbuild(\"app.sln\"), with load(\"@stdlib//tools.star\", \"msbuild\")"),
    name("MsBuild141", "msbuild(\"app.sln\"), with load(\"@stdlib//tools.star\", \"msbuild\")"),
    name("MsBuild15", "msbuild(\"app.sln\"), with load(\"@stdlib//tools.star\", \"msbuild\")"),
    name("MsBuild16", "msbuild(\"app.sln\"), with load(\"@stdlib//tools.star\", \"msbuild\")"),
    name("MsBuild17", "msbuild(\"app.sln\"), with load(\"@stdlib//tools.star\", \"msbuild\")"),
    name("Sphinx", "sphinx(\"docs\"), with load(\"@stdlib//tools.star\", \"sphinx\")"),
    name("Test", "sh(\"make test\", name = \"test\"), with load(\"@stdlib//steps.star\", \"sh\")"),
    name(
        "SetPropertyFromCommand",
        "set_property_from_command(\"command\", property = \"name\"), with load(\"@stdlib//steps.star\", \"set_property_from_command\")",
    ),
    name("SetProperty", "set_property(\"name\", value), with load(\"@stdlib//steps.star\", \"set_property\")"),
    name("SetProperties", "a function that calls ctx.set_property(\"name\", value) for each"),
    name("MakeDirectory", "mkdir(\"path\"), with load(\"@stdlib//steps.star\", \"mkdir\")"),
    name("RemoveDirectory", "remove(\"path\"), with load(\"@stdlib//steps.star\", \"remove\")"),
    name("CopyDirectory", "copy(\"from\", \"to\"), with load(\"@stdlib//steps.star\", \"copy\")"),
    name("FileExists", "ctx.stat(\"path\") in a function; it is None if nothing is there"),
    name("Trigger", "trigger([\"scheduler\"]), with load(\"@stdlib//steps.star\", \"trigger\")"),
    name("Git", "git(\"https://…\"), with load(\"@stdlib//source.star\", \"git\")"),
    name("Mercurial", "hg(\"https://…\"), with load(\"@stdlib//hg.star\", \"hg\")"),
    name("SVN", "svn(\"https://…\", branch = \"trunk\"), with load(\"@stdlib//svn.star\", \"svn\")"),
    name("Bzr", "bzr(\"https://…\", branch = \"trunk\"), with load(\"@stdlib//bzr.star\", \"bzr\")"),
    name("GitCommit", "git_commit(\"message\"), with load(\"@stdlib//git_steps.star\", \"git_commit\")"),
    name("GitTag", "git_tag(\"v1\"), with load(\"@stdlib//git_steps.star\", \"git_tag\")"),
    name("GitPush", "git_push(\"https://…\", branch = \"main\"), with load(\"@stdlib//git_steps.star\", \"git_push\")"),
    name("GitDiffInfo", "git_changes(\"main\"), with load(\"@stdlib//git_steps.star\", \"git_changes\")"),
    name("GitHub", "git(\"https://github.com/…\"), with load(\"@stdlib//source.star\", \"git\")"),
    name("MasterShellCommand", "a builder on a worker that runs beside the master; no command runs in the master itself"),
    name(
        "StringDownload",
        "write_file(\"path\", \"text\"), with load(\"@stdlib//steps.star\", \"write_file\")",
    ),
    name(
        "JSONStringDownload",
        "write_file(\"path\", {…}), with load(\"@stdlib//steps.star\", \"write_file\")",
    ),
    name(
        "JSONPropertiesDownload",
        "write_file(\"path\", lambda ctx: {\"properties\": ctx.properties()}), with load(\"@stdlib//steps.star\", \"write_file\")",
    ),
    name("FileUpload", "upload(\"path\"), with load(\"@stdlib//steps.star\", \"upload\")"),
    name("DirectoryUpload", "upload(\"path\"), with load(\"@stdlib//steps.star\", \"upload\")"),
    name("MultipleFileUpload", "upload(\"a\", \"b/*\"), with load(\"@stdlib//steps.star\", \"upload\")"),
    name(
        "FileDownload",
        "download(\"artifact\", builder = \"name\") of an artifact, or write_file; with load(\"@stdlib//steps.star\", \"download\")",
    ),
    name("HTTPStep", "sh([\"curl\", …]), with load(\"@stdlib//steps.star\", \"sh\")"),
    name("BuildStep", "a function of `ctx`: def my_step(ctx): …, listed as steps = [my_step]"),
    // Values that depend on the build.
    name("Interpolate", "interpolate(\"…%(prop:name)s…\"), with load(\"@stdlib//text.star\", \"interpolate\")"),
    name("WithProperties", "interpolate(\"…%(prop:name)s…\"), with load(\"@stdlib//text.star\", \"interpolate\")"),
    name("Property", "a function: lambda ctx: ctx.property(\"name\")"),
    name("renderer", "a plain function of `ctx`, passed by its name; no decorator is needed"),
    name("Transform", "a function: lambda ctx: …"),
    name("FlattenList", "a function that joins the lists: lambda ctx: a + b"),
    name("URLForBuild", "interpolate(\"%(build:url)s\"), with load(\"@stdlib//text.star\", \"interpolate\")"),
    // Schedulers.
    name(
        "SingleBranchScheduler",
        "on_change(\"name\", builders = […], branches = [\"main\"]), with load(\"@stdlib//schedulers.star\", \"on_change\")",
    ),
    name(
        "AnyBranchScheduler",
        "any_branch(\"name\", builders = […]), with load(\"@stdlib//schedulers.star\", \"any_branch\")",
    ),
    name(
        "Dependent",
        "dependent(\"name\", upstream = \"scheduler\", builders = […]), with load(\"@stdlib//schedulers.star\", \"dependent\")",
    ),
    name(
        "Periodic",
        "periodic(\"name\", every = \"12h\", builders = […]), with load(\"@stdlib//schedulers.star\", \"periodic\")",
    ),
    name(
        "Nightly",
        "nightly(\"name\", at = \"02:30\", builders = […]), with load(\"@stdlib//schedulers.star\", \"nightly\")",
    ),
    name("NightlyTriggerable", "a nightly and a triggerable scheduler for the same builders"),
    name(
        "Triggerable",
        "triggerable(\"name\", builders = […]), with load(\"@stdlib//schedulers.star\", \"triggerable\")",
    ),
    name(
        "ForceScheduler",
        "force(\"name\", builders = […], params = […]), with load(\"@stdlib//schedulers.star\", \"force\")",
    ),
    name("Try_Userpass", "force a build of the branch").missing(),
    name("Try_Jobdir", "force a build of the branch").missing(),
    name("ChangeFilter", "change_filter(branch = [\"main\"])"),
    name("StringParameter", "text_param(\"name\"), with load(\"@stdlib//schedulers.star\", \"text_param\")"),
    name("TextParameter", "textarea_param(\"name\"), with load(\"@stdlib//schedulers.star\", \"textarea_param\")"),
    name("IntParameter", "int_param(\"name\"), with load(\"@stdlib//schedulers.star\", \"int_param\")"),
    name("BooleanParameter", "bool_param(\"name\"), with load(\"@stdlib//schedulers.star\", \"bool_param\")"),
    name(
        "ChoiceStringParameter",
        "choice_param(\"name\", [\"a\", \"b\"]), with load(\"@stdlib//schedulers.star\", \"choice_param\")",
    ),
    name(
        "FixedParameter",
        "fixed_param(\"name\", \"value\"), with load(\"@stdlib//schedulers.star\", \"fixed_param\")",
    ),
    name("NestedParameter", "list the parameters one after the other").missing(),
    name("Project", "project(\"app\", title = \"The app\"), and builder(…, project = \"app\")"),
    name("Codebase", "codebase(\"app\", repository = \"https://…\", project = \"app\")"),
    name("CodebaseParameter", "every form asks for a branch and a revision").not_needed(),
    name("InheritBuildParameter", "rebuild the build on its page").missing(),
    // Change sources and messages.
    name(
        "GitPoller",
        "git_poller(\"https://…\", branches = [\"main\"]), with load(\"@stdlib//source.star\", \"git_poller\")",
    ),
    name(
        "HgPoller",
        "hg_poller(\"https://…\"), with load(\"@stdlib//hg.star\", \"hg_poller\")",
    ),
    name(
        "SVNPoller",
        "svn_poller(\"https://…\", layout = \"branches\"), with load(\"@stdlib//svn.star\", \"svn_poller\")",
    ),
    name("PBChangeSource", "change_hook(\"base\", user = …, password = secret(…)), or `starwright sendchange`"),
    name("change_hook_dialects", "change_hook(\"github\", secret = secret(\"hook\")), one for each dialect"),
    name("GitHubPullrequestPoller", "pull_request_poller(\"github\", \"owner/repo\", token = secret(…))"),
    name("BitbucketPullrequestPoller", "pull_request_poller(\"bitbucket\", \"owner/repo\", token = secret(…))"),
    name("GitHubEventHandler", "change_hook(\"github\", secret = …, changes = FUNCTION), a function of the event"),
    name("MailNotifier", "mail(to = [\"dev@example.org\"]), with load(\"@stdlib//notify.star\", \"mail\")"),
    name(
        "GitHubStatusPush",
        "github_status(token = secret(\"github\")), with load(\"@stdlib//forges.star\", \"github_status\")",
    ),
    name(
        "GitHubCommentPush",
        "pull_request_comment(\"github\", token = secret(\"github\")), with load(\"@stdlib//forges.star\", \"pull_request_comment\")",
    ),
    name(
        "GitLabStatusPush",
        "gitlab_status(token = secret(\"gitlab\")), with load(\"@stdlib//forges.star\", \"gitlab_status\")",
    ),
    name(
        "GiteaStatusPush",
        "gitea_status(api = \"https://…\", token = secret(\"gitea\")), with load(\"@stdlib//forges.star\", \"gitea_status\")",
    ),
    name(
        "BitbucketStatusPush",
        "bitbucket_status(token = secret(\"bitbucket\")), with load(\"@stdlib//forges.star\", \"bitbucket_status\")",
    ),
    name(
        "BitbucketServerStatusPush",
        "bitbucketserver_status(api = \"https://…\", token = secret(\"bitbucket\")), with load(\"@stdlib//forges.star\", \"bitbucketserver_status\")",
    ),
    name(
        "BitbucketServerCoreAPIStatusPush",
        "bitbucketserver_status(api = \"https://…\", token = secret(\"bitbucket\")), with load(\"@stdlib//forges.star\", \"bitbucketserver_status\")",
    ),
    name(
        "BitbucketServerPRCommentPush",
        "pull_request_comment(\"bitbucketserver\", api = \"https://…\", token = secret(\"bitbucket\")), with load(\"@stdlib//forges.star\", \"pull_request_comment\")",
    ),
    name(
        "GerritStatusPush",
        "gerrit_review(api = \"https://…\", user = \"ci\", password = secret(\"gerrit\")), with load(\"@stdlib//forges.star\", \"gerrit_review\")",
    ),
    name("GerritVerifyStatusPush", "http(url = …, request = …), with load(\"@stdlib//notify.star\", \"http\")"),
    name("ZulipStatusPush", "zulip(server = …, stream = …), with load(\"@stdlib//chats.star\", \"zulip\")"),
    name("BuildStatusGenerator", "`on` of the notifier, and a function for the text"),
    name("BuildStartEndStatusGenerator", "on = [\"start\", \"always\"] of the notifier"),
    name("BuildRequestGenerator", "on = [\"pending\"] of the notifier"),
    name("BuildSetStatusGenerator", "on = [\"set\"] of the notifier"),
    name("MessageFormatter", "a function of the message, for example mail(body = lambda message: …)"),
    name("MessageFormatterFunction", "a function of the message, for example mail(body = lambda message: …)"),
    name("MessageFormatterRenderable", "a function of the message, for example mail(body = lambda message: …)"),
    name("IRC", "").missing(),
    name("HttpStatusPush", "http(\"https://…\"), with load(\"@stdlib//notify.star\", \"http\")"),
    name("SUCCESS", "the word \"success\""),
    name("WARNINGS", "the word \"warnings\""),
    name("FAILURE", "the word \"failure\""),
    name("SKIPPED", "the word \"skipped\""),
    name("EXCEPTION", "the word \"exception\""),
    name("RETRY", "the word \"retry\""),
    name("CANCELLED", "the word \"cancelled\""),
    // Arguments of steps.
    argument("doStepIf", "do_if = lambda ctx: …"),
    argument("hideStepIf", "hide_if = lambda ctx, outcome: outcome == \"skipped\""),
    argument("haltOnFailure", "halt_on_failure"),
    argument("flunkOnFailure", "flunk_on_failure"),
    argument("flunkOnWarnings", "flunk_on_warnings"),
    argument("warnOnFailure", "warn_on_failure"),
    argument("warnOnWarnings", "warn_on_warnings"),
    argument("alwaysRun", "always_run"),
    argument("decodeRC", "exit_codes = {0: \"success\", 2: \"warnings\"}"),
    argument("maxTime", "timeout = \"1h\" (Buildbot's `timeout` is `idle_timeout`)"),
    argument("maxLines", "lines_max"),
    argument("usePTY", "pty = True"),
    argument("sigtermTime", "grace = \"10s\""),
    argument("interruptSignal", "grace = \"10s\", the time between TERM and KILL"),
    argument("initialStdin", "stdin = \"text\""),
    argument("logfiles", "log_files = {\"name\": \"path\"}"),
    argument("lazylogfiles", "log_files = {\"name\": \"path\"}; a log begins when its file appears"),
    argument("want_stdout", "log_stdout"),
    argument("want_stderr", "log_stderr"),
    argument("logEnviron", "a log shows only the variables that the configuration sets").not_needed(),
    argument("description", "name for the text on pages, and ctx.set_summary(\"…\") in a function for what happened"),
    argument("descriptionDone", "ctx.set_summary(\"…\") in a function"),
    argument("descriptionSuffix", "name"),
    argument("extract_fn", "extract = lambda result: {\"name\": result.stdout.strip()}"),
    argument("schedulerNames", "the list itself: trigger([\"scheduler\"])"),
    argument("waitForFinish", "wait = True"),
    argument("set_properties", "properties = {\"name\": value}"),
    argument("copy_properties", "properties = {\"name\": lambda ctx: ctx.property(\"name\")}"),
    argument("updateSourceStamp", "stamps = lambda ctx: […]; by default, builds get what this build checked out"),
    argument("alwaysUseLatest", "latest = True"),
    argument("repourl", "the address itself: git(\"https://…\") or git_poller(\"https://…\")"),
    argument("method", "mode = \"copy\"; or mode = \"full\" with clean = \"all\", \"untracked\" or \"clobber\""),
    argument("shallow", "depth = 1"),
    argument("retry", "fetch_retries = 2, fetch_delay = \"10s\""),
    argument("retryFetch", "fetch_retries = 2, fetch_delay = \"10s\""),
    argument("getDescription", "describe = True, which sets `commit-description`"),
    // Arguments of builders and workers.
    argument("workername", "workers = [\"name\"]"),
    argument("workernames", "workers = [\"name\"]"),
    argument("builddir", "dir"),
    argument("workerbuilddir", "dir"),
    argument("factory", "steps = […]"),
    argument("collapseRequests", "collapse"),
    argument("canStartBuild", "can_start = lambda builder, worker, request: …"),
    argument("nextBuild", "next_build = lambda builder, requests: requests[0]"),
    argument("nextWorker", "next_worker = lambda builder, workers, request: workers[0]"),
    argument("max_builds", "slots"),
    argument("notify_on_missing", "").missing(),
    argument("keepalive_interval", "the master always checks that its workers are alive").not_needed(),
    argument("defaultProperties", "properties"),
    // Arguments of schedulers and filters.
    argument("builderNames", "builders"),
    argument("treeStableTimer", "quiet = \"1m\""),
    argument("fileIsImportant", "important = [\"src/**\"], or a function of (change)"),
    argument("onlyImportant", "only_important"),
    argument("onlyIfChanged", "only_if_changed"),
    argument("periodicBuildTimer", "every = \"12h\""),
    argument("hour", "at = \"02:30\", or cron = \"30 2 * * *\""),
    argument("minute", "at = \"02:30\", or cron = \"30 2 * * *\""),
    argument("dayOfWeek", "days = [\"mon\"], or cron = \"30 2 * * 1\""),
    argument("dayOfMonth", "cron = \"30 2 1 * *\""),
    argument("filter_fn", "function = lambda change: …"),
    argument("branch_re", "branch = matches(\"release/.*\")"),
    argument("project_re", "project = matches(\"…\")"),
    argument("repository_re", "repository = matches(\"…\")"),
    argument("category_re", "category = matches(\"…\")"),
    argument("branch_fn", "function = lambda change: …"),
    argument("buttonName", "button"),
    argument("reasonString", "reason"),
    argument("pollInterval", "every = \"5m\""),
    argument("pollinterval", "every = \"5m\""),
    argument("pollAtLaunch", "a poller always polls when the master starts").not_needed(),
    // Arguments of mail.
    argument("fromaddr", "sender"),
    argument("extraRecipients", "to"),
    argument("sendToInterestedUsers", "blame"),
    argument("relayhost", "host"),
    argument("smtpPort", "port"),
    argument("smtpUser", "user"),
    argument("smtpPassword", "password"),
    argument("useTls", "tls = \"starttls\""),
    argument("addLogs", "log_lines = 50"),
    // What a step is given.
    member("getProperty", "ctx.property(\"name\")"),
    member("setProperty", "ctx.set_property(\"name\", value)"),
    member("hasProperty", "ctx.property(\"name\") != None"),
    member("getProperties", "ctx.properties()"),
    member("getBuild", "ctx itself: ctx.branch, ctx.changes, ctx.number"),
    member("build", "ctx itself: ctx.branch, ctx.changes, ctx.number"),
    member("addURL", "ctx.add_url(\"name\", \"https://…\")"),
    member("addCompleteLog", "ctx.log(\"name\", \"text\")"),
    member("addLog", "ctx.log(\"name\", \"text\")"),
    member("addStep", "ctx.step(sh(\"…\"))"),
    member("addStepsAfterCurrentStep", "ctx.step(sh(\"…\")) for each, or ctx.parallel([…])"),
    member("runCommand", "ctx.run(\"command\")"),
    member("allChanges", "ctx.changes"),
    member("allFiles", "ctx.changes, each with `files`; or ctx.changed(\"src/**\")"),
    member("getWorkerName", "ctx.worker.name"),
    member("workername", "ctx.worker.name"),
    member("results", "ctx.outcome"),
];

/// The table of the guide, as Markdown.
pub(in crate::config) fn guide_table() -> String {
    let mut text = String::new();
    for (place, title) in [
        (Place::Name, "### Classes, functions and constants"),
        (Place::Argument, "### Arguments"),
        (Place::Member, "### What a step is given"),
    ] {
        text += &format!("\n{title}\n\n| Buildbot | Starwright |\n|---|---|\n");
        for row in ROWS.iter().filter(|row| row.place == place) {
            text += &format!("| `{}` | {} |\n", row.name, row.in_table().replace('|', "\\|"));
        }
    }
    text
}

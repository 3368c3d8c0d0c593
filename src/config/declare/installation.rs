//! `master`, `web`, `database`, `secrets`: what concerns the installation as a whole.

use std::net::ToSocketAddrs as _;

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::{Call, is_callable};
use super::super::collect::Kind;
use super::super::signature::{Native, optional};
use crate::base::{AddressRange, Authority, Host};
use crate::model::{CollapsePolicy, DatabasePlan, RetentionPlan, SessionsPlan};

/// What `collapse` may be; `True` and `False` say the first two as well.
pub(super) const COLLAPSE_KIND: &str = "\"same_source\", \"never\" or a function of (builder, first, second)";

pub(super) static MASTER: Native = Native {
    name: "master",
    doc: "Sets the installation's name and its address.",
    example: "master(title = \"SysGrove\", url = \"https://ci.example.org/\")",
    positional: 0,
    kinds: &[],
    params: &[
        optional("title", "text", "\"Starwright\"", "The name shown at the top of pages and in mails."),
        optional("title_url", "text", "None", "Where that name links to."),
        optional(
            "url",
            "text",
            "None",
            "The address at which people reach the pages; by default, the listening address.",
        ),
        optional(
            "reconnect_grace",
            "length of time",
            "\"10m\"",
            "How long to wait for a lost worker before its builds are given up and queued again.",
        ),
        optional(
            "collapse",
            COLLAPSE_KIND,
            "\"same_source\"",
            "How waiting requests of one builder are collapsed into one build, unless the builder sets this itself.",
        ),
        optional(
            "log_max",
            "size",
            "None",
            "How much text a log of a command keeps, such as \"100MiB\"; of a longer one, the middle is left out. None: \
             about 80 MiB on disk, compressed.",
        ),
    ],
};

pub(super) static WEB: Native = Native {
    name: "web",
    doc: "Sets where the pages and the API are served.",
    example: "web(listen = \"0.0.0.0:8010\")\naccess(\"open\")",
    positional: 0,
    kinds: &[],
    params: &[
        optional("listen", "text", "\"127.0.0.1:8010\"", "HOST:PORT; `--listen` on the command line takes precedence."),
        optional(
            "allowed_origins",
            "list of text",
            "[]",
            "Shell patterns of further origins whose pages may call the API.",
        ),
        optional(
            "hosts",
            "list of text",
            "[]",
            "Further host names by which people reach the pages. The host of `master(url = …)`, IP addresses and \
             localhost are always accepted. `*.example.org` matches all its subdomains. Requests for other hosts are \
             rejected.",
        ),
        optional(
            "trusted_proxies",
            "list of text",
            "[]",
            "Addresses or ranges (`10.0.0.0/8`) of reverse proxies. Their `X-Forwarded-For`, `X-Forwarded-Host` and \
             `Forwarded` headers are trusted, and they are exempt from the limits per address.",
        ),
        optional("session_idle", "length of time", "\"1d\"", "How long somebody stays logged in without a request."),
        optional("session_lifetime", "length of time", "\"7d\"", "After this time they must log in again in any case."),
    ],
};

pub(super) static DATABASE: Native = Native {
    name: "database",
    doc: "Sets how long history is kept. The newest build of each builder is always kept.",
    example: "database(keep_days = 90, keep_builds = 500, keep_log_days = 30)",
    positional: 0,
    kinds: &[],
    params: &[
        optional("keep_days", "whole number", "None", "Builds older than this are removed."),
        optional(
            "keep_builds",
            "whole number",
            "None",
            "How many builds of each builder to keep; older ones are removed.",
        ),
        optional(
            "keep_log_days",
            "whole number",
            "None",
            "Logs older than this are removed, even if their builds are kept.",
        ),
        optional(
            "keep_artifact_days",
            "whole number",
            "None",
            "Artifacts older than this are removed, even if their builds are kept. Each builder's newest build that has \
             artifacts keeps them. `builder(artifacts = …)` overrides this.",
        ),
        optional("artifact_upload_mib", "whole number", "4096", "The largest upload, in MiB."),
        optional("artifact_build_mib", "whole number", "16384", "The most MiB of artifacts that a build may have."),
        optional("artifact_builder_mib", "whole number", "None", "The same for all builds of a builder together."),
        optional("artifact_total_mib", "whole number", "None", "The same for the whole installation."),
    ],
};

pub(super) static SECRETS: Native = Native {
    name: "secrets",
    doc: "Sets where secrets are looked up: first in the directory, then in the environment.",
    example: "secrets(dir = \"/etc/starwright/secrets\", env_prefix = \"CI_SECRET_\")",
    positional: 0,
    kinds: &[],
    params: &[
        optional("dir", "text", "\"secrets\"", "Directory with one file per secret, relative to the configuration."),
        optional(
            "env_prefix",
            "text",
            "None",
            "Prefix of the master's environment variables that hold secrets: the variable for `linux-1` is PREFIX + \
             `LINUX_1`.",
        ),
    ],
};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn master<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&MASTER, args, eval)?;
        call.collector.declare(Kind::Once, MASTER.name, &call.site);
        let collapse = collapse(&mut call);
        let url = call.string("url").map(|url| if url.ends_with('/') { url } else { url + "/" });
        check_url(&call, "url", url.as_deref());
        let title_url = call.string("title_url");
        if title_url.as_deref().is_none_or(|url| !url.to_ascii_lowercase().starts_with("mailto:")) {
            check_url(&call, "title_url", title_url.as_deref());
        }
        let log_bytes_max = super::log_max::log_bytes_max(&call);
        let plan = &mut call.collector.plan.borrow_mut().master;
        plan.title = call.string("title").unwrap_or_else(|| plan.title.clone());
        plan.title_url = title_url;
        plan.url = url;
        plan.reconnect_grace = call.span("reconnect_grace").unwrap_or(plan.reconnect_grace);
        plan.collapse = collapse.unwrap_or_else(|| plan.collapse.clone());
        plan.log_bytes_max = log_bytes_max.or(plan.log_bytes_max);
        Ok(NoneType)
    }

    fn web<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let call = Call::open(&WEB, args, eval)?;
        call.collector.declare(Kind::Once, WEB.name, &call.site);
        let listen = call.string("listen");
        if listen.as_ref().is_some_and(|listen| !is_address(listen)) {
            call.wrong("listen", "must be HOST:PORT", Some("for example \"127.0.0.1:8010\"".to_owned()));
        }
        let hosts = hosts(&call);
        let trusted_proxies = trusted_proxies(&call);
        let usual = SessionsPlan::default();
        let sessions = SessionsPlan {
            idle: call.span_above_zero("session_idle").unwrap_or(usual.idle),
            lifetime: call.span_above_zero("session_lifetime").unwrap_or(usual.lifetime),
        };
        call.collector.plan.borrow_mut().logins.sessions = sessions;
        let plan = &mut call.collector.plan.borrow_mut().web;
        plan.listen = listen;
        plan.allowed_origins = call.strings("allowed_origins").unwrap_or_default();
        plan.hosts = hosts;
        plan.trusted_proxies = trusted_proxies;
        Ok(NoneType)
    }

    fn database<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let call = Call::open(&DATABASE, args, eval)?;
        call.collector.declare(Kind::Once, DATABASE.name, &call.site);
        let plan = &mut call.collector.plan.borrow_mut().database;
        let retention = RetentionPlan {
            days: call.count_of("keep_days", 1),
            builds: call.count_of("keep_builds", 1),
            log_days: call.count_of("keep_log_days", 1),
            artifact_days: call.count_of("keep_artifact_days", 1),
            // Builders say it, before or after this.
            artifacts_of: std::mem::take(&mut plan.retention.artifacts_of),
        };
        *plan = DatabasePlan { retention, artifacts: super::artifacts::limits(&call) };
        Ok(NoneType)
    }

    fn secrets<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let call = Call::open(&SECRETS, args, eval)?;
        call.collector.declare(Kind::Once, SECRETS.name, &call.site);
        let plan = &mut call.collector.plan.borrow_mut().secrets;
        plan.dir = call.string("dir");
        plan.env_prefix = call.string("env_prefix");
        Ok(NoneType)
    }
}

/// The argument `collapse` of `master` and `builder`.
pub(super) fn collapse(call: &mut Call<'_, '_, '_, '_, '_>) -> Option<CollapsePolicy> {
    let value = call.value("collapse")?;
    if value.unpack_str().is_some() {
        let words = [("same_source", false), ("never", true)];
        let never = call.word("collapse", &words)?;
        return Some(if never { CollapsePolicy::Never } else { CollapsePolicy::SameSource });
    }
    // Buildbot's users know it as a switch.
    if let Some(merge) = value.unpack_bool() {
        return Some(if merge { CollapsePolicy::SameSource } else { CollapsePolicy::Never });
    }
    if !is_callable(value) {
        call.wrong_kind(call.arg("collapse"), "collapse", COLLAPSE_KIND, value);
        return None;
    }
    call.function("collapse", &["builder", "first", "second"]).map(CollapsePolicy::Function)
}

/// An address that becomes a link: of a web page, with a host, and without what ends or hides a part of it.
pub(super) fn check_url(call: &Call<'_, '_, '_, '_, '_>, name: &'static str, url: Option<&str>) {
    let Some(url) = url else { return };
    let lower = url.to_ascii_lowercase();
    if !lower.starts_with("http://") && !lower.starts_with("https://") {
        call.wrong(name, "must begin with http:// or https://", None);
    } else if url.chars().any(|c| c.is_whitespace() || c.is_control()) || Authority::of_url(url).is_none() {
        let hint = "for example \"https://ci.example.org/\"".to_owned();
        call.wrong(name, "has no valid host", Some(hint));
    }
}

/// The argument `hosts` of `web`, in lower case.
fn hosts(call: &Call<'_, '_, '_, '_, '_>) -> Vec<String> {
    let hosts = call.strings("hosts").unwrap_or_default();
    for host in &hosts {
        if !matches!(Host::parse(host.strip_prefix("*.").unwrap_or(host)), Some(Host::Name(_))) {
            let hint = "a name without port, for example \"ci.example.org\" or \"*.example.org\"; literal addresses are \
                        always taken";
            call.wrong("hosts", &format!("has {host:?}, which is not a host name"), Some(hint.to_owned()));
        }
    }
    hosts.into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect()
}

/// The argument `trusted_proxies` of `web`.
fn trusted_proxies(call: &Call<'_, '_, '_, '_, '_>) -> Vec<String> {
    let proxies = call.strings("trusted_proxies").unwrap_or_default();
    for proxy in proxies.iter().filter(|proxy| AddressRange::parse(proxy).is_none()) {
        let hint = "for example \"127.0.0.1\" or \"10.0.0.0/8\"".to_owned();
        call.wrong("trusted_proxies", &format!("has {proxy:?}, which is neither an address nor a range"), Some(hint));
    }
    proxies
}

/// `HOST:PORT`, without asking any name server.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let literal = host.starts_with('[') && text.to_socket_addrs().is_ok();
    port.parse::<u16>().is_ok() && (literal || (!host.is_empty() && !host.contains(':')))
}

//! Logins that a server elsewhere decides: a real OpenID Connect provider, a real directory server, and a stand-in for
//! GitHub, which cannot be had: it answers as GitHub's documentation says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value as Json, json};
use starwright::testing::auth::{NewToken, NewUser, Tokens, Users};
use starwright::testing::base::{Clock as _, SystemClock};
use starwright::testing::model::{
    Action, ForgeKind, ForgeLogin, LdapLogin, LoginKind, LoginPlan, OidcLogin, RulePlan, SourcePlace, Text,
};
use starwright::testing::web::WebLimits;

use super::served::Served;
use super::world::World;
use crate::support::http::PATIENCE;
use crate::support::node::node_with;
use crate::support::slapd::Slapd;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/oidc.mjs");
/// The host in the address of the pages, which stands for the served site.
const HOST: &str = "ci.example.org";

fn served(kind: LoginKind) -> Served {
    let mut world = World::empty();
    world.plan.logins.ways = vec![LoginPlan { name: "sso".to_owned(), kind, place: SourcePlace::default() }];
    world.plan.rights.rules.push(RulePlan::default());
    Served::with_accounts(WebLimits::default(), world.master(), tempfile::tempdir().unwrap())
}

fn whoami(served: &Served, headers: &[(&str, &str)]) -> Json {
    served.ask("GET", "/api/starwright/v1/whoami", headers, "").json()
}

/// A provider of OpenID Connect; killed when dropped.
struct Provider {
    child: Child,
    issuer: String,
}

impl Provider {
    fn start() -> Self {
        Self::signing("RS256")
    }

    /// One that signs ID tokens in this way.
    fn signing(algorithm: &str) -> Self {
        let modules = node_with("oidc-provider@9.13.3");
        let callback = format!("http://{HOST}/login/sso/callback");
        let mut command = Command::new("node");
        command.arg(SCRIPT).arg(modules).arg(callback).arg(algorithm).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("node: {error}; `make tools` installs it"));
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, issuer: format!("http://127.0.0.1:{}", port.trim()) }
    }

    fn login(&self) -> OidcLogin {
        OidcLogin {
            title: "Sign in with SSO".to_owned(),
            issuer: self.issuer.clone(),
            client_id: "starwright".to_owned(),
            client_secret: Some(Text::from("the secret of the client")),
            scopes: vec!["profile".to_owned(), "email".to_owned()],
            user_claim: "preferred_username".to_owned(),
            groups_claim: "groups".to_owned(),
            ..OidcLogin::default()
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}

/// What a browser does: keeps cookies, follows redirects.
struct Browser<'a> {
    served: &'a Served,
    cookies: BTreeMap<(String, String), String>,
}

struct Page {
    status: u16,
    location: Option<String>,
    body: String,
}

impl<'a> Browser<'a> {
    fn new(served: &'a Served) -> Self {
        Self { served, cookies: BTreeMap::new() }
    }

    fn get(&mut self, url: &str) -> Page {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let address = if host == HOST { self.served.address.to_string() } else { host.to_owned() };
        let cookies: Vec<String> =
            self.cookies.iter().filter(|((of, _), _)| of == host).map(|((_, n), v)| format!("{n}={v}")).collect();
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let cookies = cookies.join("; ");
        let head = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nCookie: {cookies}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut page =
            Page { status: head.split(' ').nth(1).unwrap().parse().unwrap(), location: None, body: body.to_owned() };
        for line in head.lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "set-cookie" => {
                    let (cookie, value) = value.split(';').next().unwrap().split_once('=').unwrap();
                    self.cookies.insert((host.to_owned(), cookie.to_owned()), value.to_owned());
                }
                "location" if value.starts_with('/') => page.location = Some(format!("http://{host}{value}")),
                "location" => page.location = Some(value.to_owned()),
                _ => {}
            }
        }
        page
    }

    /// Follows redirects until one leads to an address that begins like this.
    fn follow_to(&mut self, from: &str, end: &str) -> String {
        let mut url = from.to_owned();
        for _ in 0..20 {
            let page = self.get(&url);
            url = page.location.unwrap_or_else(|| panic!("{url} leads nowhere: {} {}", page.status, page.body));
            if url.starts_with(end) {
                return url;
            }
        }
        panic!("{from} never leads to {end}");
    }

    fn session(&self) -> String {
        self.cookies.get(&(HOST.to_owned(), "starwright".to_owned())).cloned().unwrap_or_default()
    }
}

#[test]
fn a_real_provider_says_who_somebody_is() {
    let provider = Provider::start();
    let served = served(LoginKind::Oidc(Box::new(provider.login())));
    let page = served.page("/login?next=/builders/x").text();
    assert!(page.contains(r#"href="/login/sso?next=/builders/x""#) && page.contains("Sign in with SSO"), "{page}");

    let mut browser = Browser::new(&served);
    let callback = browser
        .follow_to(&format!("http://{HOST}/login/sso?next=/builders/x"), &format!("http://{HOST}/login/sso/callback"));
    let back = browser.get(&callback);
    assert_eq!(
        (back.status, back.location.as_deref()),
        (303, Some("http://ci.example.org/builders/x")),
        "{}",
        back.body
    );
    let who = whoami(&served, &[("Cookie", &format!("starwright={}", browser.session()))]);
    let ann = json!({"user": "ann", "full_name": "Ann Lee", "mail": "ann@example.org", "groups": ["dev"],
        "login": "provider", "token": null});
    assert_eq!(who, ann, "and is not made an administrator by a group");

    let again = browser.get(&callback);
    assert_eq!(again.status, 400, "a code is good once");
}

#[test]
fn somebody_at_a_provider_is_not_the_local_user_of_that_name() {
    let provider = Provider::start();
    let mut world = World::empty();
    let way = |name: &str, kind| LoginPlan { name: name.to_owned(), kind, place: SourcePlace::default() };
    let sso = LoginKind::Oidc(Box::new(provider.login()));
    world.plan.logins.ways = vec![way("local", LoginKind::Local), way("sso", sso)];
    world.plan.rights.rules.push(RulePlan::default());
    let data = tempfile::tempdir().unwrap();
    let roles = ["admin".to_owned()].into();
    let users = Users::of(data.path());
    users.add("ann", "a good password", NewUser { roles, ..NewUser::default() }, SystemClock.now()).unwrap();
    let new = NewToken { actions: [Action::Read].into(), user: Some("ann".to_owned()), ..NewToken::default() };
    Tokens::of(data.path()).create("deploy", new, SystemClock.now()).unwrap();
    let served = Served::with_accounts(WebLimits::default(), world.master(), data);
    let mut browser = Browser::new(&served);
    let end = format!("http://{HOST}/login/sso/callback");
    let callback = browser.follow_to(&format!("http://{HOST}/login/sso"), &end);
    assert_eq!(browser.get(&callback).status, 303);
    let cookie = format!("starwright={}", browser.session());
    let page = served.ask("GET", "/account", &[("Cookie", &cookie)], "").text();
    assert!(page.contains("kept elsewhere") && page.contains("You have no tokens"), "{page}");
    let origin = format!("http://{}", served.address);
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", &*cookie), ("Origin", &*origin)];
    let send = |path: &str, body: &str| served.ask("POST", path, &form, body).status;
    assert_eq!(send("/account/tokens", "name=mine&scope=force&days=30"), 400, "it would be the local user's");
    assert_eq!(send("/account/tokens/deploy/revoke", ""), 404);
    let change = "present=a+good+password&new=another+password&again=another+password";
    assert_eq!(send("/account/password", change), 400);
}

#[test]
fn id_tokens_may_be_signed_by_elliptic_curves() {
    for algorithm in ["ES256", "EdDSA"] {
        let provider = Provider::signing(algorithm);
        let served = served(LoginKind::Oidc(Box::new(provider.login())));
        let mut browser = Browser::new(&served);
        let end = format!("http://{HOST}/login/sso/callback");
        let callback = browser.follow_to(&format!("http://{HOST}/login/sso"), &end);
        let page = browser.get(&callback);
        assert_eq!(page.status, 303, "{algorithm}: {}", page.body);
        let who = whoami(&served, &[("Cookie", &format!("starwright={}", browser.session()))]);
        assert_eq!(who["user"], "ann", "{algorithm}");
    }
}

#[test]
fn a_login_is_bound_to_the_browser_that_began_it() {
    let provider = Provider::start();
    let served = served(LoginKind::Oidc(Box::new(provider.login())));
    let (mut victim, mut attacker) = (Browser::new(&served), Browser::new(&served));
    let end = format!("http://{HOST}/login/sso/callback");
    let callback = attacker.follow_to(&format!("http://{HOST}/login/sso"), &end);
    let page = victim.get(&callback);
    assert_eq!((page.status, victim.session().as_str()), (400, ""), "{}", page.body);
    assert!(page.body.contains("begun in another browser"), "{}", page.body);
    let mut forged = Browser::new(&served);
    forged.get(&format!("http://{HOST}/login/sso"));
    for query in ["", "?code=x", "?state=x&code=y", "?error=access_denied&state=x"] {
        assert_eq!(forged.get(&format!("{end}{query}")).status, 400, "{query}");
    }
}

#[test]
fn what_does_not_hold_at_the_provider_does_not_hold_here() {
    let provider = Provider::start();
    let log_in = |login: OidcLogin| {
        let served = served(LoginKind::Oidc(Box::new(login)));
        let mut browser = Browser::new(&served);
        let end = format!("http://{HOST}/login/sso/callback");
        let callback = browser.follow_to(&format!("http://{HOST}/login/sso"), &end);
        let page = browser.get(&callback);
        assert_eq!(browser.session(), "", "{}", page.body);
        (page.status, page.body)
    };
    let wrong_secret = OidcLogin { client_secret: Some(Text::from("a wrong secret")), ..provider.login() };
    let (status, body) = log_in(wrong_secret);
    assert!(status == 502 && !body.contains("a wrong secret"), "{status} {body}");
    let outsider = OidcLogin { only_groups: vec!["board".to_owned()], ..provider.login() };
    assert_eq!(log_in(outsider).0, 403);
    let nameless = OidcLogin { user_claim: "nickname".to_owned(), ..provider.login() };
    assert_eq!(log_in(nameless).0, 502);
    let nobody =
        served(LoginKind::Oidc(Box::new(OidcLogin { issuer: "http://127.0.0.1:9".to_owned(), ..provider.login() })));
    assert_eq!(nobody.page("/login/sso").status, 502, "nobody answers there");
    assert_eq!(nobody.page("/login/other").status, 404);
}

fn directory(slapd: &Slapd) -> LdapLogin {
    LdapLogin {
        url: slapd.url.clone(),
        user_base: "ou=people,dc=example,dc=org".to_owned(),
        user_filter: "(uid={user})".to_owned(),
        bind_dn: Some("cn=reader,dc=example,dc=org".to_owned()),
        bind_password: Some(Text::from("the reader's password")),
        name_attribute: "uid".to_owned(),
        full_name_attribute: "cn".to_owned(),
        mail_attribute: "mail".to_owned(),
        group_base: Some("ou=groups,dc=example,dc=org".to_owned()),
        group_filter: "(member={dn})".to_owned(),
        group_attribute: "cn".to_owned(),
        ..LdapLogin::default()
    }
}

fn log_in(served: &Served, user: &str, password: &str) -> (u16, Json) {
    let body = json!({"user": user, "password": password}).to_string();
    let answer = served.ask("POST", "/api/starwright/v1/login", &[("Content-Type", "application/json")], &body);
    (answer.status, answer.json())
}

#[test]
fn a_real_directory_server_checks_names_and_passwords() {
    let slapd = Slapd::start();
    let searching = directory(&slapd);
    let by_name = LdapLogin {
        user_dn: Some("uid={user},ou=people,dc=example,dc=org".to_owned()),
        bind_dn: None,
        bind_password: None,
        ..searching.clone()
    };
    for login in [searching, by_name] {
        let served = served(LoginKind::Ldap(Box::new(login)));
        let (status, answer) = log_in(&served, "ANN", "a good password");
        assert_eq!(status, 200, "{answer}");
        let bearer = format!("Bearer {}", answer["key"].as_str().unwrap());
        let who = whoami(&served, &[("Authorization", &bearer)]);
        let ann = json!({"user": "ann", "full_name": "Ann Lee", "mail": "ann@example.org", "groups": ["dev"],
            "login": "ldap", "token": null});
        assert_eq!(who, ann, "the directory says how her name is written, and makes her no administrator");
        for (user, password) in [
            ("ann", "a bad password"),
            ("ann", ""),
            ("nobody", "x"),
            ("a*", "a good password"),
            ("*", "a good password"),
            ("ann)(uid=*", "a good password"),
            ("ann,ou=people", "a good password"),
            ("\\2a", "a good password"),
        ] {
            assert_eq!(log_in(&served, user, password).0, 401, "{user}");
        }
        assert_eq!(log_in(&served, "a*b", "an odd password").0, 200, "an odd name is a name");
    }
}

#[test]
fn a_directory_server_that_is_away_lets_nobody_in() {
    let slapd = Slapd::start();
    let wrong = LdapLogin { bind_password: Some(Text::from("a wrong password")), ..directory(&slapd) };
    let (status, answer) = log_in(&served(LoginKind::Ldap(Box::new(wrong))), "ann", "a good password");
    assert!(status == 502 && !answer.to_string().contains("wrong password"), "{status} {answer}");
    let unencrypted = LdapLogin { starttls: true, ..directory(&slapd) };
    assert_eq!(log_in(&served(LoginKind::Ldap(Box::new(unencrypted))), "ann", "a good password").0, 502);
    let away = directory(&slapd);
    drop(slapd);
    assert_eq!(log_in(&served(LoginKind::Ldap(Box::new(away))), "ann", "a good password").0, 502);
}

/// Answers as GitHub does, to the requests that its documentation describes; a fake, because GitHub cannot be had.
fn github() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
                head += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = answer_of_github(&head, &String::from_utf8(body).unwrap());
            let (status, body) = answer.map_or(("401 Unauthorized", json!({})), |body| ("200 OK", body));
            let body = body.to_string();
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", body.len());
            stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        }
    });
    address
}

fn answer_of_github(head: &str, body: &str) -> Option<Json> {
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("user-agent: starwright/") && lower.contains("accept: application/json"), "{head}");
    if head.starts_with("POST /login/oauth/access_token ") {
        assert!(body.contains("code=the-code") && body.contains("code_verifier="), "{body}");
        return Some(json!({"access_token": "gho_x", "scope": "read:org", "token_type": "bearer"}));
    }
    if !lower.contains("authorization: bearer gho_x") {
        return None;
    }
    Some(match head.split(' ').nth(1).unwrap() {
        "/user" => json!({"login": "ann", "name": "Ann Lee", "email": null}),
        "/user/emails" => json!([
            {"email": "old@example.org", "primary": false, "verified": true},
            {"email": "ann@example.org", "primary": true, "verified": true},
        ]),
        "/user/orgs?per_page=100" => json!([{"login": "acme"}]),
        "/user/teams?per_page=100" => json!([{"slug": "dev", "organization": {"login": "acme"}}]),
        other => panic!("{other}"),
    })
}

#[test]
fn github_tells_of_organisations_and_teams() {
    let address = github();
    let login = |only: &str| ForgeLogin {
        title: "GitHub".to_owned(),
        forge: ForgeKind::GitHub,
        web: address.clone(),
        api: address.clone(),
        client_id: "ci".to_owned(),
        client_secret: Text::from("secret"),
        only_groups: vec![only.to_owned()],
        prefix: "github:".to_owned(),
    };
    let log_in = |only: &str| {
        let served = served(LoginKind::Forge(Box::new(login(only))));
        let mut browser = Browser::new(&served);
        let begun = browser.get(&format!("http://{HOST}/login/sso")).location.unwrap();
        let state = begun.split('&').find_map(|pair| pair.strip_prefix("state=")).unwrap().to_owned();
        assert!(begun.contains("code_challenge_method=S256") && begun.contains("scope=read%3Auser"), "{begun}");
        let page = browser.get(&format!("http://{HOST}/login/sso/callback?code=the-code&state={state}"));
        (page.status, whoami(&served, &[("Cookie", &format!("starwright={}", browser.session()))]))
    };
    let (status, who) = log_in("acme");
    let ann = json!({"user": "github:ann", "full_name": "Ann Lee", "mail": "ann@example.org",
        "groups": ["acme", "acme/dev"], "login": "provider", "token": null});
    assert_eq!((status, who), (303, ann));
    assert_eq!(log_in("acme/dev").0, 303);
    assert_eq!(log_in("other").0, 403);
}

//! Logging in and out: pages, programs, proxies, clients of Buildbot; what is refused, and what answers carry.

use serde_json::json;
use starwright::testing::auth::{NewToken, NewUser, Tokens, Users};
use starwright::testing::base::{Clock as _, SystemClock};
use starwright::testing::model::{
    Action, Actor, AuthorClass, HeaderLogin, LoginKind, LoginMethod, LoginPlan, RulePlan, SourcePlace, Via,
};
use starwright::testing::web::WebLimits;

use super::served::{Answer, Served};
use super::world::World;

/// A served site that ann can log in to.
fn served(change: impl FnOnce(&mut World)) -> Served {
    let mut world = World::empty();
    world.adopt(&[("linux", &["w1"])], &["w1"], None);
    let way = |name: &str, kind| LoginPlan { name: name.to_owned(), kind, place: SourcePlace::default() };
    let header = HeaderLogin { user: "x-remote-user".to_owned(), ..HeaderLogin::default() };
    world.plan.logins.ways = vec![way("local", LoginKind::Local), way("proxy", LoginKind::Header(header))];
    world.plan.rights.rules.push(RulePlan::default());
    change(&mut world);
    let data = tempfile::tempdir().unwrap();
    let new = NewUser { full_name: Some("Ann <b>Lee</b>".to_owned()), ..NewUser::default() };
    Users::of(data.path()).add("ann", "a good password", new, SystemClock.now()).unwrap();
    Served::with_accounts(WebLimits::default(), world.master(), data)
}

fn origin(served: &Served) -> String {
    format!("http://{}", served.address)
}

fn log_in(served: &Served, password: &str, next: &str) -> Answer {
    let body = format!("user=ann&password={}&next={next}", password.replace(' ', "+"));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    served.ask("POST", "/login", &[form, ("Origin", &origin(served))], &body)
}

/// `NAME=KEY` of the cookie that an answer gives.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn whoami(served: &Served, headers: &[(&str, &str)]) -> Answer {
    served.ask("GET", "/api/starwright/v1/whoami", headers, "")
}

#[test]
fn somebody_logs_in_by_a_page_and_out_again() {
    let served = served(|_| ());
    let page = served.page("/builders/linux?x=1");
    assert!(page.text().contains(r#"href="/login?next=/builders/linux?x=1""#), "{}", page.text());
    let form = served.page("/login?next=/builders/linux").text();
    assert!(form.contains(r#"name="next" value="/builders/linux""#) && form.contains("current-password"), "{form}");

    let answer = log_in(&served, "a good password", "/builders/linux");
    assert_eq!((answer.status, answer.header("location")), (303, Some("/builders/linux")));
    let given = answer.header("set-cookie").unwrap();
    assert!(given.contains("HttpOnly; SameSite=Lax") && given.contains("Path=/"), "{given}");
    let cookie = cookie(&answer);
    let page = served.ask("GET", "/", &[("Cookie", &cookie)], "");
    assert!(page.text().contains("Ann &#60;b&#62;Lee") && page.text().contains("Sign out"), "{}", page.text());
    assert_eq!(page.header("cache-control"), Some("no-store"));

    let form = ("Content-Type", "application/x-www-form-urlencoded");
    served.ask("POST", "/workers/w1/pause", &[form, ("Cookie", &cookie), ("Origin", &origin(&served))], "reason=x");
    let by = Actor::User {
        name: "ann".to_owned(),
        via: Via::Page,
        login: LoginMethod::Password,
        class: AuthorClass::Person,
    };
    assert_eq!(served.master.orders_by().pop().unwrap().1, by);

    let out = served.ask("POST", "/logout", &[form, ("Cookie", &cookie), ("Origin", &origin(&served))], "");
    assert_eq!(out.status, 303);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(whoami(&served, &[("Cookie", &cookie)]).json()["user"], json!(null), "also on the server");
}

#[test]
fn each_login_is_a_new_session_and_ends_the_one_before() {
    let served = served(|_| ());
    let first = cookie(&log_in(&served, "a good password", "/"));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let headers = [form, ("Cookie", first.as_str()), ("Origin", &origin(&served))];
    let second = cookie(&served.ask("POST", "/login", &headers, "user=ann&password=a+good+password"));
    assert_ne!(first, second);
    assert_eq!(whoami(&served, &[("Cookie", &first)]).json()["user"], json!(null));
    assert_eq!(whoami(&served, &[("Cookie", &second)]).json()["user"], json!("ann"));
    let fixed = format!("{}=chosen-by-somebody-else", first.split('=').next().unwrap());
    assert_eq!(whoami(&served, &[("Cookie", &fixed)]).json()["user"], json!(null));
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike_and_are_limited() {
    let served = served(|_| ());
    let wrong = log_in(&served, "a bad password", "/builders/linux");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (401, None));
    let text = wrong.text();
    assert!(text.contains("do not belong together") && text.contains(r#"value="/builders/linux""#), "{text}");
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let ask = |body: &str| served.ask("POST", "/login", &[form, ("Origin", &origin(&served))], body);
    let unknown = ask("user=nobody&password=x&next=/builders/linux");
    let timeless = |text: &str| {
        text.split("data-now=").map(|part| part[part.find('>').unwrap_or(0)..].to_owned()).collect::<String>()
    };
    assert_eq!(timeless(&unknown.text().replace("nobody", "ann")), timeless(&text));
    for _ in 0..20 {
        ask("user=ann&password=x");
    }
    let late = ask("user=ann&password=x");
    assert_eq!(late.status, 429);
    assert!(late.header("retry-after").is_some() && late.text().contains("Too many wrong passwords"));
    assert_eq!(
        served.ask("POST", "/login?user=ann&password=a+good+password", &[form], "x=y").status,
        401,
        "no address"
    );
}

#[test]
fn nobody_is_sent_elsewhere_after_a_login() {
    let served = served(|_| ());
    for foreign in ["https://evil.example/", "//evil.example", "/%5Cevil.example", "%0d%0aX:%20y"] {
        let answer = log_in(&served, "a good password", foreign);
        assert_eq!(answer.header("location"), Some("/"), "{foreign}");
        let page = served.page(&format!("/login?next={foreign}")).text();
        assert!(page.contains(r#"name="next" value="/""#) && !page.contains("evil"), "{page}");
    }
}

#[test]
fn a_page_of_another_site_does_nothing_with_a_session() {
    let served = served(|_| ());
    let cookie = cookie(&log_in(&served, "a good password", "/"));
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let evil = ("Origin", "https://evil.example");
    let ask = |path: &str, more: &[(&str, &str)]| {
        let headers: Vec<_> = [form, ("Cookie", &cookie)].into_iter().chain(more.iter().copied()).collect();
        served.ask("POST", path, &headers, "reason=x").status
    };
    for path in ["/workers/w1/pause", "/logout", "/login", "/reload"] {
        assert_eq!(ask(path, &[evil]), 403, "{path}");
        assert_eq!(ask(path, &[("Sec-Fetch-Site", "cross-site")]), 403, "{path}");
        assert_eq!(ask(path, &[]), 403, "{path}: a browser says where a form comes from");
    }
    assert!(served.master.orders().is_empty());
    served.ask("GET", "/auth/logout", &[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")], "");
    assert_eq!(whoami(&served, &[("Cookie", &cookie)]).json()["user"], json!("ann"), "nor does a link log out");
}

#[test]
fn programs_present_tokens_or_passwords() {
    let served = served(|_| ());
    let new = NewToken { actions: [Action::Read].into(), ..NewToken::default() };
    let key = Tokens::of(served.data.path()).create("scanner", new, SystemClock.now()).unwrap();
    let bearer = format!("Bearer {key}");
    assert_eq!(whoami(&served, &[("Authorization", &bearer)]).json()["token"], json!("scanner"));
    // ann:a good password
    let basic = "Basic YW5uOmEgZ29vZCBwYXNzd29yZA==";
    assert_eq!(whoami(&served, &[("Authorization", basic)]).json()["user"], json!("ann"));
    for (wrong, scheme) in [("Bearer swt_x", "Bearer"), ("Bearer x", "Bearer"), ("Basic YW5uOng=", "Basic")] {
        for path in ["/api/starwright/v1/whoami", "/api/v2/builders", "/builders"] {
            let answer = served.ask("GET", path, &[("Authorization", wrong)], "");
            let asked = answer.header("www-authenticate").unwrap_or_default();
            assert!(answer.status == 401 && asked.starts_with(scheme), "{wrong}: {} {asked}", answer.status);
            assert!(!answer.text().contains("swt_"), "{}", answer.text());
        }
    }
    Tokens::of(served.data.path()).revoke("scanner").unwrap();
    assert_eq!(whoami(&served, &[("Authorization", &bearer)]).status, 401);

    let json = ("Content-Type", "application/json");
    let ask = |path: &str, headers: &[(&str, &str)], body: &str| {
        served.ask("POST", &format!("/api/starwright/v1/{path}"), headers, body)
    };
    let answer = ask("login", &[json], r#"{"user": "ann", "password": "a good password"}"#);
    let bearer = format!("Bearer {}", answer.json()["key"].as_str().unwrap());
    assert_eq!(whoami(&served, &[("Authorization", &bearer)]).json()["full_name"], json!("Ann <b>Lee</b>"));
    ask("logout", &[json, ("Authorization", &bearer)], "{}");
    assert_eq!(whoami(&served, &[("Authorization", &bearer)]).status, 401);
    assert_eq!(ask("login", &[json], r#"{"user": "ann", "password": "x"}"#).status, 401);
}

#[test]
fn only_a_trusted_proxy_says_who_somebody_is() {
    let told = [("X-Remote-User", "ann")];
    let stranger = served(|_| ());
    assert_eq!(whoami(&stranger, &told).json()["user"], json!(null));
    let proxied = served(|world| world.plan.web.trusted_proxies.push("127.0.0.1".to_owned()));
    let answer = whoami(&proxied, &told).json();
    assert_eq!((&answer["user"], &answer["login"]), (&json!("ann"), &json!("proxy")));
    assert_eq!(whoami(&proxied, &[]).json()["user"], json!(null));
    assert_eq!(whoami(&proxied, &[told[0], ("x-remote-user", "root")]).status, 400, "one of them is the client's");
}

#[test]
fn clients_of_buildbot_log_in_as_they_always_did() {
    let served = served(|_| ());
    let asked = served.ask("GET", "/auth/login", &[], "");
    assert_eq!(asked.status, 401);
    assert!(asked.header("www-authenticate").unwrap().starts_with("Basic "));
    let basic = ("Authorization", "Basic YW5uOmEgZ29vZCBwYXNzd29yZA==");
    let answer = served.ask("GET", "/auth/login?redirect=/builders/1", &[basic], "");
    assert_eq!((answer.status, answer.header("location")), (302, Some("http://ci.example.org/#/builders/1")));
    let cookie = cookie(&answer);
    assert_eq!(whoami(&served, &[("Cookie", &cookie)]).json()["user"], json!("ann"));
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "pause", "params": {}}).to_string();
    let headers = [("Content-Type", "application/json"), ("Cookie", cookie.as_str())];
    assert_eq!(served.ask("POST", "/api/v2/workers/w1", &headers, &call).status, 200, "without an origin");
    assert_eq!(served.master.orders_by().pop().unwrap().1.name(), "ann");
    assert_eq!(served.ask("POST", "/auth/login", &[], "").status, 405);
    let out = served.ask("GET", "/auth/logout", &[("Cookie", &cookie)], "");
    assert_eq!((out.status, out.header("location")), (302, Some("http://ci.example.org/#/")));
    assert_eq!(whoami(&served, &[("Cookie", &cookie)]).json()["user"], json!(null));
    let open = self::served(|world| world.plan.logins.ways.clear());
    assert_eq!(open.ask("GET", "/auth/login", &[], "").status, 501);
    assert_eq!(whoami(&open, &[basic]).status, 200, "where nobody logs in, passwords mean nothing");
}

#[test]
fn every_answer_carries_what_browsers_need() {
    let served = served(|_| ());
    for path in ["/", "/login", "/nothing", "/api/v2/builders", "/api/starwright/v1/whoami", "/auth/login"] {
        let answer = served.page(path);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}: the address is not https");
    }
}

/// Somebody who is logged in sends a form.
fn send(served: &Served, cookie: &str, path: &str, body: &str) -> Answer {
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    served.ask("POST", path, &[form, ("Cookie", cookie), ("Origin", &origin(served))], body)
}

fn page_of(served: &Served, cookie: &str, path: &str) -> Answer {
    served.ask("GET", path, &[("Cookie", cookie)], "")
}

#[test]
fn people_change_their_own_password_and_go_on() {
    let served = served(|_| ());
    assert_eq!(served.page("/account").status, 401, "it is about an account");
    let (first, other) =
        (cookie(&log_in(&served, "a good password", "/")), cookie(&log_in(&served, "a good password", "/")));
    let change = |body: &str| send(&served, &first, "/account/password", body);
    let wrong = change("present=a+bad+password&new=another+password&again=another+password");
    assert!(wrong.status == 400 && wrong.text().contains("The present password is wrong"), "{}", wrong.text());
    let differs = change("present=a+good+password&new=another+password&again=another+passwort");
    assert!(differs.status == 400 && differs.text().contains("differ"), "{}", differs.text());
    let weak = change("present=a+good+password&new=password1&again=password1");
    assert!(weak.status == 400 && weak.text().contains("tried first"), "{}", weak.text());
    let done = change("present=a+good+password&new=another+password&again=another+password");
    assert_eq!(done.status, 303, "{}", done.text());
    let next = cookie(&done);
    assert_eq!(whoami(&served, &[("Cookie", &next)]).json()["user"], json!("ann"));
    for old in [&first, &other] {
        assert_eq!(whoami(&served, &[("Cookie", old)]).json()["user"], json!(null), "all others end");
    }
    assert_eq!(log_in(&served, "a good password", "/").status, 401);
    let log = served.ask("GET", "/api/starwright/v1/security", &[], "").json();
    let words: Vec<&str> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(words, ["login", "password_set", "login", "login"], "newest first");
    assert_eq!(log["counts"][0]["what"], "failed_login");
    assert!(served.page("/audit").text().contains("set a password"));
}

#[test]
fn people_end_their_own_logins_and_make_tokens() {
    let served = served(|_| ());
    let (here, there) =
        (cookie(&log_in(&served, "a good password", "/")), cookie(&log_in(&served, "a good password", "/")));
    let page = page_of(&served, &here, "/account").text();
    assert!(page.contains("(this one)") && page.matches("/account/logins/").count() == 1, "{page}");
    let end = page.split("action=\"").find(|part| part.starts_with("/account/logins/")).unwrap();
    let end = end.split('"').next().unwrap();
    assert_eq!(send(&served, &here, end, "").status, 303);
    assert_eq!(whoami(&served, &[("Cookie", &there)]).json()["user"], json!(null));
    assert_eq!(send(&served, &here, end, "").status, 404, "it has ended");

    let none = send(&served, &here, "/account/tokens", "name=mine&days=30");
    assert!(none.status == 400 && none.text().contains("at least one"), "{}", none.text());
    let made = send(&served, &here, "/account/tokens", "name=mine&scope=read&scope=force&builders=release-*&days=30");
    let text = made.text();
    let key = text.split("swt_").nth(1).map(|rest| format!("swt_{}", &rest[..43])).expect(&text);
    let bearer = format!("Bearer {key}");
    let who = whoami(&served, &[("Authorization", &bearer)]).json();
    assert_eq!((&who["token"], &who["user"]), (&json!("mine"), &json!("ann")));
    let page = page_of(&served, &here, "/account").text();
    assert!(page.contains("release-*") && !page.contains(&key), "it is shown once: {page}");
    let by_token = served.ask("GET", "/account", &[("Authorization", &bearer)], "");
    assert_eq!(by_token.status, 401, "a token is no account");
    assert_eq!(send(&served, &here, "/account/tokens/mine/revoke", "").status, 303);
    assert_eq!(whoami(&served, &[("Authorization", &bearer)]).status, 401);
    let foreign = served.ask(
        "POST",
        "/account/tokens",
        &[("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", &here), ("Origin", "https://evil.example")],
        "name=theirs&scope=read&days=30",
    );
    assert_eq!(foreign.status, 403);
}

#[test]
fn administrators_add_and_remove_users() {
    let served = served(|_| ());
    let here = cookie(&log_in(&served, "a good password", "/"));
    let weak = send(&served, &here, "/users", "name=bob&password=short");
    assert!(weak.status == 400 && weak.text().contains("too short"), "{}", weak.text());
    let added = send(&served, &here, "/users", "name=bob&password=bobs+password&roles=developers&mail=bob@example.org");
    assert_eq!((added.status, added.header("location")), (303, Some("/users?done=added")));
    let page = page_of(&served, &here, "/users").text();
    assert!(page.contains("bob@example.org") && page.contains("developers"), "{page}");
    assert_eq!(send(&served, &here, "/users/bob/password", "password=another+password").status, 303);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let as_bob =
        served.ask("POST", "/login", &[form, ("Origin", &origin(&served))], "user=bob&password=another+password");
    assert_eq!(as_bob.status, 303);
    let own = send(&served, &here, "/users/ann/remove", "");
    assert!(own.status == 400 && own.text().contains("cannot remove yourself"), "{}", own.text());
    assert_eq!(send(&served, &here, "/users/bob/remove", "").status, 303);
    assert_eq!(whoami(&served, &[("Cookie", &cookie(&as_bob))]).json()["user"], json!(null));
    served.master.show_only(vec![starwright::testing::model::Object::Installation]);
    for path in ["/users", "/api/starwright/v1/security"] {
        assert_eq!(
            page_of(&served, &here, path).status,
            401,
            "{path}: the master of this test takes everybody for a visitor"
        );
    }
    assert_eq!(send(&served, &here, "/users", "name=eve&password=eves+password").status, 401);
}

#[test]
fn a_file_of_passwords_that_is_missing_raises_an_alert() {
    let served = served(|world| {
        let kind = LoginKind::Htpasswd { file: "nowhere/htpasswd".to_owned() };
        world.plan.logins.ways.push(LoginPlan { name: "old".to_owned(), kind, place: SourcePlace::default() });
    });
    // It is looked for when the server starts, before it answers anybody.
    served.page("/login");
    let alerts = served.ask("GET", "/api/starwright/v1/alerts", &[], "").json();
    let text = alerts["alerts"][0]["text"].as_str().unwrap();
    assert!(text.contains("login `old`") && text.contains("cannot be read"), "{text}");
}

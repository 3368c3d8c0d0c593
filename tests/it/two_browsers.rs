//! Two people with different rights, each in a real browser, side by side with a real master: neither sees, hears or does what
//! they may not.

use std::process::Command;

use crate::people::Place;
use crate::support::browser::Browser;
use crate::support::starwright::{PROGRAM, said};

const CONFIG: &str = r#"
load("@stdlib//login.star", "local_users")
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")

worker("local")
builder("linux", workers = ["local"], steps = [sh("echo open words")])
builder("release", workers = ["local"], steps = [sh("echo secret words")])
force("by-hand", builders = ["linux", "release"])
local_users()
allow(roles = ["staff"], actions = ["read", "force"])
allow(roles = ["guests"], actions = ["read"], builders = ["linux"])
"#;

/// Somebody at a browser.
struct Person {
    browser: Browser,
    base: String,
}

impl Person {
    /// Logs in by the form, as the page sends it.
    fn log_in(place: &Place, name: &str) -> Self {
        let base = format!("http://{}", place.running.address);
        let mut person = Self { browser: Browser::start(), base };
        person.open("/login");
        let status = person.send("/login", &format!("user={name}&password={name}+has+a+good+password"));
        assert_eq!(status.0, 200, "{name}: {}", status.1);
        person
    }

    fn open(&mut self, path: &str) -> String {
        let _complaints = self.browser.open(&format!("{}{path}", self.base));
        self.browser.evaluate("document.documentElement.outerHTML").as_str().unwrap().to_owned()
    }

    /// Status and text of what a script of the page asks for.
    fn ask(&mut self, call: &str) -> (u64, String) {
        let script = format!("{call}.then(async answer => [answer.status, await answer.text()])");
        let answer = self.browser.evaluate(&script);
        (answer[0].as_u64().unwrap(), answer[1].as_str().unwrap().to_owned())
    }

    fn get(&mut self, path: &str) -> (u64, String) {
        self.ask(&format!("fetch('{path}')"))
    }

    /// Sends a form, and follows where it leads.
    fn send(&mut self, path: &str, body: &str) -> (u64, String) {
        self.ask(&format!("fetch('{path}', {{method: 'POST', body: new URLSearchParams('{body}')}})"))
    }

    /// Listens to all events from now on.
    fn listen(&mut self) {
        let script = "new Promise(done => {
            window.heard = [];
            const events = new EventSource('/events');
            events.addEventListener('fact', event => heard.push(event.data));
            events.addEventListener('open', () => done(true));
        })";
        assert_eq!(self.browser.evaluate(script), true);
    }

    /// What was heard when the end of this build was.
    fn heard_until_end_of(&mut self, build: u64) -> String {
        let script = format!(
            "new Promise(done => {{
                const is_end = text => {{ const e = JSON.parse(text); return e.kind === 'build_ended' && e.build === {build}; }};
                const look = () => heard.some(is_end) ? done(heard.join('\\n')) : setTimeout(look, 20);
                look();
            }})"
        );
        self.browser.evaluate(&script).as_str().unwrap().to_owned()
    }
}

#[test]
fn two_people_side_by_side_have_what_they_may_and_no_more() {
    let place = Place::start_by(Command::new(PROGRAM), CONFIG);
    place.add_user("ann", "ann has a good password", &["--role", "staff"]);
    place.add_user("bob", "bob has a good password", &["--role", "guests"]);
    let (mut ann, mut bob) = (Person::log_in(&place, "ann"), Person::log_in(&place, "bob"));

    // What they see.
    let (hers, his) = (ann.open("/"), bob.open("/"));
    assert!(hers.contains("linux") && hers.contains("release"), "{hers}");
    assert!(his.contains("linux") && !his.contains("release"), "{his}");
    assert!(ann.open("/builders/linux").contains("action=\"/builders/1/force/by-hand\""), "a form for her");
    let page = bob.open("/builders/linux");
    assert!(!page.contains("/force/by-hand") && page.contains("does not have the right `force`"), "{page}");
    for path in ["/builders/release", "/builders/2", "/api/v2/builders/2", "/api/v2/builders/2/builds"] {
        let (status, text) = bob.get(path);
        // A list about a builder that is not there is empty.
        let is_hidden = status == 404 || (status == 200 && text.contains("\"builds\": []"));
        assert!(is_hidden && !text.contains("secret"), "{path}: {status} {text}");
        assert_eq!(ann.get(path).0, 200, "{path}");
    }

    // What they hear, of a build that she starts and of one that both may see.
    bob.open("/");
    ann.open("/");
    ann.listen();
    bob.listen();
    let (status, text) = ann.send("/builders/release/force/by-hand", "reason=secret+reason");
    assert_eq!(status, 200, "{text}");
    let forced = place.run_at_home(&["force", "linux", "--watch"]);
    assert!(forced.status.success(), "{}", said(&forced));
    let (hers, his) = (ann.heard_until_end_of(1), bob.heard_until_end_of(2));
    assert!(hers.contains("\"builder\":2"), "{hers}");
    assert!(!his.contains("\"builder\":2") && !his.contains("\"build\":1,") && !his.contains("secret"), "{his}");
    for path in ["/builders/release/builds/1/steps/1/logs/stdio", "/api/v2/logs/1/raw", "/api/v2/builds/1", "/builds/1"]
    {
        assert!(ann.get(path).0 == 200, "{path}");
        let (status, text) = bob.get(path);
        assert!(status == 404 && !text.contains("secret words"), "{path}: {status} {text}");
    }

    // What they do.
    let (status, text) = bob.send("/builders/linux/force/by-hand", "reason=x");
    assert!(status >= 400 && text.contains("does not have the right `force`"), "{status} {text}");
    assert_eq!(bob.send("/builders/release/force/by-hand", "reason=x").0, 404);
    assert_eq!(bob.send("/builds/1/rebuild", "").0, 404);
    assert_eq!(bob.get("/audit").0, 403);
    assert_eq!(bob.get("/users").0, 403);
    // Her account is not his.
    assert!(ann.open("/account").contains("<dd>ann") && !bob.open("/account").contains("<dd>ann"));
}

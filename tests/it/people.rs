//! Users and tokens with the real program: who may do what from the command line, with and without a login.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::git::sealed;
use crate::support::http::{items, request};
use crate::support::slapd::Slapd;
use crate::support::smtp::CERTIFICATE;
use crate::support::starwright::{PROGRAM, Running, said};

const CONFIG: &str = r#"
load("@stdlib//login.star", "local_users")
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")

worker("local")
builder("linux", workers = ["local"], steps = [sh("true")])
builder("release", workers = ["local"], steps = [sh("true")])
force("by-hand", builders = ["linux", "release"])
local_users()
allow(roles = ["anyone"], actions = ["read"])
allow(roles = ["developers"], actions = ["force"], builders = ["linux"])
"#;

/// A master whose rights are declared, and people around it.
pub struct Place {
    pub dir: TempDir,
    pub running: Running,
}

impl Place {
    fn start() -> Self {
        Self::start_by(Command::new(PROGRAM), CONFIG)
    }

    pub fn start_by(program: Command, text: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let config = dir.path().join("master.star");
        std::fs::write(&config, text).unwrap();
        let data = dir.path().join("data");
        let running = Running::start_by(program, "up", &config, &data, "127.0.0.1:0", &dir.path().join("log"));
        Self { dir, running }
    }

    /// A command of somebody who has a home directory of their own, and cannot look into the state directory.
    fn command(&self, who: &str, args: &[&str]) -> Command {
        let home: PathBuf = self.dir.path().join("homes").join(who);
        std::fs::create_dir_all(&home).unwrap();
        let mut command = Command::new(PROGRAM);
        sealed(command.args(args)).env("STARWRIGHT_MASTER", format!("http://{}", self.running.address));
        command.env("XDG_CONFIG_HOME", &home).env("STARWRIGHT_DATA", home.join("nothing")).env("USER", who);
        command.current_dir(home);
        command
    }

    fn run(&self, who: &str, args: &[&str]) -> Output {
        self.command(who, args).output().unwrap()
    }

    /// A command of the master's own user.
    pub fn run_at_home(&self, args: &[&str]) -> Output {
        self.command("root", args).env("STARWRIGHT_DATA", self.dir.path().join("data")).output().unwrap()
    }

    pub fn add_user(&self, name: &str, password: &str, more: &[&str]) {
        let file = self.dir.path().join("password");
        std::fs::write(&file, format!("{password}\n")).unwrap();
        let args = [&["user", "add", name, "--password-file", file.to_str().unwrap()], more].concat();
        let output = self.run_at_home(&args);
        assert!(output.status.success(), "{}", said(&output));
    }

    fn log_in(&self, name: &str) -> Output {
        let file = self.dir.path().join("password");
        self.run(name, &["login", "--user", name, "--password-file", file.to_str().unwrap()])
    }
}

#[test]
fn people_log_in_and_do_what_they_may() {
    let place = Place::start();
    let visitor = place.run("eve", &["force", "linux"]);
    assert_eq!(visitor.status.code(), Some(2), "{}", said(&visitor));
    assert!(said(&visitor).contains("does not have the right `force` for builder `linux`"), "{}", said(&visitor));
    assert!(place.run("eve", &["status"]).status.success(), "everybody may look");

    place.add_user("ann", "a good password", &["--role", "developers", "--mail", "ann@example.org"]);
    let output = place.log_in("ann");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&place.run("ann", &["whoami"])), "ann (developers)\n");
    let forced = place.run("ann", &["force", "linux", "--watch"]);
    assert!(forced.status.success(), "{}", said(&forced));
    let refused = place.run("ann", &["force", "release"]);
    assert!(
        said(&refused).contains("`ann` does not have the right `force` for builder `release`"),
        "{}",
        said(&refused)
    );
    assert!(!place.run("ann", &["reload"]).status.success());
    let set: Vec<Json> = items(&place.running.address, "buildsets?limit=1");
    assert_eq!(set[0]["reason"], "forced by ann", "it is recorded who did it");

    let kept = place.dir.path().join("homes/ann/starwright/logins.json");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let stolen = std::fs::read_to_string(&kept).unwrap();
    assert!(said(&place.run("ann", &["logout"])).contains("logged out"));
    std::fs::write(&kept, stolen).unwrap();
    let late = place.run("ann", &["force", "linux"]);
    assert!(said(&late).contains("log in with `starwright login`"), "{}", said(&late));
}

#[test]
fn the_masters_own_user_needs_no_login_and_tokens_serve_programs() {
    let place = Place::start();
    assert!(said(&place.run_at_home(&["whoami"])).contains("the administrator"));
    assert!(place.run_at_home(&["force", "release", "--watch"]).status.success());
    assert!(place.run_at_home(&["reload"]).status.success());

    let args = ["token", "create", "deploy", "--scopes", "read,force", "--builders", "rel*", "--expires", "90d"];
    let made = place.run_at_home(&args);
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(token.starts_with("swt_"), "{token}");
    let with_token = |args: &[&str]| place.command("bot", args).env("STARWRIGHT_TOKEN", &token).output().unwrap();
    let forced = with_token(&["force", "release", "--watch"]);
    assert!(forced.status.success(), "{}", said(&forced));
    let hidden = said(&with_token(&["force", "linux"]));
    assert!(hidden.contains("there is no builder `linux`"), "it may not even read it: {hidden}");
    let refused = said(&with_token(&["reload"]));
    assert!(refused.contains("the token was made without it"), "{refused}");
    let listed = said(&place.run_at_home(&["token", "list"]));
    assert!(listed.contains("deploy") && listed.contains("rel*") && !listed.contains(&token), "{listed}");
    assert!(place.run_at_home(&["token", "revoke", "deploy"]).status.success());
    assert!(!with_token(&["status"]).status.success(), "it is worthless at once");
    let misspelt = said(&place.run_at_home(&["token", "create", "x", "--scopes", "raed"]));
    assert!(misspelt.contains("did you mean `read`?"), "{misspelt}");

    for secret in [token.as_str(), "a good password"] {
        let log = std::fs::read_to_string(&place.running.log).unwrap();
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn a_new_password_ends_the_logins_of_the_old_one() {
    let place = Place::start();
    place.add_user("ann", "a good password", &[]);
    assert!(place.log_in("ann").status.success());
    let file = place.dir.path().join("password");
    std::fs::write(&file, "a better password\n").unwrap();
    let changed = place.run_at_home(&["user", "password", "ann", "--password-file", file.to_str().unwrap()]);
    assert!(changed.status.success(), "{}", said(&changed));
    assert!(!place.run("ann", &["whoami"]).status.success(), "she is logged out");
    assert!(place.log_in("ann").status.success(), "the running master knows the new one");
    assert!(place.run_at_home(&["user", "remove", "ann"]).status.success());
    assert!(!place.log_in("ann").status.success());
    let (status, _) = request(&place.running.address, "GET", "/api/v2/builders", &[], "");
    assert_eq!(status, 200);
}

#[test]
fn people_log_in_at_a_directory_server_over_tls() {
    let slapd = Slapd::start_with_tls();
    let login = format!(
        "load(\"@stdlib//login.star\", \"ldap\")\nldap(\"{}\", user_base = \"ou=people,dc=example,dc=org\", \
         user_dn = \"uid={{user}},ou=people,dc=example,dc=org\", prefix = \"ldap:\")\n",
        slapd.url
    );
    let mut trusting = Command::new(PROGRAM);
    trusting.env("SSL_CERT_FILE", CERTIFICATE);
    let place = Place::start_by(trusting, &format!("{CONFIG}{login}"));
    std::fs::write(place.dir.path().join("password"), "a good password\n").unwrap();
    let output = place.log_in("ann");
    assert!(output.status.success(), "{}\n{}", said(&output), std::fs::read_to_string(&place.running.log).unwrap());
    assert!(said(&place.run("ann", &["whoami"])).contains("ldap:ann"));
    // Whoever trusts nobody gives no password away.
    let wary = Place::start_by(Command::new(PROGRAM), &format!("{CONFIG}{login}"));
    std::fs::write(wary.dir.path().join("password"), "a good password\n").unwrap();
    assert!(!wary.log_in("ann").status.success());
}

#[test]
fn commands_about_users_begin_no_installation_by_accident() {
    let place = Place::start();
    let elsewhere = |args: &[&str]| place.command("ann", args).env_remove("STARWRIGHT_DATA").output().unwrap();
    let file = place.dir.path().join("password");
    std::fs::write(&file, "a good password\n").unwrap();
    let add = ["user", "add", "ann", "--password-file", file.to_str().unwrap()];
    for args in [&add[..], &["user", "list"], &["token", "create", "x", "--scopes", "read"]] {
        let output = elsewhere(args);
        assert!(!output.status.success() && said(&output).contains("there is no state directory"), "{}", said(&output));
    }
    assert!(!place.dir.path().join("homes/ann/.starwright").exists());
    let blind = place.run_at_home(&["token", "create", "blind", "--scopes", "force"]);
    assert!(blind.status.success() && said(&blind).contains("without the scope `read`"), "{}", said(&blind));
    let log = std::fs::read_to_string(place.dir.path().join("data/auth/security.json")).unwrap();
    assert!(log.contains("token `blind`") && log.contains("the administrator on the master's machine"), "{log}");
}

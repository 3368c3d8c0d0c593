//! What `check` remarks without refusing the configuration.

use starwright::testing::config;

/// The warnings about a configuration, each on a line.
fn warnings(text: &str) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    std::fs::write(&file, text).unwrap();
    let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{refused}"));
    loaded.warnings.iter().map(config::Problem::line).collect()
}

const HEAD: &str = "load(\"@stdlib//source.star\", \"git_poller\")\nload(\"@stdlib//steps.star\", \"sh\")\n\
                    load(\"@stdlib//schedulers.star\", \"on_change\")\nworker(\"w\")\n\
                    builder(\"b\", workers = [\"w\"], steps = [sh(\"make\")])\n";

#[test]
fn a_source_that_no_scheduler_listens_to_is_told() {
    let with = |rest: &str| warnings(&format!("{HEAD}{rest}"));
    let poller = "git_poller(\"https://example.org/app.git\", codebase = \"app\", branches = [\"main\"])\n";
    let [codebase] = &*with(&format!("{poller}on_change(\"main\", branches = [\"main\"], builders = [\"b\"])\n"))
    else {
        panic!("one warning")
    };
    assert!(codebase.starts_with("master.star:6:1: change source `app`: no scheduler takes its changes"), "{codebase}");
    assert!(codebase.contains("codebases = {\"app\": {}}"), "{codebase}");
    assert_eq!(
        with(&format!(
            "{poller}on_change(\"main\", branches = [\"main\"], builders = [\"b\"], codebases = {{\"app\": {{}}}})\n"
        )),
        Vec::<String>::new()
    );
    let [nobody] = &*with("git_poller(\"https://example.org/app.git\")\n") else { panic!("one warning") };
    assert!(nobody.contains("on_change(…)"), "{nobody}");
}

#[test]
fn a_branch_that_is_polled_for_nothing_is_told() {
    let told = warnings(&format!(
        "{HEAD}git_poller(\"https://example.org/app.git\", branches = [\"main\", \"relaese\"])\n\
         on_change(\"all\", branches = [\"main\", \"release\"], builders = [\"b\"])\n"
    ));
    let [branch] = &*told else { panic!("{told:?}") };
    assert!(branch.contains("no scheduler takes changes of branch `relaese`"), "{branch}");
}

#[test]
fn a_place_in_a_plain_text_and_pythons_exit_code_are_told() {
    let told = warnings(
        "load(\"@stdlib//steps.star\", \"sh\")\nload(\"@stdlib//text.star\", \"interpolate\")\nworker(\"w\")\n\
         def tests(ctx):\n    r = ctx.run(\"make\", check = False)\n    if r.returncode != 0:\n        ctx.fail(\"no\")\n\
         builder(\"b\", workers = [\"w\"], steps = [\n    sh(\"echo %(prop:version)s\"),\n\
         \x20   sh([\"echo\", \"%(src::branch)s\"]),\n    sh(interpolate(\"echo %(prop:version)s\")),\n    tests,\n])\n",
    );
    let starts = [
        "master.star:6:10: the result of a command has no `returncode` (hint: the exit code is `.rc`",
        "master.star:9:8: `%(prop:version)s` is not filled in",
        "master.star:10:17: `%(src::branch)s` is not filled in",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_force_scheduler_whose_branch_no_step_uses_is_told() {
    let with = |steps: &str, force: &str| {
        warnings(&format!(
            "load(\"@stdlib//source.star\", \"git\")\nload(\"@stdlib//schedulers.star\", \"force\", \"dependent\")\n\
             load(\"@stdlib//steps.star\", \"group\", \"sh\", \"trigger\")\n\
             load(\"@stdlib//text.star\", \"interpolate\")\nworker(\"w\")\n\
             app = git(\"https://example.org/app.git\", codebase = \"app\")\n\
             lib = git(\"https://example.org/lib.git\", codebase = \"lib\", workdir = \"lib\")\n\
             builder(\"both\", workers = [\"w\"], steps = [{steps}])\n\
             force(\"by-hand\", builders = [\"both\"]{force})\n"
        ))
    };
    let none = Vec::<String>::new();
    let told =
        ["master.star:9:1: force scheduler `by-hand` gives branch and revision to the codebase ``, which no step of \
         `both` uses (hint: name the codebases of its steps: codebases = {\"app\": {}, \"lib\": {}})"];
    let plain = "app, lib, sh(\"make\", env = {\"CI\": \"1\"})";
    assert_eq!(with(plain, ""), told);
    assert_eq!(with("group(\"sources\", [app, lib]), sh([\"make\"])", ""), told, "steps inside steps count");
    assert_eq!(with(plain, ", codebases = {\"app\": {}, \"lib\": {}}"), none);
    assert_eq!(with(plain, ", codebases = {\"lib\": {}}"), none);
    let unused = with(plain, ", codebases = {\"lib\": {}, \"docs\": {}}");
    assert!(matches!(&*unused, [one] if one.contains("the codebase `docs`, which no step")), "{unused:?}");
    for unknown in [
        "lambda ctx: ctx.run([\"make\", ctx.branch])",
        "sh(lambda ctx: [\"make\", ctx.branch])",
        "sh([\"make\", interpolate(\"%(src::branch)s\")])",
        "sh(\"make\", env = {\"BRANCH\": lambda ctx: ctx.branch})",
        "sh(\"make\", do_if = lambda ctx: ctx.branch == \"main\")",
        "step(\"own\", run = lambda ctx: ctx.run(\"make\"))",
        "group(\"all\", [sh(interpolate(\"make %(src::branch)s\"))])",
    ] {
        assert_eq!(with(&format!("app, lib, {unknown}"), ""), none, "{unknown}");
    }
    assert_eq!(with("sh(\"make\")", ""), none, "a builder without sources of its own");
    let followed = ")\nbuilder(\"then\", workers = [\"w\"], steps = [sh(\"make\")])\n\
                    dependent(\"next\", upstream = \"by-hand\", builders = [\"then\"]";
    assert_eq!(with(plain, followed), none, "further builds get the sources too");
}

#[test]
fn hundreds_of_warnings_are_cut_and_the_rest_is_counted() {
    let steps: String = (0..300).map(|n| format!("    sh(\"echo %(prop:p{n})s\"),\n")).collect();
    let told = warnings(&format!(
        "load(\"@stdlib//steps.star\", \"sh\")\nworker(\"w\")\nbuilder(\"b\", workers = [\"w\"], steps = [\n{steps}])\n"
    ));
    assert_eq!(told.len(), 101);
    assert!(told[0].contains("`%(prop:p0)s` is not filled in"), "{}", told[0]);
    assert_eq!(told[100], "there are 200 more warnings, which are not shown");
}

#[test]
fn problems_without_number_are_not_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    std::fs::write(&file, "[worker(\"w%s\" % (n // 2)) for n in range(40000)]\n").unwrap();
    let report = config::load(&file).unwrap_err().to_string();
    assert!(report.ends_with("the configuration has 10000 problems or more; the first 200 are shown"), "{report}");
}

#[test]
fn rules_that_are_about_nothing_are_told() {
    let told = warnings(
        "load(\"@stdlib//login.star\", \"htpasswd\")\nhtpasswd(\"users\")\nproject(\"shop\")\nworker(\"w1\")\n\
         builder(\"test-linux\", workers = [\"w1\"], steps = [step(\"s\", run = lambda ctx: None)])\nrole(\"developers\", users = [\"ann\"])\n\
         allow(roles = [\"developers\", \"anyone\"], actions = [\"read\"], builders = [\"test-*\"], workers = [\"w?\"], projects = [\"shop\"])\n\
         allow(roles = [\"develoopers\"], actions = [\"force\"], builders = [\"tset-*\"])\n\
         allow(roles = [\"anyone\"], actions = [\"read\"], workers = [\"lab-*\"], projects = [\"shpo\"])\n",
    );
    let starts = [
        "master.star:8:15: `allow`: nobody has the role `develoopers` (hint: give it: role(\"develoopers\", users",
        "master.star:8:65: `allow`: no builder matches `tset-*` (hint: ",
        "master.star:9:58: `allow`: no worker matches `lab-*` (hint: ",
        "master.star:9:80: `allow`: no project matches `shpo` (hint: did you mean `shop`?)",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (warning, start) in told.iter().zip(starts) {
        assert!(warning.starts_with(start), "{warning}");
    }
    let quiet = warnings(
        "load(\"@stdlib//login.star\", \"local_users\")\nlocal_users()\n\
         allow(roles = [\"some-group\"], actions = [\"read\"])\n",
    );
    assert_eq!(quiet, Vec::<String>::new(), "a user may have that role");
}

#[test]
fn unknown_fields_are_found_however_the_function_of_rights_is_given() {
    for call in
        ["rights(decide)", "rights(function = decide)", "rights(lambda user, action, object: user.nmae == \"x\")"]
    {
        let told = warnings(&format!(
            "def decide(user, action, object):\n    return user.nmae == \"ann\" or object.knid == \"builder\"\n{call}\n"
        ));
        assert!(!told.is_empty() && told[0].contains("`nmae`"), "{call}: {told:?}");
    }
}

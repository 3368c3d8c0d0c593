//! The query language: its laws, on every kind of collection.

use serde_json::{Value as Json, json};

use super::filled::{Filled, filled};
use super::served::Served;

fn served() -> (Filled, Served) {
    let filled = filled();
    let served = Served::new(filled.world.master());
    (filled, served)
}

fn field(served: &Served, path: &str, name: &str) -> Vec<Json> {
    served.items(path).iter().map(|item| item[name].clone()).collect()
}

fn refusal(served: &Served, path: &str) -> String {
    let answer = served.api(path);
    assert_eq!(answer.status, 400, "{path}: {}", answer.text());
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[test]
fn fields_are_chosen_on_collections_and_single_resources() {
    let (filled, served) = served();
    assert_eq!(
        served.items(&format!("builds/{}?field=buildid&field=state_string", filled.good.build)),
        [json!({"buildid": filled.good.build, "state_string": "build successful"})]
    );
    assert_eq!(refusal(&served, "builds?field=nosuch"), "no such field 'nosuch'");
    assert_eq!(refusal(&served, "builds?field=buildid&number=1"), "cannot filter on un-selected fields");
    assert_eq!(refusal(&served, "builds?field=buildid&order=number"), "cannot order on un-selected fields");
}

#[test]
fn repeated_values_are_alternatives_and_parameters_conditions() {
    let (_, served) = served();
    let numbers = |path: &str| field(&served, path, "number");
    assert_eq!(numbers("builds?builderid=1&number__eq=2&number__eq=1&number__eq=99"), [1, 2]);
    assert_eq!(numbers("builds?builderid=1&results=2&results=1"), [2, 3]);
    assert_eq!(numbers("builds?builderid=1&results=2&number=1"), [] as [i64; 0]);
    assert_eq!(numbers("builders/1/builds?number__ge=3&number__lt=5"), [3, 4]);
    assert_eq!(numbers("builders/1/builds?number__ne=1&number__ne=2&number__le=4"), [3, 4]);
    assert_eq!(numbers("builders/1/builds?number__lt=3&number__lt=2").len(), 8, "repeated comparisons are ignored");
    let names = |path: &str| field(&served, path, "name");
    assert_eq!(names("builders?name__in=ok&name__in=lonely"), ["ok", "lonely"]);
    assert_eq!(names("builders?name__notin=ok&name__notin=lonely").len(), 1);
}

#[test]
fn null_never_matches_on_large_tables_but_does_in_memory() {
    let (_, served) = served();
    assert_eq!(served.items("builds?results__ne=0").len(), 6, "the running build is left out");
    assert_eq!(served.items("builders?description__ne=x").len(), 3);
    assert_eq!(served.items("builders?projectid__gt=0").len(), 0);
    assert_eq!(served.items("builders?description__contains=builds").len(), 1);
}

#[test]
fn contains_looks_into_texts_and_lists() {
    let (_, served) = served();
    let names = |path: &str| field(&served, path, "name");
    assert_eq!(names("builders?tags__contains=linux").len(), 2);
    assert_eq!(names("builders?tags__contains=linux&tags__contains=slow").len(), 3);
    assert_eq!(names("builders?tags=linux").len(), 0, "a list equals no element");
    assert_eq!(names("builders?name__contains=o"), ["ok", "lonely"]);
    assert_eq!(names("builders?name__contains=O").len(), 0);
    assert_eq!(served.items("builds?state_string__contains=FAILED").len(), 1, "large tables fold ASCII case");
    assert_eq!(served.items("changes?files__contains=README").len(), 5);
    assert_eq!(served.items("changes?files__contains=READ").len(), 0);
}

#[test]
fn truth_values_have_many_names() {
    let (filled, served) = served();
    let running = json!([filled.running.build]);
    for text in ["complete=false", "complete=FALSE", "complete=off", "complete=0", "complete__ne=yes", "complete=No"] {
        assert_eq!(Json::Array(field(&served, &format!("builds?{text}"), "buildid")), running, "{text}");
    }
    assert_eq!(served.items("builds?complete=true&complete=false").len(), 9);
    assert_eq!(refusal(&served, "builds?complete=maybe"), "invalid filter value for complete");
}

#[test]
fn values_must_fit_and_names_be_known() {
    let (filled, served) = served();
    assert_eq!(refusal(&served, "builds?number=abc"), "invalid filter value for number");
    assert_eq!(refusal(&served, "builds?results=null"), "invalid filter value for results");
    assert!(served.items("forceschedulers?name=f%2Fx%20y").is_empty(), "a name may hold anything");
    assert_eq!(refusal(&served, "workers?workerinfo=1"), "invalid filter value for workerinfo");
    assert_eq!(
        refusal(&served, "workers?configured_on__contains=1"),
        "invalid filter value for configured_on__contains"
    );
    assert!(
        refusal(&served, "builds?nosuch=1").starts_with("unrecognized query parameter 'nosuch': known are buildid,")
    );
    assert_eq!(
        refusal(&served, "builds?complet=1"),
        "unrecognized query parameter 'complet': did you mean 'complete'?"
    );
    assert_eq!(served.items("masters?nosuch__eq=1&name__nosuch=1").len(), 1, "unknown operators are ignored");
    assert_eq!(refusal(&served, &format!("builds/{}?number=1", filled.good.build)), "this is not a collection");
    assert_eq!(served.api(&format!("builds/{}?limit=1&order=number", filled.good.build)).status, 200);
}

#[test]
fn order_is_lexicographic_and_null_comes_first() {
    let (filled, served) = served();
    let results = field(&served, "builds?order=results&order=-buildid&field=results&field=buildid", "results");
    assert_eq!(results[0], Json::Null);
    assert_eq!(results[1..4], [json!(0), json!(0), json!(1)]);
    let last = field(&served, "builds?order=-results&limit=20", "results");
    assert_eq!((&last[0], last.last().unwrap()), (&json!(6), &Json::Null));
    let names = field(&served, "builders?order=-name", "name");
    assert_eq!(names[0], "ok");
    let newest = field(&served, "builds?order=-buildid&limit=1", "buildid");
    assert_eq!(newest, [filled.running.build]);
    assert_eq!(field(&served, "changes?field=changeid", "changeid")[0], filled.changes[4], "newest first");
    assert_eq!(field(&served, "changes?order=changeid&limit=1", "changeid"), [filled.changes[0]]);
    assert_eq!(refusal(&served, "builds?order=nosuch"), "no such field 'nosuch'");
    assert!(refusal(&served, "workers?order=workerinfo").contains("workerinfo"));
}

#[test]
fn every_order_and_page_of_a_large_table_agrees_with_the_whole() {
    let (_, served) = served();
    let all = served.items("builds");
    for order in ["buildid", "-buildid", "started_at", "-started_at", "number", "-number", "state_string", "-results"] {
        let whole = served.items(&format!("builds?order={order}"));
        assert_eq!(whole.len(), all.len());
        let mut pages = Vec::new();
        for page in 0..5 {
            pages.extend(served.items(&format!("builds?order={order}&limit=2&offset={}", page * 2)));
        }
        assert_eq!(pages, whole, "{order}");
    }
}

#[test]
fn every_filter_agrees_with_looking_at_each_row() {
    let (_, served) = served();
    let all = served.items("builds");
    for name in ["buildid", "number", "builderid", "workerid", "buildrequestid"] {
        for value in all.iter().map(|build| build[name].as_i64().unwrap()) {
            for (op, holds) in [
                ("eq", (|left, right| left == right) as fn(i64, i64) -> bool),
                ("ne", |left, right| left != right),
                ("lt", |left, right| left < right),
                ("le", |left, right| left <= right),
                ("gt", |left, right| left > right),
                ("ge", |left, right| left >= right),
            ] {
                let mut wanted: Vec<Json> =
                    all.iter().filter(|build| holds(build[name].as_i64().unwrap(), value)).cloned().collect();
                assert_eq!(served.items(&format!("builds?{name}__{op}={value}")), wanted, "{name} {op} {value}");
                wanted.reverse();
                let path = format!("builds?{name}__{op}={value}&order=-buildid");
                assert_eq!(served.items(&path), wanted, "{path}");
            }
        }
    }
}

#[test]
fn names_find_what_looking_at_each_row_finds() {
    let (_, served) = served();
    for kind in ["builders", "workers", "schedulers"] {
        let plain = |row: &Json| row["name"].as_str().unwrap().chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let all: Vec<Json> = served.items(kind).into_iter().filter(plain).collect();
        assert!(!all.is_empty(), "{kind}");
        let filter = |row: &Json| format!("name={}", row["name"].as_str().unwrap());
        for row in &all {
            assert_eq!(served.items(&format!("{kind}?{}", filter(row))), std::slice::from_ref(row));
        }
        let backwards: Vec<String> = all.iter().rev().chain(&all).map(filter).collect();
        let path = format!("{kind}?{}&name=nobody", backwards.join("&"));
        assert_eq!(served.items(&path), all, "by id, each once, and nothing for a name that is not there");
        assert!(served.items(&format!("{kind}?name=nobody")).is_empty());
    }
}

#[test]
fn lists_of_several_builders_and_workers_are_merged_in_order() {
    let (_, served) = served();
    let all = served.items("builds?order=-started_at&order=-buildid");
    assert_eq!(served.items("builds?builderid=1&builderid=3&builderid=2&order=-started_at&order=-buildid"), all);
    assert_eq!(
        served.items("builds?workerid=1&workerid=2&order=-buildid&limit=3"),
        served.items("builds?order=-buildid&limit=3")
    );
    assert_eq!(
        served.items("builds?builderid=1&builderid=3&order=-number&order=-buildid").len(),
        9,
        "a builder's numbers do not span builders"
    );
    let numbers = field(&served, "builds?builderid=1&builderid=3&order=number&order=buildid", "number");
    assert_eq!(numbers, [1, 1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn pages_are_cut_and_totals_told() {
    let (_, served) = served();
    let total = |path: &str| served.json(path)["meta"]["total"].clone();
    assert_eq!(total("builders?limit=1"), 3, "in memory: all");
    assert_eq!(total("builds?limit=2"), 2, "large tables: the page");
    assert_eq!(total("builds"), 9);
    assert_eq!(total("builds?order=complete&limit=2"), 9, "sorted in memory: all");
    assert_eq!(total("builders?limit=0"), 3);
    assert_eq!(total("builds?limit=0"), 0);
    assert_eq!(served.items("builders?offset=2&limit=5").len(), 1);
    assert_eq!(served.items("builders?offset=500").len(), 0);
    assert_eq!(served.items("builders?limit=1&limit=2").len(), 1, "the first counts");
    assert_eq!(served.items("builders?limit=-1&offset=-5").len(), 3);
    assert_eq!(refusal(&served, "builds?limit=abc"), "invalid limit");
    assert_eq!(refusal(&served, "builds?limit="), "invalid limit");
    assert_eq!(refusal(&served, "builds?offset=x"), "invalid offset");
}

#[test]
fn properties_come_when_they_are_asked_for() {
    let (filled, served) = served();
    let build = |query: &str| served.items(&format!("builds/{}{query}", filled.good.build))[0]["properties"].clone();
    assert_eq!(build(""), json!({}));
    assert_eq!(build("?property=nope"), json!({}));
    assert_eq!(
        build("?property=owner&property=branch"),
        json!({"branch": ["main", "Build"], "owner": ["Eve <eve@example.org>", "Force Build Form"]})
    );
    assert_eq!(build("?property=*")["alist"], json!([["x", "<y>"], "sh"]));
    let request =
        |query: &str| served.items(&format!("buildrequests/{}{query}", filled.good.request))[0]["properties"].clone();
    assert_eq!(request(""), Json::Null);
    assert_eq!(request("?property=nope"), json!({}));
    assert_eq!(request("?property=scheduler"), json!({"scheduler": ["nightly", "Scheduler"]}));
    let page = served.items("builds?field=buildid&property=owner&limit=1");
    assert_eq!(page, [json!({"buildid": filled.good.build})]);
    let list = served.items(&format!("builds/{}/property_list?name=branch", filled.good.build));
    assert_eq!(list, [json!({"name": "branch", "source": "Build", "value": "\"main\""})]);
}

#[test]
fn claimed_false_asks_for_those_that_wait() {
    let (filled, served) = served();
    let waiting = json!([filled.waiting]);
    for path in [
        "buildrequests?claimed=false",
        "builders/2/buildrequests?claimed=false",
        "buildrequests?builderid=2&claimed=false&order=-priority&order=-submitted_at",
    ] {
        assert_eq!(Json::Array(field(&served, path, "buildrequestid")), waiting, "{path}");
    }
    assert_eq!(served.items("buildrequests?builderid=1&claimed=false").len(), 0);
    assert_eq!(served.items("buildrequests?claimed=true").len(), 9);
    assert_eq!(served.items("buildrequests?claimed=true&complete=false").len(), 1);
    assert_eq!(served.items("buildrequests?claimed_by_masterid=1").len(), 9);
    assert_eq!(served.items("buildrequests?results=-1").len(), 2);
    assert_eq!(served.items(&format!("buildrequests?buildsetid={}", filled.good.buildset)).len(), 1);
}

#[test]
fn what_the_web_interface_of_the_field_asks_is_answered() {
    let (filled, served) = served();
    let set = filled.good.buildset;
    for path in [
        "builds?order=-buildid&complete=true&limit=20".to_owned(),
        "builds?order=-started_at&complete=false".to_owned(),
        "builds?limit=200&order=-started_at&builderid__eq=1&builderid__eq=2&property=branch".to_owned(),
        "builders/1/forceschedulers?order=name".to_owned(),
        "builders/1/workers?order=name".to_owned(),
        "builds?builderid=1&property=owners&property=workername&limit=200&order=-number".to_owned(),
        format!("buildsets?rebuilt_buildid={}&limit=1&order=-bsid", filled.good.build),
        format!("buildsets?rebuilt_buildid={}&bsid__gt={set}&limit=1&order=-bsid", filled.good.build),
        format!("buildrequests?buildsetid={set}&limit=1&order=-buildsetid"),
        format!("builds/{}/changes?limit=50", filled.good.build),
        format!("builds/{}/changes?field=author", filled.good.build),
        "builds?builderid=1&workerid=1&number__lt=5&order=-number&limit=5".to_owned(),
        format!("steps/{}/logs?slug__eq=stdio", filled.good_step),
        format!("builds/{}/steps?number__eq=1", filled.good.build),
        format!("buildrequests/{}/properties", filled.waiting),
        "changes?limit=50&order=-changeid".to_owned(),
        format!("changes/{}/builds?property=owners&limit=10", filled.changes[0]),
        "builds?property=branch&limit=50&order=-buildid&workerid=1&workerid=2".to_owned(),
        "schedulers?order=name".to_owned(),
        "projects?active=true".to_owned(),
        "buildsets?limit=200&order=-submitted_at".to_owned(),
        "buildrequests?limit=1000&order=-buildrequestid".to_owned(),
        "workers?paused=false&graceful=false".to_owned(),
    ] {
        assert_eq!(served.api(&path).status, 200, "{path}: {}", served.api(&path).text());
    }
    let pending = "buildrequests?limit=50&order=-priority&order=-submitted_at&claimed=false";
    assert_eq!(field(&served, pending, "buildrequestid"), [filled.waiting]);
}

//! The reference of the HTTP API keeps up with the program: its tables of paths and fields are generated.
//! `STARWRIGHT_BLESS=1` rewrites them.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value as Json;

use super::served::Served;
use super::world::World;

#[test]
fn the_reference_lists_every_path_and_field() {
    let served = Served::new(World::empty().master());
    let specs = served.items("application.spec");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/rest-api-v2.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let fresh = replace(&page, "paths", &paths(&specs));
    let fresh = replace(&fresh, "fields", &fields(&specs));
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
        return;
    }
    assert_eq!(page, fresh, "docs/reference/rest-api-v2.md differs; STARWRIGHT_BLESS=1 rewrites its tables");
}

fn replace(page: &str, name: &str, text: &str) -> String {
    let begin = format!("<!-- generated: {name} -->\n");
    let (before, rest) = page.split_once(&begin).unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    format!("{before}{begin}{text}<!-- end -->{after}")
}

fn paths(specs: &[Json]) -> String {
    let mut out = "\n| path | answers |\n|---|---|\n".to_owned();
    for spec in specs {
        let path = spec["path"].as_str().unwrap();
        // By name the same paths exist as by id.
        if path.is_empty()
            || path.contains("s:buildername/")
            || path.contains("builders/n:builderid/builds/n:build_number/")
        {
            continue;
        }
        writeln!(out, "| `{path}` | {} |", spec["plural"].as_str().unwrap()).unwrap();
    }
    out.push_str(
        "\nBelow `builders/n:builderid/builds/n:build_number` are the same paths as below `builds/n:buildid`, and below \
         `builders/s:buildername` the same as below `builders/n:builderid`.\n\n",
    );
    out
}

fn fields(specs: &[Json]) -> String {
    let kinds: BTreeMap<&str, &Json> =
        specs.iter().map(|spec| (spec["type"].as_str().unwrap(), &spec["type_spec"])).collect();
    let mut out = "\n| type | fields |\n|---|---|\n".to_owned();
    for (name, spec) in kinds {
        let Some(fields) = spec["fields"].as_array() else { continue };
        let words: Vec<String> = fields
            .iter()
            .map(|field| format!("`{}` {}", field["name"].as_str().unwrap(), field["type"].as_str().unwrap()))
            .collect();
        writeln!(out, "| {name} | {} |", words.join(", ")).unwrap();
    }
    out.push('\n');
    out
}

//! `project`, `codebase`: what builders and changes belong to.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneType;
use starlark::values::structs::AllocStruct;

use super::super::args::Call;
use super::super::collect::{Kind, ReferenceKind};
use super::super::signature::{Native, Param, optional, required};
use super::installation::check_url;
use crate::model::{About, DeclaredCodebase, ProjectPlan};

const TITLE: Param = optional("title", "text", "the name", "Its name for people.");
const DESCRIPTION: Param = optional("description", "text", "None", "A short description, shown on pages.");
const LINKS: Param =
    optional("links", "dict of text to text", "{}", "Links: words and addresses. The page of a project shows its own.");

pub(super) static PROJECT: Native = Native {
    name: "project",
    doc: "Declares a project: builders and changes that belong together. A project has a page, and rights can be limited \
          to it.",
    example: "project(\"app\", title = \"The app\", links = {\"Manual\": \"https://example.org/manual\"})",
    positional: 1,
    kinds: &[],
    params: &[required("name", "text", "Its name."), TITLE, DESCRIPTION, LINKS],
};

pub(super) static CODEBASE: Native = Native {
    name: "codebase",
    doc: "Declares a codebase and returns it: a source tree that builds use, with its repository. Pass it to `git` and \
          `git_poller` in place of an address.",
    example: "app = codebase(\"app\", repository = \"https://example.org/app.git\", branch = \"main\")",
    positional: 1,
    kinds: &[],
    params: &[
        required("name", "text", "The name that source stamps and changes carry."),
        required("repository", "text", "The address of its repository."),
        optional("branch", "text", "None", "What to build if nothing names a branch."),
        optional("project", "text", "None", "The project that it belongs to; see `project`."),
        TITLE,
        DESCRIPTION,
        LINKS,
    ],
};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn project<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&PROJECT, args, eval)?;
        let name = call.subject("project");
        call.collector.declare(Kind::Project, &name, &call.site);
        let plan = ProjectPlan { name: name.clone(), about: about(&call), place: call.place() };
        call.collector.plan.borrow_mut().projects.entry(name).or_insert(plan);
        Ok(NoneType)
    }

    fn codebase<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<Value<'v>> {
        let mut call = Call::open(&CODEBASE, args, eval)?;
        let name = call.subject("codebase");
        call.collector.declare(Kind::Codebase, &name, &call.site);
        let plan = DeclaredCodebase {
            name: name.clone(),
            project: of(&call),
            repository: call.string("repository").unwrap_or_default(),
            branch: call.string("branch"),
            about: about(&call),
            place: call.place(),
        };
        call.collector.plan.borrow_mut().codebases.entry(name).or_insert_with(|| plan.clone());
        let text = |text: Option<String>| text.map_or_else(Value::new_none, |text| eval.heap().alloc(text));
        let value = AllocStruct([
            ("name", text(Some(plan.name))),
            ("repository", text(Some(plan.repository))),
            ("branch", text(plan.branch)),
            ("project", text(plan.project)),
        ]);
        Ok(eval.heap().alloc(value))
    }
}

/// The argument `project`: the name of one that is declared.
pub(super) fn of(call: &Call<'_, '_, '_, '_, '_>) -> Option<String> {
    let name = call.string("project")?;
    call.collector.refer(&call.title, ReferenceKind::Project, &name, call.site.at(call.arg("project")));
    Some(name)
}

fn about(call: &Call<'_, '_, '_, '_, '_>) -> About {
    let mut links = Vec::new();
    for (word, value) in call.dict("links").unwrap_or_default() {
        let at = call.arg("links").key(&word);
        match value.unpack_str() {
            Some(url) => {
                check_url(call, "links", Some(url));
                links.push((word, url.to_owned()));
            }
            None => {
                let message = format!("{}: the address of the link `{word}` must be a text", call.title);
                call.problem(at, message, None);
            }
        }
    }
    About { title: call.string("title"), description: call.string("description"), links }
}

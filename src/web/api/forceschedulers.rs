//! `forceschedulers`: the forms by which people start builds (docs/reference/rest-api-v2.md#force).

use std::borrow::Cow;

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is};
use super::read_request::{ReadRequest, ReadResult};
use crate::model::{ForceParam, ForceParamKind, SchedulerKind, SchedulerPlan, StampSpec, Value, full_name};

static FORM_FIELD: Kind = Kind { name: "force_field", plural: "force_fields", fields: &[], paged: false };

const COLUMNS: &[Column<ForceRow>] = &[
    is("name", Type::Ident, |row, _| Cell::from(row.plan.name.as_str())),
    is("button_name", Type::Text, |row, _| Cell::from(row.button.as_str())),
    is("label", Type::Text, |row, _| Cell::from(row.label.as_str())),
    is("builder_names", Type::Texts, |row, _| {
        Cell::List(row.plan.builders.iter().map(|name| Cell::from(name.as_str())).collect())
    }),
    is("enabled", Type::Bool, |row, _| row.enabled.into()),
    is("all_fields", Type::Inners(&FORM_FIELD), |row, _| all_fields(&row.plan, &row.params)),
];

pub static FORCE_SCHEDULER: Kind = Kind {
    name: "forcescheduler",
    plural: "forceschedulers",
    fields: &fields::<_, { COLUMNS.len() }>(COLUMNS),
    paged: false,
};

/// Width of a one-line field, in letters.
const SIZE: i64 = 20;
/// Rows and columns of a field for several lines, when nothing else is said.
const TEXT_COLUMNS: i64 = 80;
/// The reason of a build that nobody gave a reason for.
pub const REASON: &str = "force build";

/// A force scheduler.
#[derive(Clone, Debug)]
pub struct ForceRow {
    plan: SchedulerPlan,
    label: String,
    button: String,
    params: Vec<ForceParam>,
    enabled: bool,
}

impl Resource for ForceRow {
    const KIND: &'static Kind = &FORCE_SCHEDULER;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let rows = rows(read, |_| true)?;
    read.list(rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let rows = rows(read, |plan| plan.name == read.text("schedulername"))?;
    read.one(rows.into_iter().next())
}

/// Those that may start a builder.
pub fn of_builder(read: &mut ReadRequest<'_>) -> ReadResult {
    let builder = read.builder()?;
    let starts = |plan: &SchedulerPlan| builder.as_ref().is_some_and(|builder| plan.builders.contains(&builder.name));
    let rows = rows(read, starts)?;
    read.list(rows)
}

fn rows(read: &ReadRequest<'_>, wanted: impl Fn(&SchedulerPlan) -> bool) -> Result<Vec<ForceRow>, ApiError> {
    let mut rows = Vec::new();
    for plan in read.plan.schedulers.values().filter(|plan| wanted(plan)) {
        let SchedulerKind::Force { label, button, params } = &plan.kind else { continue };
        let Some(plan) = read.store.visible_form(plan) else { continue };
        rows.push(ForceRow {
            label: label.clone(),
            button: button.clone(),
            params: params.clone(),
            enabled: read.store.is_enabled(&plan.name)?,
            plan,
        });
    }
    Ok(rows)
}

type Items<'a> = Vec<(Cow<'a, str>, Cell<'a>)>;

fn all_fields<'a>(plan: &'a SchedulerPlan, params: &'a [ForceParam]) -> Cell<'a> {
    let mut username = field("username", "username", "username", "Your name:".into());
    username.push(("need_email".into(), false.into()));
    let mut priority = field("priority", "priority", "int", "priority".into());
    replace(&mut priority, "default", Cell::Int(0));
    let mut reason = field("reason", "reason", "text", "reason".into());
    replace(&mut reason, "default", Cell::from(plan.reason.as_deref().unwrap_or(REASON)));
    let mut fields = vec![nested("", 1, vec![Cell::object(username), Cell::object(reason), Cell::object(priority)])];
    fields.extend(plan.codebases.iter().map(|codebase| codebase_group(&codebase.stamp)));
    fields.extend(params.iter().map(param));
    Cell::List(fields)
}

fn codebase_group(stamp: &StampSpec) -> Cell<'_> {
    let values = [
        ("branch", "Branch:", stamp.branch.as_deref().unwrap_or_default()),
        ("project", "Project:", stamp.project.as_str()),
        ("repository", "Repository:", stamp.repository.as_str()),
        ("revision", "Revision:", stamp.revision.as_deref().unwrap_or_default()),
    ];
    let fields = values.into_iter().map(|(name, label, default)| {
        let mut items = field(name, &full_name(&stamp.codebase, name), "text", label.into());
        replace(&mut items, "default", Cell::from(default));
        Cell::object(items)
    });
    nested(&stamp.codebase, 2, fields.collect())
}

fn param(param: &ForceParam) -> Cell<'_> {
    let (kind, more): (&str, Items<'_>) = match &param.kind {
        ForceParamKind::Text => ("text", Vec::new()),
        ForceParamKind::TextArea { rows, columns } => {
            ("textarea", vec![("cols".into(), Cell::number(*columns)), ("rows".into(), Cell::number(*rows))])
        }
        ForceParamKind::Int => ("int", Vec::new()),
        ForceParamKind::Bool => ("bool", Vec::new()),
        ForceParamKind::Choice { choices, strict } => {
            let choices = choices.iter().map(|choice| Cell::from(choice.as_str())).collect();
            ("list", vec![("choices".into(), Cell::List(choices)), ("strict".into(), (*strict).into())])
        }
        ForceParamKind::Fixed => ("fixed", Vec::new()),
    };
    let mut items = field(&param.name, &param.name, kind, param.label.as_str().into());
    replace(&mut items, "default", Cell::value(&param.default));
    replace(&mut items, "required", param.required.into());
    replace(&mut items, "multiple", param.multiple.into());
    replace(&mut items, "hide", (param.hidden || param.kind == ForceParamKind::Fixed).into());
    replace(&mut items, "maxsize", param.length_max.map_or(Cell::Null, Cell::number));
    replace(&mut items, "tooltip", Cell::from(param.tooltip.as_str()));
    match param.kind {
        ForceParamKind::Bool | ForceParamKind::Choice { .. } | ForceParamKind::Fixed => {
            items.retain(|(key, _)| key != "size");
        }
        ForceParamKind::TextArea { .. } => replace(&mut items, "size", Cell::Int(TEXT_COLUMNS)),
        ForceParamKind::Text | ForceParamKind::Int => {}
    }
    items.extend(more);
    Cell::object(items)
}

fn nested<'a>(name: &'a str, columns: i64, fields: Vec<Cell<'a>>) -> Cell<'a> {
    let mut items = field(name, name, "nested", name.into());
    items.retain(|(key, _)| key != "size");
    replace(&mut items, "fullName", if name.is_empty() { Cell::Null } else { Cell::from(name) });
    items.push(("layout".into(), "vertical".into()));
    items.push(("columns".into(), columns.into()));
    items.push(("fields".into(), Cell::List(fields)));
    Cell::object(items)
}

fn field<'a>(name: &'a str, full_name: &str, kind: &'a str, label: Cow<'a, str>) -> Items<'a> {
    vec![
        ("name".into(), Cell::from(name)),
        ("fullName".into(), Cell::from(full_name.to_owned())),
        ("label".into(), Cell::Text(label.clone())),
        ("tablabel".into(), Cell::Text(label)),
        ("type".into(), Cell::from(kind)),
        ("default".into(), Cell::from("")),
        ("required".into(), false.into()),
        ("multiple".into(), false.into()),
        ("regex".into(), Cell::Null),
        ("hide".into(), false.into()),
        ("maxsize".into(), Cell::Null),
        ("autopopulate".into(), Cell::Null),
        ("tooltip".into(), Cell::from("")),
        ("size".into(), SIZE.into()),
    ]
}

fn replace<'a>(items: &mut Items<'a>, key: &str, value: Cell<'a>) {
    if let Some((_, old)) = items.iter_mut().find(|(name, _)| name == key) {
        *old = value;
    }
}

/// A default as the text of a form's field.
pub fn default_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

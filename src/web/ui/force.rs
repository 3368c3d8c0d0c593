//! The form that starts builds, and what a browser sends back.
//!
//! The texts become the parameters of a force call. The engine checks them, and its errors are shown beside the fields,
//! which keep what was typed.

use std::collections::BTreeMap;

use crate::model::{
    BuilderRecord, ForceParam, ForceParamKind, SchedulerKind, SchedulerPlan, StampSpec, Value, full_name,
};
use crate::web::api::{REASON, default_text};

/// A form.
#[derive(Clone, Debug)]
pub struct Form {
    pub scheduler: String,
    pub label: String,
    pub button: String,
    pub action: String,
    pub enabled: bool,
    pub fields: Vec<FormField>,
    /// Shown at once, because something was wrong with it.
    pub open: bool,
    /// What was wrong with none of the fields in particular.
    pub problem: String,
}

/// A field of a form.
#[derive(Clone, Debug, Default)]
pub struct FormField {
    pub name: String,
    pub label: String,
    pub tooltip: String,
    pub value: String,
    pub problem: String,
    pub required: bool,
    pub length_max: u64,
    /// Which widget: `text`, `textarea`, `int`, `bool`, `list`, `suggest`.
    pub widget: &'static str,
    pub rows: u64,
    pub multiple: bool,
    pub choices: Vec<Choice>,
}

/// One of several values.
#[derive(Clone, Debug)]
pub struct Choice {
    pub value: String,
    pub chosen: bool,
}

/// What a visitor typed before, and what was wrong with it.
#[derive(Clone, Debug, Default)]
pub struct SubmittedForm {
    pub scheduler: String,
    pub values: BTreeMap<String, Vec<String>>,
    pub problems: BTreeMap<String, String>,
    pub problem: String,
}

/// The form of a force scheduler for one builder.
pub fn form(
    plan: &SchedulerPlan,
    builder: &BuilderRecord,
    enabled: bool,
    typed: Option<&SubmittedForm>,
) -> Option<Form> {
    let SchedulerKind::Force { label, button, params } = &plan.kind else { return None };
    let typed = typed.filter(|typed| typed.scheduler == plan.name);
    let mut fields =
        vec![line("username", "Your name", ""), line("reason", "Reason", plan.reason.as_deref().unwrap_or(REASON))];
    fields.extend(plan.codebases.iter().flat_map(|codebase| codebase_fields(&codebase.stamp)));
    fields.extend(params.iter().filter(|param| !param.hidden).filter_map(param_field));
    fields.push(FormField { widget: "int", ..line("priority", "Priority", "0") });
    for field in &mut fields {
        field.fill(typed);
    }
    Some(Form {
        scheduler: plan.name.clone(),
        label: label.clone(),
        button: button.clone(),
        action: format!("/builders/{}/force/{}", builder.id, crate::web::request::encode(&plan.name)),
        enabled,
        open: typed.is_some(),
        problem: typed.map(|typed| typed.problem.clone()).unwrap_or_default(),
        fields,
    })
}

fn line(name: &str, label: &str, value: &str) -> FormField {
    FormField {
        name: name.to_owned(),
        label: label.to_owned(),
        value: value.to_owned(),
        widget: "text",
        ..FormField::default()
    }
}

fn codebase_fields(stamp: &StampSpec) -> Vec<FormField> {
    let about = if stamp.codebase.is_empty() { String::new() } else { format!(" ({})", stamp.codebase) };
    let field = |name: &str, label: &str, value: &str| {
        let field = line(&full_name(&stamp.codebase, name), &format!("{label}{about}"), value);
        FormField { tooltip: "empty: as configured".to_owned(), ..field }
    };
    vec![
        field("branch", "Branch", stamp.branch.as_deref().unwrap_or_default()),
        field("revision", "Revision", stamp.revision.as_deref().unwrap_or_default()),
    ]
}

fn param_field(param: &ForceParam) -> Option<FormField> {
    let mut field = FormField {
        tooltip: param.tooltip.clone(),
        required: param.required,
        length_max: param.length_max.unwrap_or(0),
        multiple: param.multiple,
        ..line(&param.name, &param.label, &default_text(&param.default))
    };
    if field.label.is_empty() {
        field.label.clone_from(&param.name);
    }
    match &param.kind {
        ForceParamKind::Fixed => return None,
        ForceParamKind::Text => {}
        ForceParamKind::TextArea { rows, .. } => {
            field.widget = "textarea";
            field.rows = *rows;
        }
        ForceParamKind::Int => field.widget = "int",
        ForceParamKind::Bool => {
            field.widget = "bool";
            field.value = if param.default.is_true() { "on".to_owned() } else { String::new() };
        }
        ForceParamKind::Choice { choices, strict } => {
            field.widget = if *strict || param.multiple { "list" } else { "suggest" };
            let defaults = texts(&param.default);
            let extra = defaults.iter().filter(|text| !choices.contains(text));
            let all = choices.iter().chain(extra);
            field.choices =
                all.map(|value| Choice { value: value.clone(), chosen: defaults.contains(value) }).collect();
        }
    }
    Some(field)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items.iter().map(default_text).collect(),
        value => vec![default_text(value)],
    }
}

impl FormField {
    /// Puts in what was typed before.
    fn fill(&mut self, typed: Option<&SubmittedForm>) {
        let Some(typed) = typed else { return };
        let values = typed.values.get(&self.name);
        self.value = values.and_then(|values| values.first()).cloned().unwrap_or_default();
        self.problem = typed.problems.get(&self.name).cloned().unwrap_or_default();
        for choice in &mut self.choices {
            choice.chosen = values.is_some_and(|values| values.contains(&choice.value));
        }
    }
}

/// The parameters of a force call, from what a browser sends: a box that is not ticked is not sent at all.
pub fn params(plan: &SchedulerPlan, fields: &BTreeMap<String, Vec<String>>) -> BTreeMap<String, Value> {
    let SchedulerKind::Force { params, .. } = &plan.kind else { return BTreeMap::new() };
    let mut out: BTreeMap<String, Value> = fields
        .iter()
        .filter_map(|(name, values)| values.first().map(|value| (name.clone(), Value::from(value.as_str()))))
        .collect();
    for param in params {
        let sent = fields.get(&param.name);
        let value = match &param.kind {
            // A browser sends "on" for a ticked box; anything else is judged as everywhere.
            ForceParamKind::Bool => sent.is_none().then_some(Value::Bool(false)),
            ForceParamKind::Choice { .. } if param.multiple => {
                let chosen = sent.into_iter().flatten().map(|value| Value::from(value.as_str()));
                Some(Value::List(chosen.collect()))
            }
            _ => None,
        };
        if let (Some(value), false) = (value, param.hidden) {
            out.insert(param.name.clone(), value);
        }
    }
    out
}

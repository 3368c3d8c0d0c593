//! Checks the arguments of calls without running them.

use std::collections::HashMap;

use starlark::syntax::AstModule;

use super::super::problem::Problem;

/// What is known of functions.
#[derive(Debug, Default)]
pub(in crate::config) struct Signatures {}

impl Signatures {
    pub(in crate::config) fn learn(&mut self, _name: &str, _ast: &AstModule, _loads: &HashMap<String, String>) {}

    pub(in crate::config) fn check_calls(&self, _name: &str, _ast: &AstModule) -> Vec<Problem> {
        Vec::new()
    }
}

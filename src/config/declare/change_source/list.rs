//! The change source `list`, which only tests have: texts that become changes.

use super::super::super::args::Call;
use super::super::super::signature::required;
use super::super::kinds::KindOf;
use crate::model::{ChangeSourceKind, ListPlan};

pub(super) const LIST: KindOf<ChangeSourceKind> =
    KindOf { word: "list", params: &[required("texts", "list of text", "The comments of its changes.")], read };

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> ChangeSourceKind {
    ChangeSourceKind::List(ListPlan { texts: call.strings("texts").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::super::super::super::loader::{Loaded, load_sources};
    use super::super::super::super::problem::Refused;
    use super::super::super::super::sources::Sources;
    use super::*;
    use crate::base::Span;

    fn load(declaration: &str) -> Result<Loaded, Refused> {
        let text = format!("worker(\"w\")\n{declaration}\n");
        load_sources(Sources { main: "master.star".to_owned(), files: [("master.star".to_owned(), text)].into() })
    }

    #[test]
    fn a_kind_that_a_line_adds_is_declared_with_the_common_arguments() {
        let loaded = load("change_source(\"told\", \"list\", texts = [\"a\"], every = \"1m\")").unwrap();
        let source = &loaded.plan.change_sources["told"];
        assert_eq!(source.every, Span::from_minutes(1));
        assert_eq!(source.kind, ChangeSourceKind::List(ListPlan { texts: vec!["a".to_owned()] }));
    }

    #[test]
    fn each_kind_takes_its_own_arguments_and_no_other_ones() {
        let messages = |declaration: &str| -> Vec<String> {
            load(declaration).unwrap_err().problems.into_iter().map(|problem| problem.message).collect()
        };
        assert_eq!(messages("change_source(\"told\", \"list\")"), ["`change_source` needs `texts`"]);
        assert_eq!(messages("change_source(\"app\", \"git\")"), ["`change_source` needs `repository`"]);
        assert_eq!(
            messages("change_source(\"told\", \"list\", texts = [], tags = True)"),
            ["change source `told`: `tags` has no meaning for kind \"list\""]
        );
        assert_eq!(messages("change_source(\"told\", \"lst\")").len(), 1);
    }
}

//! The notifier `paper`, which only tests have: a line in a file.

use super::super::super::args::Call;
use super::super::super::signature::{optional, required};
use super::super::kinds::KindOf;
use crate::model::{NotifierKind, PaperPlan};

pub(super) const PAPER: KindOf<NotifierKind> = KindOf {
    word: "paper",
    params: &[
        required("file", "text", "Where to write."),
        optional("line", "function of (message)", "ours", "Makes the line."),
    ],
    read,
};

fn read(call: &mut Call<'_, '_, '_, '_, '_>) -> NotifierKind {
    let file = call.string("file").unwrap_or_default();
    NotifierKind::Paper(PaperPlan { file, line: call.function("line", &["message"]) })
}

#[cfg(test)]
mod tests {
    use super::super::super::super::loader::load_sources;
    use super::super::super::super::sources::Sources;
    use super::*;
    use crate::model::NotifyOn;

    #[test]
    fn a_kind_that_a_line_adds_is_declared_with_the_common_arguments() {
        let text =
            "worker(\"w\")\nnotifier(\"desk\", \"paper\", on = [\"always\"], file = \"f\", line = lambda m: \"x\")\n";
        let files = [("master.star".to_owned(), text.to_owned())].into();
        let loaded = load_sources(Sources { main: "master.star".to_owned(), files }).unwrap();
        let notifier = &loaded.plan.notifiers["desk"];
        assert_eq!(notifier.on, [NotifyOn::Always]);
        let NotifierKind::Paper(paper) = &notifier.kind else { panic!("it is of its kind") };
        assert!(paper.file == "f" && paper.line.is_some());
    }
}

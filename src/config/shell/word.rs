//! A word of a command, as a shell splits a line.

/// A word: its text without quotes, `\u{fffc}` for each place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Something of it was quoted or expanded.
    pub(super) quoted: bool,
    /// It stands where the command's name does.
    pub(super) leads: bool,
    pub(super) places: Vec<usize>,
}

/// Stands for a place in the text of a word.
pub(super) const PLACE: char = '\u{fffc}';

impl Word {
    pub(super) fn take(&mut self, place: usize) {
        self.text.push(PLACE);
        self.places.push(place);
    }

    /// The program that the word names: without its directory and `.exe`.
    pub(super) fn program(&self) -> String {
        let name = self.text.rsplit(['/', '\\']).next().unwrap_or_default().to_lowercase();
        name.strip_suffix(".exe").unwrap_or(&name).to_owned()
    }
}

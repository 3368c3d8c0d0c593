//! How secrets and templates show in text, and the refusal of plain text that holds such a mark.

/// How the printed form of a template begins.
pub(super) const TEMPLATE_MARK: &str = "<template \"";
/// How the printed form of a secret begins.
pub(super) const SECRET_MARK: &str = "<secret \"";

/// Refuses text into which a secret or a template was formatted: its value would not be there, only its name.
pub(super) fn plain(text: &str) -> Result<&str, String> {
    if text.contains(TEMPLATE_MARK) {
        return Err("holds a template that was turned into plain text; join with `+`, or write the whole text in interpolate(\"…\")".to_owned());
    }
    if text.contains(SECRET_MARK) {
        return Err(
            "holds a secret that was turned into plain text; join with concat(\"…\", secret(\"name\"))".to_owned()
        );
    }
    Ok(text)
}

//! Which names can be those of directories, on every system and without surprises on a command line.

/// Bytes of a name: file systems take 255, and something is added to it.
const BYTES_MAX: usize = 200;
/// What Windows takes for a device, whatever comes after a dot.
const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];

/// Why a name cannot be that of a directory; none if it can.
pub(super) fn trouble(name: &str) -> Option<&'static str> {
    let first = name.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = first.strip_prefix("com").or_else(|| first.strip_prefix("lpt"));
    let is_device = DEVICES.contains(&first.as_str())
        || numbered
            .is_some_and(|n| matches!(n, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"));
    if name.is_empty() {
        Some("is empty")
    } else if name == "." || name == ".." {
        Some("leads to another directory")
    } else if name.contains(['/', '\\', ':']) {
        Some("contains a path separator (`/`, `\\` or `:`)")
    } else if name.chars().any(|c| c.is_control() || "<>\"|?*".contains(c)) {
        Some("has a character that file names cannot have everywhere")
    } else if name.starts_with('-') {
        Some("begins with a dash, so programs would take it for an option")
    } else if name.ends_with(['.', ' ']) {
        Some("ends with a dot or a space, which Windows drops")
    } else if name.starts_with(' ') {
        Some("begins with a space")
    } else if is_device {
        Some("is the name of a device on Windows")
    } else if name.len() > BYTES_MAX {
        Some("is too long for a directory (200 bytes)")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::trouble;

    #[test]
    fn ordinary_names_are_fine() {
        for name in
            ["linux-1", "a.b", ".hidden", "...x", "_", "Grün", "a b", "console", "com", "com10", "lpt", "nul1", "~"]
        {
            assert_eq!(trouble(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_or_mean_something_else_are_refused() {
        let long = "x".repeat(201);
        for name in [
            "", ".", "..", "a/b", "a\\b", "c:", "a\nb", "-rf", "a.", "a ", " a", "CON", "con.txt", "NUL", "Com1",
            "lpt9.x", "aux .x", "a?", "a*", "a|b", "...", &long,
        ] {
            assert!(trouble(name).is_some(), "{name}");
        }
    }
}

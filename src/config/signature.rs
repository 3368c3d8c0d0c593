//! What a native function takes, as data: one table drives the checks, the messages and the reference.

/// A native function of the configuration language.
#[derive(Debug)]
pub(super) struct Native {
    /// Its name.
    pub(super) name: &'static str,
    /// For people: the first line says what it does.
    pub(super) doc: &'static str,
    /// A runnable example.
    pub(super) example: &'static str,
    /// How many of `params`, from the first, may be given without their names.
    pub(super) positional: usize,
    /// What it takes, in order: the arguments of all kinds.
    pub(super) params: &'static [Param],
    /// The words for its argument `kind`, each with the arguments that only such a thing takes; none if there is no kind.
    pub(super) kinds: &'static [(&'static str, &'static [Param])],
}

/// An argument of a native function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    /// Its name.
    pub(super) name: &'static str,
    /// Its type, in words.
    pub(super) kind: &'static str,
    /// What it is if it is left out; none: it must be given.
    pub(super) default: Option<&'static str>,
    /// For people.
    pub(super) doc: &'static str,
}

/// An argument that must be given.
pub(super) const fn required(name: &'static str, kind: &'static str, doc: &'static str) -> Param {
    Param { name, kind, default: None, doc }
}

/// An argument that may be left out.
pub(super) const fn optional(
    name: &'static str,
    kind: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Param {
    Param { name, kind, default: Some(default), doc }
}

impl Native {
    /// The names of all arguments.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        self.params.iter().map(|param| param.name)
    }

    /// Whether an argument has a meaning for this kind: every kind takes it, or this one does.
    pub(super) fn belongs(&self, name: &str, kind: Option<&str>) -> bool {
        let takes = |(_, params): &(&str, &[Param])| params.iter().any(|param| param.name == name);
        !self.kinds.iter().any(takes) || self.kinds.iter().any(|of| kind == Some(of.0) && takes(of))
    }

    /// The place of an argument among those that may be given without their names.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.params.iter().take(self.positional).position(|param| param.name == name)
    }
}

//! The types of resources: the fields of each and their types (docs/reference/rest-api-v2.md#types). The query
//! language checks names and values against these tables; `application.spec` prints them.

use super::cell::Cell;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Int,
    /// Whole seconds since 1970.
    Time,
    Bool,
    /// An identifier.
    Ident,
    Text,
    /// Bytes, which JSON cannot represent.
    Binary,
    /// Any object.
    Json,
    /// Properties with their sources.
    Props,
    /// Another resource inside.
    Inner(&'static Kind),
    Ints,
    Texts,
    /// A list of resources.
    Inners(&'static Kind),
}

/// A field of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Type,
    pub nullable: bool,
}

/// A type of resources.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: &'static str,
    /// The key of the items in an answer.
    pub plural: &'static str,
    pub fields: &'static [Field],
    /// Large tables, in which null never matches a filter, text is compared without regard to ASCII case, and the total
    /// of a page is its length.
    pub paged: bool,
}

impl Kind {
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field that always has a value.
pub const fn is(name: &'static str, kind: Type) -> Field {
    Field { name, kind, nullable: false }
}

/// A field that may be null.
pub const fn may(name: &'static str, kind: Type) -> Field {
    Field { name, kind, nullable: true }
}

/// One resource of some kind.
pub trait Resource {
    /// Its kind.
    const KIND: &'static Kind;
    /// The value of one of the kind's fields. `view` says which properties are wanted.
    fn cell<'a>(&'a self, field: &str, view: &'a View) -> Cell<'a>;
}

/// Which properties to fill in (`property=` parameters).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// None was asked for.
    #[default]
    Plain,
    /// All.
    All,
    /// These.
    Named(Vec<String>),
}

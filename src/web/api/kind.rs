//! The types of resources: the fields of each and their types (docs/reference/rest-api-v2.md#types). The query
//! language checks names and values against these tables; `application.spec` prints them.

use super::cell::Cell;
use super::view::View;

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

/// How the value of a field is found in a row. The view says which properties are wanted.
pub type Get<R> = for<'a> fn(&'a R, &'a View) -> Cell<'a>;

/// A field of rows of type `R`, with the way to its value.
pub struct Column<R> {
    pub field: Field,
    pub get: Get<R>,
}

/// A field that always has a value.
pub const fn is<R>(name: &'static str, kind: Type, get: Get<R>) -> Column<R> {
    Column { field: plain(name, kind), get }
}

/// A field that may be null.
pub const fn may<R>(name: &'static str, kind: Type, get: Get<R>) -> Column<R> {
    Column { field: Field { name, kind, nullable: true }, get }
}

/// A field that always has a value, of a kind that is only seen inside of others.
pub const fn plain(name: &'static str, kind: Type) -> Field {
    Field { name, kind, nullable: false }
}

/// The same, which may be null.
pub const fn nullable(name: &'static str, kind: Type) -> Field {
    Field { name, kind, nullable: true }
}

/// The fields of columns.
pub const fn fields<R, const N: usize>(columns: &[Column<R>]) -> [Field; N] {
    let mut fields = [plain("", Type::Int); N];
    let mut at = 0;
    while at < N {
        fields[at] = columns[at].field;
        at += 1;
    }
    fields
}

/// One resource of some kind.
pub trait Resource: Sized + 'static {
    /// Its kind, whose fields are those of the columns.
    const KIND: &'static Kind;
    /// Its fields with their values.
    const COLUMNS: &'static [Column<Self>];

    /// The value of one of the kind's fields. `view` says which properties are wanted.
    ///
    /// # Panics
    /// Never: names of fields are checked against the kind, when a query is read.
    fn cell<'a>(&'a self, field: &str, view: &'a View) -> Cell<'a> {
        let column = Self::COLUMNS.iter().find(|column| column.field.name == field);
        (column.expect("a kind has no fields but those of its columns").get)(self, view)
    }

    /// All fields, as they stand inside another resource.
    fn embedded(&self) -> Cell<'_> {
        let cells = Self::COLUMNS.iter().map(|column| (column.field.name.into(), (column.get)(self, &View::Plain)));
        Cell::object(cells.collect())
    }
}

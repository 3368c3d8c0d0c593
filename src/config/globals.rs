//! The names that every file sees.

use std::sync::OnceLock;

use starlark::environment::{Globals, GlobalsBuilder, LibraryExtension};

use super::data::data_functions;
use super::declare::declarations;
use super::evaluate::context_types;
use super::pure::pure_functions;
use super::template::template_functions;
use super::values::secret_functions::secret_functions;

/// What Starlark offers beyond the standard. `json` comes from our own helpers.
const EXTENSIONS: [LibraryExtension; 8] = [
    LibraryExtension::StructType,
    LibraryExtension::RecordType,
    LibraryExtension::EnumType,
    LibraryExtension::SetType,
    LibraryExtension::Map,
    LibraryExtension::Filter,
    LibraryExtension::Partial,
    LibraryExtension::Typing,
];

/// All of them, made once.
pub(super) fn globals() -> &'static Globals {
    static GLOBALS: OnceLock<Globals> = OnceLock::new();
    GLOBALS.get_or_init(|| {
        GlobalsBuilder::extended_by(&EXTENSIONS)
            .with(|builder| LibraryExtension::Print.add(builder))
            .with(secret_functions)
            .with(declarations)
            .with(data_functions)
            .with(context_types)
            .with(pure_functions)
            .with(template_functions)
            .build()
    })
}

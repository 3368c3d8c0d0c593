//! Pages, API, hooks; hands upgraded sockets to `master`.

mod face;
pub use face::*;

//! How much of a resource a query wants to see.

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

//! A schema name in a statement.

/// A schema that is named.
pub(super) struct Named {
    pub(super) at: usize,
    pub(super) schema: String,
    /// Whether something is made in it.
    pub(super) defines: bool,
}

impl Named {
    pub(super) fn new(at: usize, schema: String) -> Self {
        Self { at, schema, defines: false }
    }
}

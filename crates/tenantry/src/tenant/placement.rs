use super::Ident;

/// Where a tenant's data lives: the container that holds it, on the manager's server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Placement {
    /// A schema of the manager's database.
    Schema(Ident),
}

impl Placement {
    /// Returns the name of the container, whatever its kind.
    #[must_use]
    pub fn container(&self) -> &Ident {
        match self {
            Self::Schema(schema) => schema,
        }
    }
}

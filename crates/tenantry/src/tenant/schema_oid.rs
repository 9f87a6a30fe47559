use std::fmt;

/// Identifies a schema regardless of its name: the OID of its row in
/// [`pg_namespace`](https://www.postgresql.org/docs/current/catalog-pg-namespace.html).
///
/// A name can be reused; an OID is not reused while any session remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SchemaOid(u32);

/// The schema that a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Schema {
    There(SchemaOid),
    Missing,
}

impl SchemaOid {
    pub(crate) fn new(oid: u32) -> Self {
        Self(oid)
    }

    pub(crate) fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Debug for SchemaOid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oid {}", self.0)
    }
}

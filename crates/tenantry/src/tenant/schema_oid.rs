use std::fmt;

/// Which schema it is, whatever its name: the OID of its row in
/// [`pg_namespace`](https://www.postgresql.org/docs/current/catalog-pg-namespace.html).
///
/// A name is given away again; an OID is not, as long as any session remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SchemaOid(u32);

/// What a name of a schema stands for.
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

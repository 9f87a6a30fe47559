use crate::{sql::Sql, tenant::Ident};

/// The name of the library's own table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) schema: &'a Ident,
    pub(super) table: &'a Ident,
}

impl Name<'_> {
    /// Appends the name.
    pub(super) fn to<'s>(&self, sql: &'s mut Sql) -> &'s mut Sql {
        sql.ident(self.schema).text(".").ident(self.table)
    }
}

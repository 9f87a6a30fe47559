//! Creates the library's tables that moves need.

use sqlx::{PgConnection, Row};

use crate::{
    error::{Error, ErrorKind},
    pool::keep_to_owner,
    sql::Sql,
    tenant::Ident,
};

/// A table in the shared schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnTable {
    pub(super) name: &'static str,
    /// What stands in parentheses after its name.
    pub(super) columns: &'static str,
    /// A unique index: what follows its name and the table's.
    pub(super) index: Option<(&'static str, &'static str)>,
    /// The lock for creating it: `if not exists` alone does not keep two sessions apart.
    pub(super) lock: u64,
}

impl OwnTable {
    /// Appends its qualified name.
    pub(super) fn name(self, sql: &mut Sql, shared: &Ident) {
        sql.ident(shared).text(".").text(self.name);
    }

    /// Returns `true` if it exists.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if it belongs to another role, which could have planted it.
    pub(super) async fn exists(
        self,
        conn: &mut PgConnection,
        shared: &Ident,
    ) -> Result<bool, Error> {
        let mut sql = Sql::new(
            "select pg_catalog.pg_has_role(c.relowner, 'usage') from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             where c.relname operator(pg_catalog.=) ",
        );
        sql.literal(self.name)
            .text(" and n.nspname operator(pg_catalog.=) ")
            .literal(shared.as_str());
        match sqlx::raw_sql(sql.finish()).fetch_optional(conn).await? {
            None => Ok(false),
            Some(row) if row.try_get(0)? => Ok(true),
            Some(_) => {
                let attempted = format!(
                    "the table {shared}.{} belongs to a role that maintenance is not a member of: drop it, or give it \
                     to the role of maintenance",
                    self.name
                );
                Err(Error::new(ErrorKind::Config, attempted))
            }
        }
    }

    /// Makes sure that it exists. Not in a transaction: two of them would collide.
    pub(super) async fn ensure(self, conn: &mut PgConnection, shared: &Ident) -> Result<(), Error> {
        if self.exists(conn, shared).await? {
            return Ok(());
        }
        let mut sql = Sql::new("select pg_catalog.pg_advisory_xact_lock(");
        sql.number(self.lock).text("); create table if not exists ");
        self.name(&mut sql, shared);
        sql.text(" (").text(self.columns).text("); ");
        if let Some((index, on)) = self.index {
            sql.text("create unique index if not exists ").text(index).text(" on ");
            self.name(&mut sql, shared);
            sql.text(" ").text(on).text("; ");
        }
        keep_to_owner(&mut sql, shared, self.name);
        let made = sqlx::raw_sql(sql.finish()).execute(conn).await;
        made.map(drop).map_err(|error| {
            let attempted = format!(
                "the schema {shared} must have a table {}, which cannot be created: grant the role of maintenance \
                 create on it",
                self.name
            );
            Error::new(ErrorKind::Database, attempted).with_source(error)
        })
    }
}

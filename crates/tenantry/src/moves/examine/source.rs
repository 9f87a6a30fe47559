//! What prevents a move at its source: rights, what would not be copied, and what depends on it.

use std::time::{Duration, Instant};

use sqlx::Row;

use super::{
    super::{ObstacleKind, beside::BESIDE, ends::Ends, failure::told, id::book},
    Examination,
};
use crate::{
    error::{Error, ErrorKind},
    provision::objects_outside,
    sql::Sql,
    tenant::{Ident, IsolationKind},
};

/// The bytes of the tables and their indexes, tables whose rows this role may not read or lock, whether it may rename the
/// schema, its name, and tables whose policies apply to it and which it does not own: those of its own it can
/// [read](super::super::unforced).
fn source_sql(schema: &Ident) -> Sql {
    let mut sql = Sql::new(
        "select coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)), 0)::pg_catalog.int8, \
           pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
             where not pg_catalog.has_table_privilege(c.oid, 'select') \
               or not pg_catalog.has_table_privilege(c.oid, 'update, delete, truncate')), \
           pg_catalog.bool_and(pg_catalog.pg_has_role(n.nspowner, 'usage')) \
             and pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create'), \
           pg_catalog.quote_ident(current_user::pg_catalog.text), \
           pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) filter ( \
             where c.relkind operator(pg_catalog.<>) 'm' and pg_catalog.row_security_active(c.oid) \
               and not (c.relforcerowsecurity and pg_catalog.pg_has_role(c.relowner, 'usage'))) \
         from pg_catalog.pg_namespace n left join pg_catalog.pg_class c \
           on c.relnamespace operator(pg_catalog.=) n.oid \
           and c.relkind operator(pg_catalog.=) any (array['r', 'm', 'p']::pg_catalog.\"char\"[]) \
         where n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql
}

/// Whether the role may create a function in a schema, its name, and the tables of a list that it may not fence: only
/// their owner can drop a trigger. Parameters: the schema, and the tables.
const MAY_FENCE: &str = "\
    select pg_catalog.has_schema_privilege(n.oid, 'create'), pg_catalog.quote_ident(current_user::pg_catalog.text), \
      (select pg_catalog.string_agg(c.relname::pg_catalog.text, ', ' order by c.relname::pg_catalog.text) \
        from pg_catalog.pg_class c where c.relnamespace operator(pg_catalog.=) n.oid \
          and c.relname::pg_catalog.text operator(pg_catalog.=) any ($2) \
          and not pg_catalog.pg_has_role(c.relowner, 'usage')) \
    from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1";

/// How much longer it takes to copy rows between tables than to read them.
const WRITING: u32 = 5;

/// The bytes of rows per second that are not exceeded however fast they are read, and what each table takes besides.
const RATE: f64 = 10e6;
const PER_TABLE: Duration = Duration::from_millis(45);

impl Examination<'_> {
    pub(super) async fn source(&mut self) -> Result<(), Error> {
        if self.ends.are_rows() {
            self.rows().await?;
        }
        if self.ends.source_kind() == IsolationKind::Row {
            return self.shared_tables().await;
        }
        let Ends { source, schema, .. } = self.ends;
        let mut lease = source.lease_for(&source.site_of(schema)).await?;
        let row = sqlx::raw_sql(source_sql(schema).finish()).fetch_one(&mut *lease).await?;
        let Some(may_rename) = row.try_get::<Option<bool>, _>(2)? else {
            let gone = Error::new(ErrorKind::UnknownTenant, "its schema does not exist");
            return Err(gone.with_tenant(self.ends.id()));
        };
        let role: &str = row.try_get(3)?;
        if !self.ends.are_rows() {
            self.bytes = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
        }
        if let Some(tables) = row.try_get::<Option<&str>, _>(1)? {
            let what = format!(
                "on the source, the role {role} may not read or lock: {tables}; make it a member of their owner"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if let Some(tables) = row.try_get::<Option<&str>, _>(4)?
            && !self.ends.are_rows()
        {
            let what = format!(
                "on the source, policies of these tables apply to the role {role}, and could hide rows from it: \
                 {tables}; give the role bypassrls on both servers, or make it a member of their owner"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if !may_rename {
            let what = format!(
                "on the source, the role {role} may not rename the schema {schema}: it must be a member of its owner, \
                 and may need the privilege create on the database"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if self.ends.source_kind() == IsolationKind::Database {
            let beside = sqlx::query(BESIDE).bind(schema.as_str()).bind(book().as_str());
            let row = beside.persistent(false).fetch_one(&mut *lease).await?;
            self.beside(&row)?;
        }
        let outside = objects_outside(&mut lease, schema).await?;
        if !outside.is_empty() {
            let what = format!("{} outside of the schema depends on it", outside.join(", "));
            self.found(ObstacleKind::Outside, what);
        }
        Ok(())
    }

    /// Names what a tenant's database has besides its schema.
    fn beside(&mut self, row: &sqlx::postgres::PgRow) -> Result<(), Error> {
        for (column, what) in ["other schemas with objects", "large objects", "event triggers"]
            .into_iter()
            .enumerate()
        {
            if let Some(found) = row.try_get::<Option<&str>, _>(column)? {
                let what = format!("it would not be copied: its database has {what}: {found}");
                self.found(ObstacleKind::NotCarried, what);
            }
        }
        if let Some(settings) = row.try_get::<Option<&str>, _>(3)? {
            self.remarks.push(format!("the settings of its database are not copied: {settings}"));
        }
        Ok(())
    }

    /// Measures the rows of the tenant, and names those that would be lost.
    async fn rows(&mut self) -> Result<(), Error> {
        let site = self.ends.rows_at_source(&self.ends.schema)?;
        let began = Instant::now();
        let found = match self.ends.rows_of_source(&site).examine().await {
            Err(error) if error.kind() == ErrorKind::Placement => {
                self.found(ObstacleKind::Structure, told(&error));
                return Ok(());
            }
            found => found?,
        };
        self.bytes = found.bytes;
        self.tables = u32::try_from(found.tables.len()).unwrap_or(u32::MAX);
        // They are read, written twice, and their indexes are filled.
        let read = began.elapsed() * WRITING;
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let written = Duration::from_secs_f64(found.bytes as f64 / RATE);
        self.structure = read.max(written) + PER_TABLE * self.tables;
        for what in found.left_behind {
            self.found(ObstacleKind::NotCarried, what);
        }
        for table in found.in_common {
            let what =
                format!("the rows of table {table} are not copied: all tenants share that table");
            self.remarks.push(what);
        }
        Ok(())
    }

    /// Whether the role may put up the fence in the tables of all tenants.
    async fn shared_tables(&mut self) -> Result<(), Error> {
        let Ends { source, schema, .. } = self.ends;
        let site = self.ends.rows_at_source(schema)?;
        let mut lease = source.lease_for(&site).await?;
        let tables = self.ends.rows_of_source(&site).tables(&mut lease).await?;
        let may = sqlx::query(MAY_FENCE).bind(schema.as_str()).bind(&tables).persistent(false);
        let row = may.fetch_one(&mut *lease).await?;
        let (may_create, role): (bool, String) = (row.try_get(0)?, row.try_get(1)?);
        let unfenced: Option<String> = row.try_get(2)?;
        drop(lease);
        if !may_create {
            let what = format!(
                "on the source, the role {role} may not create a function in the schema {schema}"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        if let Some(tables) = unfenced {
            let what = format!(
                "on the source, the role {role} may not lock, or create and drop triggers of: {tables}; make it a \
                 member of their owner"
            );
            self.found(ObstacleKind::Privilege, what);
        }
        Ok(())
    }
}

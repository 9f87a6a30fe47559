//! SQL that keeps the tenants apart in tables that all of them use, for migration files.

mod adopt;
mod create;
mod fill;
mod policy;
mod protect;
mod step;
mod table;

pub(super) use policy::{
    TENANT_POLICY, create_open_policy, create_tenant_policy, key_of_session, qualified, set_default,
};
pub use step::RowStep;
pub use table::RowTable;

use crate::{sql::Sql, tenant::Rows};

/// Writes the SQL that keeps tenants apart in tables that all of them use.
///
/// It names no schema, so that a migration creates the tables in the first schema of the search
/// path, as [migrations](crate::migrate) require. [`schema`](Rows::schema) is where tenants look
/// for them.
///
/// # Examples
///
/// For tables that the same file creates, with the tenant column in every key:
///
/// ```
/// use tenantry::{KeyType, Rows, rows::{RowTable, RowTables}};
///
/// let rows = Rows::new().key(KeyType::Uuid).role("app")?;
/// let tables = RowTables::new(&rows).table(RowTable::new("users")?);
/// let file = format!(
///     "create table users (
///        tenant_id uuid, id uuid default gen_random_uuid(), email text not null,
///        primary key (tenant_id, id), unique (tenant_id, email));
///      {}",
///     tables.protect()
/// );
/// assert!(file.contains("as restrictive for all"));
/// # Ok::<(), tenantry::IdentError>(())
/// ```
///
/// For tables that exist, and whose rows all belong to one tenant so far:
///
/// ```
/// use tenantry::{Rows, rows::{RowTable, RowTables}};
///
/// let users = RowTable::new("users")?.filled_with("acme");
/// let orders = RowTable::new("orders")?.references("user_id", "users")?.filled_from_parent();
/// for step in RowTables::new(&Rows::new()).table(users).table(orders).adopt() {
///     println!("-- {}_{}.sql\n{}", 1, step.name, step.sql);
/// }
/// # Ok::<(), tenantry::IdentError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct RowTables {
    rows: Rows,
    tables: Vec<RowTable>,
}

impl RowTables {
    /// Starts a list of tables in which tenants are isolated like this.
    pub fn new(rows: &Rows) -> Self {
        Self { rows: rows.clone(), tables: Vec::new() }
    }

    /// Adds a table. List a table after those that it references.
    pub fn table(mut self, table: RowTable) -> Self {
        self.tables.push(table);
        self
    }

    /// Returns the statements that create the tables and protect them: a draft whose columns you
    /// complete.
    ///
    /// Columns of keys and references are of the type `uuid`, those of unique keys and indexes are
    /// of the type `text`.
    #[must_use]
    pub fn create(&self) -> String {
        text_of(&self.create_sql())
    }

    /// Returns the statements of [`create`](Self::create), to be run.
    pub(crate) fn create_sql(&self) -> Sql {
        let mut sql = Sql::default();
        for table in &self.tables {
            create::table(&mut sql, &self.rows, table);
            protect::table(&mut sql, &self.rows, table);
        }
        sql
    }

    /// Returns the statements that protect tables which the same file creates, with the tenant
    /// column in every key: the column's default and `not null`, indexes, policies and grants.
    ///
    /// Without a [role](Rows::role), it grants nothing: the role that serves requests then needs
    /// `select`, `insert`, `update` and `delete`, and nothing else.
    #[must_use]
    pub fn protect(&self) -> String {
        let mut sql = Sql::default();
        for table in &self.tables {
            protect::column(&mut sql, &self.rows, table);
            protect::indexes(&mut sql, &self.rows, table);
        }
        // A foreign key cannot be checked once policies hide rows from the owner.
        for table in &self.tables {
            protect::table(&mut sql, &self.rows, table);
        }
        text_of(&sql)
    }

    /// Returns the steps that protect existing tables, in order, each for a file of its own.
    ///
    /// None holds a lock for long that requests wait for. The steps add the tenant column, fill it
    /// in batches, make it `not null` without a scan under an exclusive lock, build the indexes
    /// concurrently, put the column into the keys, and enable the policies last.
    ///
    /// The release that binds sessions to tenants has to be deployed between the first step, from
    /// which on the column's default fills new rows, and the second. Constraints have the names
    /// that PostgreSQL gives: `orders_pkey`, `orders_number_key`, `orders_user_id_fkey`. Edit the
    /// files where yours have others. Foreign keys get the tenant column and lose what they declare
    /// beyond their columns, such as `on delete cascade`: add that to the step `tenant_keys`. A
    /// partitioned table needs other steps for its indexes, because PostgreSQL does not build those
    /// concurrently.
    #[must_use]
    pub fn adopt(&self) -> Vec<RowStep> {
        adopt::steps(&self.rows, &self.tables)
    }
}

fn text_of(sql: &Sql) -> String {
    sql.as_str().trim_start().to_owned()
}

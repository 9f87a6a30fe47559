//! Brings a table of tenants that an earlier release created to the current form.
//!
//! Each change is attempted once, without waiting long for a lock: the table works without it, as
//! long as no tenant needs it.

use sqlx::{Connection, PgConnection, Row, SqlStr, postgres::PgRow};

use super::name::Name;
use crate::{pool::leaves_session_usable, sql::Sql};

/// The columns that the first release did not create, with their types.
const COLUMNS: [(&str, &str); 6] = [
    ("step", "pg_catalog.text"),
    ("isolation", "pg_catalog.text"),
    ("server", "pg_catalog.text"),
    ("database", "pg_catalog.text"),
    ("key", "pg_catalog.text"),
    ("epoch", "pg_catalog.int8 not null default 1"),
];

/// The condition of a state.
pub(super) const STATES: &str = "check (state operator(pg_catalog.=) any \
                                 (array['active', 'suspended', 'moving', 'cutover']))";

/// The condition that earlier releases created, as PostgreSQL prints it.
const STATES_BEFORE: &str = "(state = ANY (ARRAY['active'::text, 'suspended'::text]))";

/// Changes that are made together or not at all.
struct Change {
    /// What is missing without it.
    of: &'static str,
    sql: SqlStr,
}

impl Name<'_> {
    /// Makes the missing changes that the role may make.
    pub(super) async fn upgrade(
        &self,
        conn: &mut PgConnection,
        columns: &[PgRow],
    ) -> sqlx::Result<()> {
        let constraints = sqlx::raw_sql(self.constraints_sql()).fetch_all(&mut *conn).await?;
        let changes = [
            self.add_columns(columns),
            self.allow_states(&constraints)?,
            self.let_containers_recur(&constraints)?,
            self.keep_keys_apart(columns),
        ];
        for change in changes.into_iter().flatten() {
            if !attempt(conn, change).await? {
                break;
            }
        }
        Ok(())
    }

    /// Adds the columns that are missing. The default of a new column is a constant, so no row is
    /// rewritten.
    fn add_columns(&self, columns: &[PgRow]) -> Option<Change> {
        let missing = COLUMNS.into_iter().filter(|(name, _)| !is_there(columns, name));
        let missing: Vec<_> = missing.collect();
        let mut sql = Sql::new("alter table ");
        self.to(&mut sql);
        for (index, (name, definition)) in missing.iter().enumerate() {
            sql.text(if index == 0 { " " } else { ", " });
            sql.text("add column if not exists ").text(name).text(" ").text(definition);
        }
        (!missing.is_empty()).then(|| Change { of: "columns", sql: sql.finish() })
    }

    /// Refuses equal keys from the time on when there is a column for them.
    fn keep_keys_apart(&self, columns: &[PgRow]) -> Option<Change> {
        let mut sql = Sql::default();
        self.keys_are_unique(&mut sql);
        let is_new = !is_there(columns, "key");
        is_new.then(|| Change { of: "the unique index of keys", sql: sql.finish() })
    }

    /// Replaces the condition of a state if it is that of an earlier release. The new one allows
    /// more, so it holds for every row that the old one was validated for.
    fn allow_states(&self, constraints: &[PgRow]) -> sqlx::Result<Option<Change>> {
        let Some(before) = constraint(constraints, "c")? else { return Ok(None) };
        let mut sql = Sql::new("alter table ");
        self.to(&mut sql).text(" drop constraint ").name(&before);
        sql.text(", add constraint ").name(&before).text(" ").text(STATES).text(" not valid");
        self.to(sql.text("; alter table ")).text(" validate constraint ").name(&before);
        Ok(Some(Change { of: "the states of a tenant that moves", sql: sql.finish() }))
    }

    /// Replaces the constraint that schemas have different names: on different servers, and in
    /// different databases, they may have the same one.
    fn let_containers_recur(&self, constraints: &[PgRow]) -> sqlx::Result<Option<Change>> {
        let Some(before) = constraint(constraints, "u")? else { return Ok(None) };
        let mut sql = Sql::new("alter table ");
        self.to(&mut sql).text(" drop constraint ").name(&before).text("; ");
        self.places_are_unique(&mut sql);
        Ok(Some(Change { of: "equal schema names on several servers", sql: sql.finish() }))
    }

    /// Appends a statement that refuses two tenants in the same schema.
    pub(super) fn places_are_unique(&self, sql: &mut Sql) {
        self.to(sql.text("create unique index on ")).text(
            " ((coalesce(server, 'main')), (coalesce(database, '')), container) \
             where container is not null",
        );
    }

    /// Appends a statement that refuses two tenants with the same key.
    pub(super) fn keys_are_unique(&self, sql: &mut Sql) {
        self.to(sql.text("create unique index on "))
            .text(" ((coalesce(server, 'main')), key) where key is not null");
    }

    /// Finds the constraints of an earlier release.
    fn constraints_sql(&self) -> SqlStr {
        let mut sql = Sql::new(
            "select con.contype::pg_catalog.text as kind, con.conname::pg_catalog.text as name \
             from pg_catalog.pg_constraint con \
             join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) con.conrelid \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
               and con.conkey operator(pg_catalog.=) array[a.attnum] \
             where ((con.contype operator(pg_catalog.=) 'u' \
                 and a.attname operator(pg_catalog.=) 'container') \
               or (con.contype operator(pg_catalog.=) 'c' \
                 and a.attname operator(pg_catalog.=) 'state' \
                 and pg_catalog.pg_get_expr(con.conbin, con.conrelid) operator(pg_catalog.=) ",
        );
        sql.literal(STATES_BEFORE).text(")) and n.nspname operator(pg_catalog.=) ");
        sql.literal(self.schema.as_str());
        sql.text(" and c.relname operator(pg_catalog.=) ").literal(self.table.as_str());
        sql.text(" order by con.conname");
        sql.finish()
    }
}

fn is_there(columns: &[PgRow], name: &str) -> bool {
    columns.iter().any(|row| row.try_get("name").is_ok_and(|there: &str| there == name))
}

/// Returns the name of the first constraint of a kind.
fn constraint(constraints: &[PgRow], kind: &str) -> sqlx::Result<Option<String>> {
    let is_one = |row: &&PgRow| row.try_get("kind").is_ok_and(|is: &str| is == kind);
    constraints.iter().find(is_one).map(|row| row.try_get("name")).transpose()
}

/// Attempts a change without waiting long for a lock. Returns `false` if it was not made.
async fn attempt(conn: &mut PgConnection, change: Change) -> sqlx::Result<bool> {
    let mut attempt = conn.begin().await?;
    sqlx::raw_sql("set local lock_timeout = '2s'").execute(&mut *attempt).await?;
    match sqlx::raw_sql(change.sql).execute(&mut *attempt).await {
        Ok(_) => attempt.commit().await.map(|()| true),
        Err(error) if leaves_session_usable(&error) => {
            tracing::warn!(
                target: "tenantry::catalog",
                error = &error as &dyn std::error::Error,
                lacks = change.of,
                "could not upgrade the table of tenants; continuing without what it lacks"
            );
            attempt.rollback().await.map(|()| false)
        }
        Err(error) => Err(error),
    }
}

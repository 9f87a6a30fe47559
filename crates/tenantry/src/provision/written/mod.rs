//! Renames a schema, and finds places that store the old name as text.
//!
//! PostgreSQL refers to objects by their OIDs, so tables, views, keys and `begin atomic` bodies follow a rename. Text
//! does not: the body of a function, its `search_path`, a literal in a default. Once the old name is reused, such a
//! text refers to the next tenant's tables, so every rename searches for it in its own transaction: settings are
//! changed, and anything that cannot be changed blocks the rename.

mod judge;
mod scan;
mod search;
mod search_path;

use sqlx::{Connection, PgConnection, Row};

pub(super) use search::{Change, Renamed, by_tokens, follow, users_outside};

use super::{Provisioner, provisional};
use crate::{
    error::{Error, ErrorKind},
    migrate::stored_names::{NameOutcome, StoredIn, StoredName, StoredNames},
    sql::Sql,
    tenant::Ident,
};

/// Appends the statement that renames a schema.
pub(super) fn rename_sql(sql: &mut Sql, from: &Ident, to: &Ident) {
    sql.text("alter schema ").ident(from).text(" rename to ").ident(to).text("; ");
}

impl Provisioner {
    /// Renames a schema from its provisional name to that of its tenant, in the open transaction.
    ///
    /// The first schema of a set of files is searched completely, and the result is cached. After that, a claim costs
    /// nothing more, unless there are functions with settings.
    pub(super) async fn give_name(
        &self,
        conn: &mut PgConnection,
        mut before: Sql,
        from: &Ident,
        to: &Ident,
        taken: impl FnOnce(sqlx::Error) -> Error,
    ) -> Result<(), Error> {
        rename_sql(&mut before, from, to);
        has_settings_sql(&mut before, to);
        let renamed = sqlx::raw_sql(before.finish()).fetch_one(&mut *conn).await.map_err(taken)?;
        if self.stored_names().is_none() {
            let found = search::whole(conn, from, to, self.shared_by_files().as_ref()).await?;
            self.note_stored_names(refused(found));
        }
        self.refuse_stored_names()?;
        if renamed.try_get(0)? {
            let settings = search::settings(conn, from, to).await?;
            search::follow(conn, settings).await?;
        }
        Ok(())
    }

    /// Determines whether the objects of the files survive a rename, in a schema that was just filled. Only the
    /// result is kept.
    pub(super) async fn try_rename(
        &self,
        conn: &mut PgConnection,
        schema: &Ident,
    ) -> Result<(), Error> {
        if self.stored_names().is_some() {
            return Ok(());
        }
        let probe = provisional::new_name();
        let shared = self.shared_by_files();
        // Other sessions hold no locks in the schema, but may hold some in the shared one.
        let mut sql = Sql::new("set local lock_timeout = '5s'; ");
        rename_sql(&mut sql, schema, &probe);
        let mut tx = conn.begin().await?;
        sqlx::raw_sql(sql.finish()).execute(&mut *tx).await?;
        let found = search::whole(&mut tx, schema, &probe, shared.as_ref()).await?;
        tx.rollback().await?;
        self.note_stored_names(refused(found));
        Ok(())
    }

    /// Finds where the objects and rows of a schema store the provisional name of their database.
    pub(super) async fn names_of_database(
        &self,
        conn: &mut PgConnection,
        database: &Ident,
        schema: &Ident,
    ) -> Result<Vec<StoredName>, Error> {
        let mut tx = conn.begin().await?;
        let found = search::whole(&mut tx, database, schema, None).await?;
        tx.rollback().await?;
        Ok(found.into_iter().map(|change| change.name).collect())
    }

    /// Returns the shared schema if the files may write to it.
    fn shared_by_files(&self) -> Option<Ident> {
        let shared = self.fleet.shared_site().schema;
        self.migrations.as_ref().is_some_and(|set| set.may_name(&shared)).then_some(shared)
    }

    /// Updates the places that store the old name of a tenant's schema, after it was renamed in the open transaction.
    /// Returns where it is only mentioned.
    pub(super) async fn follow_rename(
        &self,
        conn: &mut PgConnection,
        from: &Ident,
        to: &Ident,
    ) -> Result<Vec<StoredName>, Error> {
        let renamed = Renamed { from, to, beside: None };
        let found = search::by_tokens(conn, renamed).await?;
        search::follow(conn, found).await
    }

    /// Refuses to create a schema under a provisional name if its objects would store that name.
    pub(super) fn refuse_stored_names(&self) -> Result<(), Error> {
        match self.stored_names() {
            Some(names) if !names.as_slice().is_empty() => Err(refuse(names.as_slice().to_vec())),
            _ => Ok(()),
        }
    }
}

/// Refuses a rename.
pub(super) fn refuse(names: Vec<StoredName>) -> Error {
    let names = StoredNames::new(names);
    let attempted = format!(
        "{names} would still refer to the old name; qualify names when they are used, with begin atomic or \
         format('%I.t', current_schema()) at each call"
    );
    Error::new(ErrorKind::StoredName, attempted).with_source(names)
}

fn refused(found: Vec<Change>) -> StoredNames {
    let names = found.into_iter().map(|change| change.name);
    StoredNames::new(names.filter(|name| name.outcome == NameOutcome::Refused).collect())
}

/// Appends a query that an index answers: whether a routine of a schema has settings.
fn has_settings_sql(sql: &mut Sql, schema: &Ident) {
    sql.text(
        "select exists (select from pg_catalog.pg_namespace n \
         join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) n.oid \
           and d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
           and d.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
         join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) d.objid \
         where p.proconfig is not null and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str()).text(")");
}

//! Takes a spare for a new tenant, skipping those that turn out to be unusable.

use std::collections::HashSet;

use sqlx::{PgConnection, Row, SqlStr, postgres::PgRow};

use super::{
    Provisioner,
    provisional::{self, Comment},
    spare_note::{READY, SpareNote},
};
use crate::{
    error::{Error, ErrorKind},
    migrate::{self, Migrations},
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// A spare that the open transaction holds.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) schema: Ident,
    /// The hash of its files.
    hash: String,
}

/// Results of looking for a spare.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub(super) spare: Option<Spare>,
    /// The last version of the newest files that have spares.
    pub(super) newest: i64,
}

/// Spares that were tried without success: they are not tried again.
#[derive(Debug, Default)]
pub(super) struct PassedOver {
    /// Sets of files whose spares cannot be brought up to our files.
    sets: HashSet<String>,
    /// Single schemas.
    schemas: HashSet<Ident>,
}

impl Spare {
    /// Returns `true` if it was created from these files and needs no catching up.
    pub(super) fn is_of(&self, set: &Migrations) -> bool {
        self.hash == set.hash()
    }
}

impl Claimed {
    /// Reads the results of both statements: the locked spare, and then all spares with their comments.
    fn of(rows: &[PgRow]) -> Result<Self, Error> {
        let mut locked = None;
        let mut claimed = Self::default();
        for row in rows {
            if row.len() == 1 {
                locked = Some(Ident::parse(row.try_get(0)?).map_err(Error::catalog)?);
                continue;
            }
            let (schema, comment): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let Some(note) = SpareNote::parse(comment) else { continue };
            claimed.newest = claimed.newest.max(note.latest);
            if let Some(locked) = locked.take_if(|locked| locked.as_str() == schema) {
                claimed.spare = Some(Spare { schema: locked, hash: note.hash });
            }
        }
        Ok(claimed)
    }
}

impl Provisioner {
    /// Finds a spare that is ready and that no other session is taking, and locks it until the end of the
    /// transaction. A spare of our own files is preferred; other spares can catch up.
    pub(super) async fn claim_spare(
        &self,
        conn: &mut PgConnection,
        set: &Migrations,
    ) -> Result<Claimed, Error> {
        // The previous lock holder may have taken the spare after the statement that got the lock started.
        loop {
            let sql = {
                let passed = self.passed_over().lock();
                claim_sql(set, &passed)
            };
            let rows = sqlx::raw_sql(sql).fetch_all(&mut *conn).await?;
            let claimed = Claimed::of(&rows)?;
            if claimed.spare.is_some() || rows.iter().all(|row| row.len() != 1) {
                return Ok(claimed);
            }
        }
    }

    /// Applies the missing files to a spare that was renamed.
    pub(super) async fn catch_up(
        &self,
        conn: &mut PgConnection,
        set: &Migrations,
        spare: &Spare,
        schema: &Ident,
    ) -> Result<(), Error> {
        if spare.is_of(set) {
            return Ok(());
        }
        let citus = self.fleet.citus(conn).await?;
        let caught_up = migrate::catch_up(conn, set, schema, citus).await;
        match caught_up.map_err(super::made::migration)? {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::Migration, "the spare has different files")),
        }
    }

    /// Records that a spare is unusable, so that it is not tried again. If its files are not ours, other spares of
    /// the same files are unusable, too; a spare of our files is replaced when the spares are next filled.
    pub(super) async fn pass_over(&self, spare: &Spare, set: &Migrations, why: &Error) {
        tracing::warn!(
            target: "tenantry::provision",
            schema = spare.schema.as_str(),
            error = why as &dyn std::error::Error,
            "skipping a spare: it cannot become a tenant with these files"
        );
        {
            let mut passed = self.passed_over().lock();
            match spare.is_of(set) {
                true => passed.schemas.insert(spare.schema.clone()),
                false => passed.sets.insert(spare.hash.clone()),
            };
        }
        if spare.is_of(set) {
            self.mark_unusable(&spare.schema).await;
        }
    }

    /// Marks a spare as half made, so that it is removed.
    async fn mark_unusable(&self, spare: &Ident) {
        if let Err(error) = self.take_note_off(spare).await {
            tracing::warn!(
                target: "tenantry::provision",
                schema = spare.as_str(),
                error = &error as &dyn std::error::Error,
                "could not mark a spare as unusable"
            );
        }
    }

    /// Marks a schema as half made.
    async fn take_note_off(&self, schema: &Ident) -> Result<(), Error> {
        let mut lease = self.fleet.lease().await?;
        let mut sql = Sql::default();
        provisional::comment(&mut sql, schema, Comment::Nothing);
        sqlx::raw_sql(sql.finish()).execute(&mut *lease).await?;
        Ok(())
    }
}

/// Two statements: the first one locks a spare that seems to be ready, and returns its name; the second one, which
/// sees all earlier changes, returns all spares with their comments.
fn claim_sql(set: &Migrations, passed: &PassedOver) -> SqlStr {
    let mut sql = Sql::new(
        "select spare from (select n.nspname::pg_catalog.text as spare from pg_catalog.pg_namespace n \
         cross join lateral (",
    );
    sql.text(NOTE);
    sql.text(") as noted where pg_catalog.starts_with(n.nspname::pg_catalog.text, ");
    sql.literal(PROVISIONAL).text(") and pg_catalog.starts_with(note, ").literal(READY);
    sql.text(") and n.nspname::pg_catalog.text operator(pg_catalog.<>) all (");
    texts(&mut sql, passed.schemas.iter().map(Ident::as_str));
    sql.text(") and pg_catalog.split_part(note, ' ', 3) operator(pg_catalog.<>) all (");
    texts(&mut sql, passed.sets.iter().map(String::as_str));
    // The inner select stays by itself, so that the lock is tried for one after the other.
    sql.text(") order by pg_catalog.split_part(note, ' ', 3) operator(pg_catalog.<>) ");
    sql.literal(set.hash()).text(" offset 0) as ready where ");
    sql.text("pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(spare, 7234619037115)) limit 1; ");
    sql.text(
        "select n.nspname::pg_catalog.text, noted.note from pg_catalog.pg_namespace n \
         cross join lateral (",
    );
    sql.text(NOTE);
    sql.text(") as noted where pg_catalog.starts_with(n.nspname::pg_catalog.text, ");
    sql.literal(PROVISIONAL).text(")");
    sql.finish()
}

/// The comment on the schema `n`, one look into an index.
const NOTE: &str = "select x.description as note from pg_catalog.pg_description x \
    where x.objoid operator(pg_catalog.=) n.oid and x.objsubid operator(pg_catalog.=) 0 \
    and x.classoid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass offset 0";

fn texts<'t>(sql: &mut Sql, texts: impl Iterator<Item = &'t str>) {
    sql.text("array[");
    for (index, text) in texts.enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).literal(text);
    }
    sql.text("]::pg_catalog.text[]");
}

//! Databases that are created in advance: their names, what they were made from, and how they are found.

use std::fmt::Write as _;

use sqlx::{
    PgConnection, Row,
    postgres::{PgRow, types::Oid},
};

use super::super::{
    mark::Mark,
    provisional,
    spare_note::{READY, SpareNote},
    underway::LOCK_OF_MAKER,
};
use crate::{
    error::Error,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// A database whose name is that of a spare of the connected database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpareDatabase {
    pub(super) name: Ident,
    pub(super) state: State,
    /// Whether a session is connected to it.
    pub(super) is_in_use: bool,
}

/// What such a database is, according to its comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// It has all files that the note names, and is closed to connections.
    Ready(SpareNote),
    /// It is being made, or its making or removal was interrupted.
    HalfMade,
    /// It has another comment, and is left alone.
    Strangers,
}

impl State {
    pub(super) fn of(comment: &str, is_broken: bool) -> Self {
        match SpareNote::parse(comment) {
            Some(_) if is_broken => Self::HalfMade,
            Some(note) => Self::Ready(note),
            None if comment.is_empty() => Self::HalfMade,
            None => Self::Strangers,
        }
    }
}

/// What spares are made from: the hash of the files and, after a hyphen, the name of the template database in
/// hexadecimal, since names can contain any character.
pub(super) fn made_from(files: &str, template: Option<&Ident>) -> String {
    let mut text = files.to_owned();
    if let Some(template) = template {
        text.push('-');
        for byte in template.as_str().bytes() {
            let _infallible = write!(text, "{byte:02x}");
        }
    }
    text
}

/// Returns the part of it that identifies the template database.
pub(super) fn template_of(made_from: &str) -> &str {
    made_from.split_once('-').map_or("", |(_, template)| template)
}

/// The spares of the connected database: a database of the same server has its OID in their names, so that several
/// services on a server do not take each other's. A role that cannot rename or drop one does not find it.
const SPARES: &str = "select d.datname::pg_catalog.text, \
    coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), ''), d.datconnlimit operator(pg_catalog.=) -2, \
    exists (select from pg_catalog.pg_stat_activity a where a.datid operator(pg_catalog.=) d.oid \
      and coalesce(a.backend_type, '') operator(pg_catalog.<>) 'autovacuum worker') \
    from pg_catalog.pg_database d where pg_catalog.pg_has_role(d.datdba, 'usage') \
    and pg_catalog.split_part(d.datname::pg_catalog.text, '_', 4) operator(pg_catalog.<>) '' \
    and pg_catalog.split_part(d.datname::pg_catalog.text, '_', 3) operator(pg_catalog.=) \
      (select m.oid::pg_catalog.text from pg_catalog.pg_database m \
       where m.datname operator(pg_catalog.=) pg_catalog.current_database()) \
    and pg_catalog.starts_with(d.datname::pg_catalog.text, ";

/// Lists the spares of the connected database, half-made ones as well.
pub(super) async fn list(conn: &mut PgConnection) -> Result<Vec<SpareDatabase>, Error> {
    let mut sql = Sql::new(SPARES);
    sql.literal(PROVISIONAL).text(") order by 1");
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    rows.iter().map(read).collect()
}

/// Finds one of them.
pub(super) async fn find(
    conn: &mut PgConnection,
    name: &Ident,
) -> Result<Option<SpareDatabase>, Error> {
    let mut sql = Sql::new(SPARES);
    sql.literal(PROVISIONAL).text(") and d.datname operator(pg_catalog.=) ").literal(name.as_str());
    let row = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &PgRow) -> Result<SpareDatabase, Error> {
    let name = Ident::parse(row.try_get(0)?).map_err(Error::catalog)?;
    let state = State::of(row.try_get(1)?, row.try_get(2)?);
    Ok(SpareDatabase { name, state, is_in_use: row.try_get(3)? })
}

/// The spares of a database, for the doctor.
#[derive(Debug, Default)]
pub(crate) struct SpareDatabases {
    /// The number of those that are ready.
    pub(crate) ready: usize,
    /// Ready ones of files that were not used for a day.
    pub(crate) unused: Vec<Ident>,
    /// Those that no process is making.
    pub(crate) half_made: Vec<Ident>,
}

impl SpareDatabases {
    /// Reads the spares of the connected database.
    pub(crate) async fn read(conn: &mut PgConnection) -> Result<Self, Error> {
        let (mut spares, now) = (Self::default(), provisional::now());
        for database in list(conn).await? {
            match database.state {
                State::Ready(note) if note.is_unused(now) => spares.unused.push(database.name),
                State::Ready(_) => spares.ready += 1,
                State::HalfMade
                    if !database.is_in_use && try_lock(conn, &database.name).await? =>
                {
                    unlock(conn, &database.name).await?;
                    spares.half_made.push(database.name);
                }
                State::HalfMade | State::Strangers => {}
            }
        }
        Ok(spares)
    }
}

/// Generates an unused name for a spare of the connected database.
pub(super) async fn new_name(conn: &mut PgConnection) -> Result<Ident, Error> {
    let sql = "select m.oid from pg_catalog.pg_database m \
               where m.datname operator(pg_catalog.=) pg_catalog.current_database()";
    let Oid(oid) = sqlx::raw_sql(sql).fetch_one(conn).await?.try_get(0)?;
    let name = format!("{PROVISIONAL}{oid}_{}", Mark::new().digits());
    Ok(Ident::parse(&name).expect("it is short and has no NUL"))
}

/// Tries to take the lock of a spare until the end of the session, or until [`unlock`]. Each process that changes,
/// removes or takes a spare holds it.
pub(super) async fn try_lock(conn: &mut PgConnection, name: &Ident) -> Result<bool, Error> {
    let mut sql = Sql::new("select pg_catalog.pg_try_advisory_lock(");
    key(&mut sql, name).text(")");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

pub(super) async fn unlock(conn: &mut PgConnection, name: &Ident) -> Result<(), Error> {
    let mut sql = Sql::new("select pg_catalog.pg_advisory_unlock(");
    key(&mut sql, name).text(")");
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

fn key<'s>(sql: &'s mut Sql, name: &Ident) -> &'s mut Sql {
    sql.text("pg_catalog.hashtextextended(").literal(name.as_str()).text(", ");
    sql.integer(LOCK_OF_MAKER).text(")")
}

/// Records that a spare is ready, and when its service last needed it.
pub(super) async fn write_note(
    conn: &mut PgConnection,
    name: &Ident,
    note: &SpareNote,
) -> Result<(), Error> {
    let mut sql = Sql::new("comment on database ");
    sql.ident(name).text(" is ").literal(&note.text(READY));
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_spare_was_made_from_is_one_word() {
        let template = Ident::parse("a b-c").expect("a name");
        assert_eq!(made_from("f00d", None), "f00d");
        assert_eq!(made_from("f00d", Some(&template)), "f00d-6120622d63");
        assert_eq!(template_of("f00d-6120622d63"), "6120622d63");
        assert_eq!(template_of("f00d"), "");
    }

    #[test]
    fn a_comment_of_someone_else_is_left_alone() {
        let note = SpareNote::new(&made_from("", None), 0, Duration::from_secs(1));
        let ready = note.text(READY);
        assert_eq!(State::of(&ready, false), State::Ready(note));
        assert_eq!(State::of(&ready, true), State::HalfMade);
        assert_eq!(State::of("", false), State::HalfMade);
        assert_eq!(State::of("tenantry: made by 0123456789abcdef", false), State::Strangers);
    }
}

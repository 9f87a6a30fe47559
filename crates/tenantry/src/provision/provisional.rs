//! Provisional schemas, which do not belong to a tenant yet: their names, and how they are marked as ready.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime},
};

use sqlx::{PgConnection, Row};

use super::spare_note::{READY, SpareNote, TEMPLATE, UNUSED};
use crate::{
    citus::{Citus, Sharding},
    error::Error,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// The comment on a schema that has its tenant's name already, and is not done.
pub(super) const UNFINISHED: &str = "tenantry: unfinished";

/// The comment on a schema whose creation failed and that is kept for inspection.
pub(super) const KEPT: &str = "tenantry: kept";

/// The start of the comment on a schema that is being turned into a tenant; the time follows.
const IN_USE: &str = "tenantry: in use ";

/// Returns `true` if a schema with this comment may be being turned into a tenant.
pub(super) fn is_in_use(comment: &str, now: Duration) -> bool {
    let since = comment.strip_prefix(IN_USE).and_then(|since| since.parse().ok());
    since.is_some_and(|since| now.saturating_sub(Duration::from_secs(since)) < UNUSED)
}

/// Generates an unused name.
pub(super) fn new_name() -> Ident {
    let number = RandomState::new().hash_one(0_u8);
    Ident::parse(&format!("{PROVISIONAL}{number:016x}")).expect("it is short and has no NUL")
}

/// Appends the statements that create a schema.
pub(super) fn create(sql: &mut Sql, schema: &Ident, sharding: Sharding, citus: Option<Citus>) {
    sharding.set(sql, citus);
    sql.text("create schema ").ident(schema).text("; ");
}

/// The content of a schema's comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comment<'a> {
    /// It only needs to be renamed.
    Ready(&'a SpareNote),
    /// Tenants are created as copies of it.
    Template(&'a SpareNote),
    /// It is kept for inspection.
    Kept,
    /// It is being created under its tenant's name.
    Unfinished,
    /// It is being turned into a tenant since this time, and its lock is not held.
    InUse(Duration),
    Nothing,
}

/// Appends the statement that sets the comment of a schema.
pub(super) fn comment(sql: &mut Sql, schema: &Ident, comment: Comment<'_>) {
    sql.text("comment on schema ").ident(schema).text(" is ");
    match comment {
        Comment::Ready(note) => sql.literal(&note.text(READY)),
        Comment::Template(note) => sql.literal(&note.text(TEMPLATE)),
        Comment::Kept => sql.literal(KEPT),
        Comment::Unfinished => sql.literal(UNFINISHED),
        Comment::InUse(since) => sql.literal(&format!("{IN_USE}{}", since.as_secs())),
        Comment::Nothing => sql.text("null"),
    };
    sql.text("; ");
}

/// The kind of a schema with a provisional name, according to its comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provisional {
    /// It only needs to be renamed, and was needed recently.
    Spare,
    /// It is a spare or a template whose files were not used for a day.
    Unused,
    /// New tenants are created as copies of it.
    Template,
    /// It is being turned into a tenant.
    InUse,
    /// Its creation failed, and it is kept for inspection.
    Kept,
    /// Its creation or removal is in progress or was interrupted.
    HalfMade,
}

impl Provisional {
    pub(crate) fn of(comment: &str) -> Self {
        let now = now();
        let spare = SpareNote::parse(comment).map(|note| (note, Self::Spare));
        let template = SpareNote::after(TEMPLATE, comment).map(|note| (note, Self::Template));
        match spare.or(template) {
            Some((note, _)) if note.is_unused(now) => Self::Unused,
            Some((_, kind)) => kind,
            None if is_in_use(comment, now) => Self::InUse,
            None if comment == KEPT => Self::Kept,
            None => Self::HalfMade,
        }
    }
}

/// Returns `true` if the comment on a tenant's schema marks its creation as unfinished.
pub(crate) fn is_unfinished(comment: &str) -> bool {
    comment == UNFINISHED
}

/// Returns `true` if a schema exists and has this comment.
pub(super) async fn has_comment(
    conn: &mut PgConnection,
    schema: &Ident,
    comment: &str,
) -> Result<bool, Error> {
    let mut sql = Sql::new(
        "select exists (select from pg_catalog.pg_namespace where nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str())
        .text(" and pg_catalog.obj_description(oid, 'pg_namespace') operator(pg_catalog.=) ");
    sql.literal(comment).text(")");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

/// The time since 1970 according to this machine's clock, for the notes on spares, which are accurate to hours.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

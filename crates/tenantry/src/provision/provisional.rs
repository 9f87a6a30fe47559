//! The schemas that are no tenant's yet: what they are called, and how they are told to be ready.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, SystemTime},
};

use sqlx::{PgConnection, Row};

use super::spare_note::{READY, SpareNote, TEMPLATE, UNUSED};
use crate::{
    error::Error,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// The comment on a schema that has its tenant's name already, and is not done.
pub(super) const UNFINISHED: &str = "tenantry: unfinished";

/// The comment on a schema whose creation has failed, and that is kept for a look at it.
pub(super) const KEPT: &str = "tenantry: kept";

/// How the comment on a schema begins of which a tenant is being made; the time follows.
const IN_USE: &str = "tenantry: in use ";

/// Says whether a tenant may be being made of a schema with this comment.
pub(super) fn is_in_use(comment: &str, now: Duration) -> bool {
    let since = comment.strip_prefix(IN_USE).and_then(|since| since.parse().ok());
    since.is_some_and(|since| now.saturating_sub(Duration::from_secs(since)) < UNUSED)
}

/// Makes a name that nothing has yet.
pub(super) fn new_name() -> Ident {
    let number = RandomState::new().hash_one(0_u8);
    Ident::parse(&format!("{PROVISIONAL}{number:016x}")).expect("it is short and has no NUL")
}

/// Appends what makes a schema.
pub(super) fn create(sql: &mut Sql, schema: &Ident) {
    sql.text("create schema ").ident(schema).text("; ");
}

/// What the comment on a schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comment<'a> {
    /// It only has to be given a name.
    Ready(&'a SpareNote),
    /// Tenants are copies of it.
    Template(&'a SpareNote),
    /// Somebody wants to look at it.
    Kept,
    /// It is being made under its tenant's name.
    Unfinished,
    /// A tenant is being made of it since this time, and nobody has its lock.
    InUse(Duration),
    Nothing,
}

/// Appends what puts a comment on a schema.
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

/// What a schema with a provisional name is, by its comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provisional {
    /// It only has to be given a name, and somebody had a use for it a while ago.
    Spare,
    /// It is a spare or a template of files that nobody has used for a day.
    Unused,
    /// New tenants are copies of it.
    Template,
    /// A tenant is being made of it.
    InUse,
    /// Its creation has failed, and somebody wants to look at it.
    Kept,
    /// It is being made or dropped, or that was cut off.
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

/// Says whether the schema of a tenant has a comment that tells that its creation has not ended.
pub(crate) fn is_unfinished(comment: &str) -> bool {
    comment == UNFINISHED
}

/// Says whether a schema is there and has this comment.
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

/// The time since 1970 by this machine's clock, for the notes on spares: they count in hours.
pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

//! Schemas that do not belong to a tenant yet: spares, templates, and schemas that are being created or removed.

use std::time::Duration;

use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    provisional::{self, KEPT},
    spare_note::{SpareNote, TEMPLATE},
};
use crate::{
    error::Error,
    sql::Sql,
    tenant::{Ident, PROVISIONAL},
};

/// A schema that does not belong to a tenant yet.
pub(super) struct Unassigned {
    pub(super) schema: Ident,
    pub(super) kind: Kind,
}

/// What such a schema is, according to its comment.
pub(super) enum Kind {
    /// It is a spare.
    Ready(SpareNote),
    /// New tenants are created as copies of it.
    Template(SpareNote),
    /// It is being turned into a tenant, or was a while ago.
    InUse,
    /// Its creation or removal is in progress or was interrupted.
    HalfMade,
}

impl Kind {
    fn of(comment: &str, now: Duration) -> Self {
        let spare = SpareNote::parse(comment).map(Self::Ready);
        let template = || SpareNote::after(TEMPLATE, comment).map(Self::Template);
        let in_use = || provisional::is_in_use(comment, now).then_some(Self::InUse);
        spare.or_else(template).or_else(in_use).unwrap_or(Self::HalfMade)
    }
}

impl Unassigned {
    pub(super) fn is_template_of(&self, hash: &str) -> bool {
        matches!(&self.kind, Kind::Template(note) if note.hash == hash)
    }
}

/// Lists them, except for those that are kept for inspection.
pub(super) async fn list(conn: &mut PgConnection) -> Result<Vec<Unassigned>, Error> {
    let mut sql = Sql::new(
        "select n.nspname::pg_catalog.text, coalesce(note, '') from pg_catalog.pg_namespace n \
         cross join lateral pg_catalog.obj_description(n.oid, 'pg_namespace') as note \
         where pg_catalog.starts_with(n.nspname::pg_catalog.text, ",
    );
    // Schemas that are kept for inspection are never removed.
    sql.literal(PROVISIONAL).text(") and coalesce(note operator(pg_catalog.<>) ").literal(KEPT);
    sql.text(", true) order by 1");
    let rows = sqlx::raw_sql(sql.finish()).fetch_all(conn).await?;
    let now = provisional::now();
    let listed = |row: &PgRow| {
        let schema = Ident::parse(row.try_get(0)?).map_err(Error::catalog)?;
        Ok(Unassigned { schema, kind: Kind::of(row.try_get(1)?, now) })
    };
    rows.iter().map(listed).collect()
}

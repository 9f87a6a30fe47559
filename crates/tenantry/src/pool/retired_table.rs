//! Whether the table of keys that were given up is one that the library has made: any role that may create in the
//! schema can create one of that name first.

use sqlx::Row;

use super::RETIRED_KEYS;
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::Ident,
};

/// Appends the beginning of the reason why the table `c` is not one for records, or null. Sessions of tenants evaluate
/// it, too.
pub(super) fn misfit(sql: &mut Sql) {
    sql.text(
        "case when c.relkind operator(pg_catalog.<>) 'r'::pg_catalog.\"char\" then 'it is not an ordinary table' \
           when c.relrowsecurity then 'row security is enabled for it' \
           when (select pg_catalog.count(*) from pg_catalog.pg_attribute a \
             where a.attrelid operator(pg_catalog.=) c.oid and a.attnum operator(pg_catalog.>) 0 \
             and not a.attisdropped and ((a.attname operator(pg_catalog.=) 'digest'::pg_catalog.name \
               and a.atttypid operator(pg_catalog.=) 'pg_catalog.int8'::pg_catalog.regtype) \
             or (a.attname operator(pg_catalog.=) any (array['retired_at', 'taken_at']::pg_catalog.name[]) \
               and a.atttypid operator(pg_catalog.=) 'pg_catalog.timestamptz'::pg_catalog.regtype))) \
             operator(pg_catalog.<>) 3 then 'it lacks a column of the library''s' ",
    );
}

/// The rest of the reason. Parameters: the schema, the name of the table, the column of the tenants' key, and another
/// role that the owner may be.
///
/// A role that owns the schema, or all tables with rows of tenants, reaches all of them anyway. One that owns a single
/// table may have created that, too.
const WHY: &str = "\
    when not (pg_catalog.pg_get_userbyid(c.relowner) operator(pg_catalog.=) \
        coalesce($4::pg_catalog.name, current_user) \
      or pg_catalog.pg_has_role(c.relowner, n.nspowner, 'usage') \
      or (select pg_catalog.bool_and(pg_catalog.pg_has_role(c.relowner, t.relowner, 'usage')) \
        from pg_catalog.pg_class t join pg_catalog.pg_attribute a \
          on a.attrelid operator(pg_catalog.=) t.oid and a.attname operator(pg_catalog.=) $3::pg_catalog.name \
          and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
        where t.relnamespace operator(pg_catalog.=) n.oid and t.oid operator(pg_catalog.<>) c.oid \
        and t.relkind operator(pg_catalog.=) any (array['r', 'p']::pg_catalog.\"char\"[])) is true) \
      then 'it belongs to the role ' operator(pg_catalog.||) pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text \
        operator(pg_catalog.||) ', which owns neither the schema nor all tables with rows of tenants' \
    when exists (select from pg_catalog.pg_attribute a where a.attrelid operator(pg_catalog.=) c.oid \
      and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
      and not (a.attname operator(pg_catalog.=) any (array['digest', 'retired_at', 'taken_at']::pg_catalog.name[]) \
        or (a.attname operator(pg_catalog.=) 'waits_for'::pg_catalog.name \
          and a.atttypid operator(pg_catalog.=) 'pg_catalog._text'::pg_catalog.regtype))) \
      then 'it has other columns' \
    when exists (select from pg_catalog.pg_attrdef d where d.adrelid operator(pg_catalog.=) c.oid) \
      then 'a column has a default' \
    when exists (select from pg_catalog.pg_constraint k where k.conrelid operator(pg_catalog.=) c.oid \
      and k.contype operator(pg_catalog.=) any (array['c', 'f', 'x']::pg_catalog.\"char\"[])) \
      then 'it has a constraint besides its key' \
    when exists (select from pg_catalog.pg_index i join pg_catalog.pg_depend d \
        on d.objid operator(pg_catalog.=) i.indexrelid \
        and d.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
      where i.indrelid operator(pg_catalog.=) c.oid and d.refclassid operator(pg_catalog.=) any (array[ \
        'pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass, \
        'pg_catalog.pg_opclass'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass]::pg_catalog.oid[])) \
      then 'an index calls functions' \
    when exists (select from pg_catalog.pg_trigger g where g.tgrelid operator(pg_catalog.=) c.oid \
      and not g.tgisinternal) then 'it has a trigger' \
    when exists (select from pg_catalog.pg_rewrite w where w.ev_class operator(pg_catalog.=) c.oid) \
      then 'it has a rule' \
    when exists (select from pg_catalog.pg_inherits i where i.inhrelid operator(pg_catalog.=) c.oid \
      or i.inhparent operator(pg_catalog.=) c.oid) then 'it inherits, or is inherited from' end as wrong \
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname operator(pg_catalog.=) $1::pg_catalog.name and c.relname operator(pg_catalog.=) $2::pg_catalog.name";

/// What the server says of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RetiredTable {
    Missing,
    Sound,
    /// Another role has made it, or changed what it does.
    Foreign(String),
}

impl RetiredTable {
    /// Asks about the table in a schema. Its owner can also be this role; by default that of the session.
    pub(crate) async fn read(
        conn: impl sqlx::PgExecutor<'_>,
        schema: &Ident,
        key: &Ident,
        role: Option<&str>,
    ) -> sqlx::Result<Self> {
        let mut sql = Sql::new("select ");
        misfit(&mut sql);
        sql.text(WHY);
        let query = sqlx::query(sql.finish()).bind(schema.as_str());
        let query = query.bind(RETIRED_KEYS).bind(key.as_str()).bind(role);
        let Some(row) = query.persistent(false).fetch_optional(conn).await? else {
            return Ok(Self::Missing);
        };
        Ok(match row.try_get::<Option<String>, _>("wrong")? {
            None => Self::Sound,
            Some(why) => Self::Foreign(why),
        })
    }

    /// Returns whether it exists.
    ///
    /// # Errors
    ///
    /// [`Config`](ErrorKind::Config) if it is not the library's.
    pub(crate) fn exists(self, schema: &Ident) -> Result<bool, Error> {
        match self {
            Self::Missing => Ok(false),
            Self::Sound => Ok(true),
            Self::Foreign(why) => Err(foreign(schema, &why)),
        }
    }
}

/// Refuses a table that is not the library's.
pub(super) fn foreign(schema: &Ident, why: &str) -> Error {
    let attempted = format!(
        "the table {RETIRED_KEYS} in schema {schema}, which tells which keys belong to another tenant now, is not the \
         library's own: {why}. {CURE}"
    );
    Error::new(ErrorKind::Config, attempted)
}

/// What to do about a table that is not the library's.
pub(crate) const CURE: &str = "Drop it; the next drop of a tenant creates it again. If another role migrates now, give the table to that role";

//! Properties of a schema other than its objects, and moving objects between schemas.

use sqlx::{PgConnection, Row};

use crate::{
    citus::{self, Sharding},
    error::Error,
    sql::Sql,
    tenant::Ident,
};

/// The owner, privileges and comment of a schema.
#[derive(Debug)]
pub(super) struct Facts {
    owner: Ident,
    comment: Option<String>,
    grants: Vec<Grant>,
}

/// A privilege of a role other than the owner.
#[derive(Debug)]
struct Grant {
    /// `None` means `public`.
    role: Option<Ident>,
    creates: bool,
    with_option: bool,
}

/// The comment that the server itself puts on `public`.
const STANDARD: &str = "standard public schema";

impl Facts {
    /// Returns the properties of a schema, if it exists.
    pub(super) async fn read(
        conn: &mut PgConnection,
        schema: &Ident,
    ) -> Result<Option<Self>, Error> {
        let row = sqlx::query(
            "select pg_catalog.pg_get_userbyid(n.nspowner)::pg_catalog.text, \
               pg_catalog.obj_description(n.oid, 'pg_namespace') \
             from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1",
        );
        let row = row.bind(schema.as_str()).persistent(false).fetch_optional(&mut *conn).await?;
        let Some(row) = row else { return Ok(None) };
        let grants = sqlx::query(
            "select r.rolname::pg_catalog.text, \
               a.privilege_type operator(pg_catalog.=) 'CREATE', a.is_grantable \
             from pg_catalog.pg_namespace n cross join lateral pg_catalog.aclexplode(n.nspacl) \
               with ordinality as a (grantor, grantee, privilege_type, is_grantable, place) \
             left join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) a.grantee \
             where n.nspname operator(pg_catalog.=) $1 \
               and a.grantee operator(pg_catalog.<>) n.nspowner order by a.place",
        );
        let grants = grants.bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
        let grant = |row: &sqlx::postgres::PgRow| {
            let role: Option<&str> = row.try_get(0)?;
            let role = role.map(ident).transpose()?;
            Ok(Grant { role, creates: row.try_get(1)?, with_option: row.try_get(2)? })
        };
        Ok(Some(Self {
            owner: ident(row.try_get(0)?)?,
            comment: row.try_get(1)?,
            grants: grants.iter().map(grant).collect::<Result<_, Error>>()?,
        }))
    }

    /// Appends a statement that copies this schema's comment to another.
    pub(super) fn comment_sql(&self, sql: &mut Sql, schema: &Ident) {
        sql.text("comment on schema ").ident(schema).text(" is ");
        match &self.comment {
            Some(comment) => sql.literal(comment),
            None => sql.text("null"),
        };
        sql.text("; ");
    }
}

/// Creates a schema like one that was renamed.
pub(super) async fn create_like(
    conn: &mut PgConnection,
    facts: &Facts,
    schema: &Ident,
    renamed: &Ident,
) -> Result<(), Error> {
    let mut sql = Sql::default();
    Sharding::Plain.set(&mut sql, citus::ask(conn).await?);
    sql.text("create schema ");
    sql.ident(schema).text(" authorization ").ident(&facts.owner).text("; ");
    for Grant { role, creates, with_option } in &facts.grants {
        sql.text(if *creates { "grant create" } else { "grant usage" });
        sql.text(" on schema ").ident(schema).text(" to ");
        match role {
            Some(role) => sql.ident(role),
            None => sql.text("public"),
        };
        sql.text(if *with_option { " with grant option; " } else { "; " });
    }
    facts.comment_sql(&mut sql, schema);
    if facts.comment.as_deref() == Some(STANDARD) {
        sql.text("comment on schema ").ident(renamed).text(" is null; ");
    }
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Lists the extensions of a schema, with whether they can be moved.
pub(super) async fn extensions(
    conn: &mut PgConnection,
    schema: &Ident,
) -> Result<Vec<(Ident, bool)>, Error> {
    let query = sqlx::query(
        "select e.extname::pg_catalog.text, e.extrelocatable from pg_catalog.pg_extension e \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) e.extnamespace \
         where n.nspname operator(pg_catalog.=) $1 order by 1",
    );
    let rows = query.bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
    rows.iter().map(|row| Ok((ident(row.try_get(0)?)?, row.try_get(1)?))).collect()
}

pub(super) async fn move_extension(
    conn: &mut PgConnection,
    extension: &Ident,
    to: &Ident,
) -> Result<(), Error> {
    let mut sql = Sql::new("alter extension ");
    sql.ident(extension).text(" set schema ").ident(to);
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// The result of moving objects.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) moved: Vec<String>,
    pub(super) missing: Vec<String>,
}

/// Moves tables with their partitions, and the library's own tables and functions, from one schema to another.
pub(super) async fn move_objects(
    conn: &mut PgConnection,
    from: &Ident,
    to: &Ident,
    tables: &[String],
    of_library: bool,
) -> Result<Moved, Error> {
    let mut result = Moved::default();
    let mut names = Vec::new();
    for table in tables {
        let found = relations(conn, TABLE_AND_PARTITIONS, from, table).await?;
        if found.is_empty() {
            result.missing.push(missing(conn, from, table).await?);
        }
        names.extend(found);
    }
    if of_library {
        names.extend(relations(conn, LIBRARYS, from, "tenantry_announce").await?);
    }
    names.sort();
    names.dedup();
    for name in &names {
        let mut sql = Sql::new("alter table ");
        sql.ident(from).text(".").ident(name).text(" set schema ").ident(to);
        sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
        result.moved.push(format!("table {name}"));
    }
    if of_library && has_announcer(conn, from).await? {
        let mut sql = Sql::new("alter function ");
        sql.ident(from).text(".tenantry_announce() set schema ").ident(to);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
        result.moved.push("function tenantry_announce".into());
    }
    Ok(result)
}

/// Returns a message that a table does not exist, with tables of similar names.
async fn missing(conn: &mut PgConnection, schema: &Ident, table: &str) -> Result<String, Error> {
    let query = sqlx::query(ALIKE).bind(schema.as_str()).bind(table).persistent(false);
    let rows = query.fetch_all(conn).await?;
    let alike: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    Ok(match alike.is_empty() {
        true => format!(
            "keep_shared names the table {table}, which does not exist, and no table has a similar name"
        ),
        false => format!(
            "keep_shared names the table {table}, which does not exist; there is {}",
            alike.join(", ")
        ),
    })
}

/// Tables of the schema `$1` whose name contains `$2` or is contained in it, or has the same beginning or end,
/// ignoring case.
const ALIKE: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    cross join lateral (select pg_catalog.lower(c.relname::pg_catalog.text), pg_catalog.lower($2)) as it (a, b) \
    where n.nspname operator(pg_catalog.=) $1 and c.relkind operator(pg_catalog.=) \
        any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[]) \
      and (pg_catalog.strpos(it.a, it.b) operator(pg_catalog.>) 0 \
        or pg_catalog.strpos(it.b, it.a) operator(pg_catalog.>) 0 \
        or pg_catalog.left(it.a, 4) operator(pg_catalog.=) pg_catalog.left(it.b, 4) \
        or pg_catalog.right(it.a, 4) operator(pg_catalog.=) pg_catalog.right(it.b, 4)) \
    order by 1 limit 5";

async fn relations(
    conn: &mut PgConnection,
    sql: &'static str,
    schema: &Ident,
    name: &str,
) -> Result<Vec<Ident>, Error> {
    let query = sqlx::query(sql).bind(schema.as_str()).bind(name).persistent(false);
    let rows = query.fetch_all(conn).await?;
    rows.iter().map(|row| ident(row.try_get(0)?)).collect()
}

/// A table, view or sequence `$2` of the schema `$1`, with its descendants in the same schema.
const TABLE_AND_PARTITIONS: &str = "\
    with here as (select n.oid from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1), \
    named as (select c.oid from pg_catalog.pg_class c \
      join here on here.oid operator(pg_catalog.=) c.relnamespace \
      where c.relname operator(pg_catalog.=) $2 and c.relkind operator(pg_catalog.=) \
        any (array['r', 'p', 'v', 'm', 'f', 'S']::pg_catalog.\"char\"[])), \
    below as (select n.oid from named n union \
      select t.relid::pg_catalog.oid from named n \
      cross join lateral pg_catalog.pg_partition_tree(n.oid::pg_catalog.regclass) t) \
    select c.relname::pg_catalog.text from below \
    join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) below.oid \
    join here on here.oid operator(pg_catalog.=) c.relnamespace";

/// Tables of the library: those of retired names and keys and of remembered migrations, and the one of tenants, which has the trigger `$2`.
const LIBRARYS: &str = "\
    with here as (select n.oid from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1) \
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
      join here on here.oid operator(pg_catalog.=) c.relnamespace \
      where c.relname operator(pg_catalog.=) any (array['_tenantry_retired_keys', 'tenantry_retired', 'tenantry_migrated', 'tenantry_budget', 'tenantry_moves', 'tenantry_movers', 'tenantry_markers']::pg_catalog.name[]) \
        and c.relkind operator(pg_catalog.=) 'r' \
    union select c.relname::pg_catalog.text from pg_catalog.pg_class c \
      join here on here.oid operator(pg_catalog.=) c.relnamespace \
      join pg_catalog.pg_trigger g on g.tgrelid operator(pg_catalog.=) c.oid \
      join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) g.tgfoid \
      where p.proname operator(pg_catalog.=) $2 and g.tgname operator(pg_catalog.=) $2";

async fn has_announcer(conn: &mut PgConnection, schema: &Ident) -> Result<bool, Error> {
    let mut sql = Sql::new("select pg_catalog.to_regprocedure(");
    sql.literal(&format!("{}.tenantry_announce()", schema.quoted())).text(") is not null");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

fn ident(name: &str) -> Result<Ident, Error> {
    Ident::parse(name).map_err(Error::catalog)
}

//! Reads text in the system catalogs, and changes what can be changed.

use std::collections::HashSet;

use sqlx::{PgConnection, Row, SqlStr, postgres::types::Oid};

use super::{
    NameOutcome, StoredIn, StoredName,
    judge::{Called, Meaning},
    refuse, search_path,
};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::Ident,
};

/// A place that contains a name, and what to do about it.
#[derive(Debug)]
pub(in crate::provision) struct Change {
    pub(in crate::provision) name: StoredName,
    set: Option<Set>,
}

/// A schema that has got another name.
#[derive(Debug, Clone, Copy)]
pub(in crate::provision) struct Renamed<'a> {
    pub(in crate::provision) from: &'a Ident,
    pub(in crate::provision) to: &'a Ident,
    /// Another schema, which part of this one's contents was moved to. It can have the old name.
    pub(in crate::provision) beside: Option<&'a Ident>,
}

impl Renamed<'_> {
    /// Returns `true` if a schema has the old name again.
    fn is_taken_again(&self) -> bool {
        self.beside == Some(self.from)
    }
}

/// A search path that gets another schema.
#[derive(Debug)]
struct Set {
    of: Of,
    schemas: Vec<String>,
}

#[derive(Debug)]
enum Of {
    Routine(Oid),
    Role { role: Option<String>, database: Option<String> },
}

/// A text of the catalogs that has the name in it somewhere.
struct Text {
    place: StoredIn,
    object: String,
    content: String,
    /// The language of a body.
    language: String,
    oid: Oid,
    /// Whether the object is in another schema.
    outside: bool,
    of: Option<(Option<String>, Option<String>)>,
}

impl Change {
    fn new(text: Text, outcome: NameOutcome, set: Option<Set>) -> Self {
        Self { name: StoredName { object: text.object, place: text.place, outcome }, set }
    }
}

/// Finds the routines of a schema that have its former name in their search path.
pub(super) async fn settings(
    conn: &mut PgConnection,
    from: &Ident,
    to: &Ident,
) -> Result<Vec<Change>, Error> {
    let texts = texts(conn, SETTINGS, from.as_str(), to).await?;
    let renamed = Renamed { from, to, beside: None };
    Ok(texts.into_iter().filter_map(|text| judge_setting(text, renamed)).collect())
}

/// Finds every place that stores a provisional name: in the system catalogs, in rows, and in rows of the shared
/// schema if that is given. Such a name contains a random number, so it is searched as plain text.
pub(super) async fn whole(
    conn: &mut PgConnection,
    from: &Ident,
    to: &Ident,
    shared: Option<&Ident>,
) -> Result<Vec<Change>, Error> {
    let needle = from.as_str().rsplit('_').next().unwrap_or_default();
    let renamed = Renamed { from, to, beside: None };
    let mut found = Vec::new();
    for sql in [SETTINGS, TEXTS, ROUTINES_OUTSIDE, NAMES] {
        for text in texts(conn, sql, needle, to).await? {
            if !text.content.to_lowercase().contains(needle) {
                continue;
            }
            found.push(match text.place {
                StoredIn::Setting if !text.outside => wholly(text, renamed, needle),
                _ => Change::new(text, NameOutcome::Refused, None),
            });
        }
    }
    let of_roles = role_settings(conn, needle).await?.into_iter();
    found.extend(of_roles.map(|text| Change::new(text, NameOutcome::Refused, None)));
    // A policy would hide rows; without this right the statement fails.
    sqlx::raw_sql("set local row_security = off").execute(&mut *conn).await?;
    if let Some(shared) = shared {
        found.extend(shared_rows(conn, needle, shared).await?);
    }
    found.extend(rows(conn, needle, to).await?);
    let called = |change: Change| Change { name: change.name.under(to, None), ..change };
    Ok(found.into_iter().map(called).collect())
}

/// Finds the places that refer to a tenant's schema by its name, which can be an ordinary word. Rows are not
/// searched: they are the tenant's own data.
pub(in crate::provision) async fn by_tokens(
    conn: &mut PgConnection,
    renamed: Renamed<'_>,
) -> Result<Vec<Change>, Error> {
    let Renamed { from, to, .. } = renamed;
    let mut all = Vec::new();
    for sql in [SETTINGS, TEXTS, ROUTINES_OUTSIDE] {
        all.extend(texts(conn, sql, from.as_str(), to).await?);
    }
    all.extend(role_settings(conn, from.as_str()).await?);
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let here = objects(conn, to).await?;
    let there = match renamed.is_taken_again() {
        true => Some(objects(conn, from).await?),
        false => None,
    };
    let called = Called::new(from.as_str(), &here, there.as_ref());
    let judged = all.into_iter().filter_map(|text| {
        let meaning = match text.place {
            StoredIn::Setting | StoredIn::RoleSetting => {
                return judge_setting(text, renamed);
            }
            StoredIn::Body => called.in_body(&text.content, &text.language),
            StoredIn::Expression => called.in_expression(&text.content),
            StoredIn::Option => {
                let value = text.content.split_once('=').map_or(&*text.content, |(_, value)| value);
                called.in_literal(value).max(called.in_expression(&text.content))
            }
            _ => called.in_words(&text.content),
        };
        let outcome = match meaning {
            Meaning::Nothing => return None,
            Meaning::Mentions => NameOutcome::Mentioned,
            Meaning::Uses => NameOutcome::Refused,
        };
        Some(Change::new(text, outcome, None))
    });
    // Objects that prevent the schema from being renamed are reported with its current name.
    let called = |change: Change| match change.name.outcome {
        NameOutcome::Refused => Change { name: change.name.under(to, Some(from)), ..change },
        _ => change,
    };
    Ok(judged.map(called).collect())
}

/// Finds routines outside a schema that look it up by its name, and would find the next schema of that name after it
/// is dropped.
pub(in crate::provision) async fn users_outside(
    conn: &mut PgConnection,
    schema: &Ident,
) -> Result<Vec<StoredName>, Error> {
    let texts = texts(conn, ROUTINES_OUTSIDE, schema.as_str(), schema).await?;
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let objects = objects(conn, schema).await?;
    let called = Called::new(schema.as_str(), &objects, None);
    let uses = |text: &Text| match (text.place, text.content.strip_prefix("search_path=")) {
        (StoredIn::Setting, Some(path)) => search_path::names(path, schema.as_str()),
        (StoredIn::Setting, None) => false,
        _ => called.in_body(&text.content, &text.language) == Meaning::Uses,
    };
    let used = texts.into_iter().filter(uses);
    Ok(used.map(|text| Change::new(text, NameOutcome::Refused, None).name).collect())
}

/// Judges a setting: a search path is changed. Another setting of the schema's own routines that equals the name
/// cannot be changed; one of a role, or outside, may refer to something else.
fn judge_setting(text: Text, renamed: Renamed<'_>) -> Option<Change> {
    let Renamed { from, to, beside } = renamed;
    let (name, value) = text.content.split_once('=').unwrap_or((&text.content, ""));
    if name.eq_ignore_ascii_case("search_path") {
        let mut now = vec![to.as_str()];
        now.extend(beside.map(Ident::as_str));
        let schemas = search_path::replace(value, from.as_str(), &now)?;
        let of = match text.of.clone() {
            // The operator has to decide which of the two is meant.
            Some(_) if renamed.is_taken_again() => {
                return Some(Change::new(text, NameOutcome::Mentioned, None));
            }
            Some((role, database)) => Of::Role { role, database },
            None => Of::Routine(text.oid),
        };
        return Some(Change::new(text, NameOutcome::Rewritten, Some(Set { of, schemas })));
    }
    let nothing = HashSet::new();
    let outcome = match Called::new(from.as_str(), &nothing, None).in_literal(value) {
        Meaning::Nothing => return None,
        Meaning::Uses if text.of.is_none() && !text.outside => NameOutcome::Refused,
        _ => NameOutcome::Mentioned,
    };
    Some(Change::new(text, outcome, None))
}

/// Judges a setting that contains a provisional name: it is changed completely, or refused.
fn wholly(text: Text, renamed: Renamed<'_>, needle: &str) -> Change {
    let Text { place, object, .. } = &text;
    let name = StoredName { object: object.clone(), place: *place, outcome: NameOutcome::Refused };
    let is_left = |set: &Set| set.schemas.iter().any(|schema| schema.contains(needle));
    match judge_setting(text, renamed) {
        Some(change) if !change.set.as_ref().is_none_or(is_left) => change,
        _ => Change { name, set: None },
    }
}

/// Changes everything that can be changed, unless something cannot be. Returns mere mentions.
pub(in crate::provision) async fn follow(
    conn: &mut PgConnection,
    found: Vec<Change>,
) -> Result<Vec<StoredName>, Error> {
    let is_refused = |change: &&Change| change.name.outcome == NameOutcome::Refused;
    let refused: Vec<_> =
        found.iter().filter(is_refused).map(|change| change.name.clone()).collect();
    if !refused.is_empty() {
        return Err(refuse(refused));
    }
    let mut mentioned = Vec::new();
    for Change { name, set } in found {
        match set {
            None => mentioned.push(name),
            Some(set) => {
                let done = sqlx::raw_sql(set.sql()?).execute(&mut *conn).await;
                done.map_err(|error| forbidden(error, &name))?;
            }
        }
    }
    Ok(mentioned)
}

/// Converts the refusal to change another role's setting to an error. Other errors do not concern the setting.
fn forbidden(error: sqlx::Error, name: &StoredName) -> Error {
    let code = error.as_database_error().and_then(|error| error.code());
    if code.as_deref() != Some("42501") {
        return error.into();
    }
    let attempted =
        format!("{name} stores the name of the schema, and this role may not change it");
    Error::new(ErrorKind::StoredName, attempted).with_source(error)
}

impl Set {
    fn sql(&self) -> Result<SqlStr, Error> {
        let mut sql = Sql::default();
        match &self.of {
            // The server writes the name and the arguments of the routine: they are its own.
            Of::Routine(oid) => {
                let mut path = Sql::default();
                set_path(&mut path, &self.schemas);
                let mut body = Sql::new("begin execute pg_catalog.format('alter routine %s%s', ");
                body.number(oid.0.into()).text("::pg_catalog.oid::pg_catalog.regprocedure, ");
                body.literal(path.as_str()).text("); end");
                sql.text("do ").literal(body.as_str());
                return Ok(sql.finish());
            }
            Of::Role { role: Some(role), database } => {
                sql.text("alter role ").ident(&ident(role)?);
                if let Some(database) = database {
                    sql.text(" in database ").ident(&ident(database)?);
                }
            }
            Of::Role { role: None, database: Some(database) } => {
                sql.text("alter database ").ident(&ident(database)?);
            }
            Of::Role { role: None, database: None } => {
                sql.text("alter role all");
            }
        }
        set_path(&mut sql, &self.schemas);
        Ok(sql.finish())
    }
}

fn set_path(sql: &mut Sql, schemas: &[String]) {
    sql.text(" set search_path to ");
    for (index, schema) in schemas.iter().enumerate() {
        sql.text(if index == 0 { "" } else { ", " }).literal(schema);
    }
}

fn ident(name: &str) -> Result<Ident, Error> {
    Ident::parse(name).map_err(Error::catalog)
}

async fn texts(
    conn: &mut PgConnection,
    sql: &'static str,
    needle: &str,
    schema: &Ident,
) -> Result<Vec<Text>, Error> {
    let query = sqlx::query_as(sql).bind(schema.as_str()).bind(needle).persistent(false);
    let rows: Vec<(String, String, String, String, Oid, bool)> = query.fetch_all(conn).await?;
    let texts = rows.into_iter().map(|(kind, object, content, language, oid, outside)| Text {
        place: place(&kind),
        object,
        content,
        language,
        oid,
        outside,
        of: None,
    });
    Ok(texts.collect())
}

fn place(place: &str) -> StoredIn {
    match place {
        "setting" => StoredIn::Setting,
        "body" => StoredIn::Body,
        "option" => StoredIn::Option,
        "comment" => StoredIn::Comment,
        "name" => StoredIn::Name,
        _ => StoredIn::Expression,
    }
}

async fn role_settings(conn: &mut PgConnection, needle: &str) -> Result<Vec<Text>, Error> {
    let query = sqlx::query_as(ROLE_SETTINGS).bind(needle).persistent(false);
    let rows: Vec<(String, String, Option<String>, Option<String>)> = query.fetch_all(conn).await?;
    let texts = rows.into_iter().map(|(object, content, role, database)| Text {
        place: StoredIn::RoleSetting,
        object,
        content,
        language: String::new(),
        oid: Oid(0),
        outside: true,
        of: Some((role, database)),
    });
    Ok(texts.collect())
}

/// Returns the names of the tables, routines and types of a schema.
async fn objects(conn: &mut PgConnection, schema: &Ident) -> Result<HashSet<String>, Error> {
    let query = sqlx::query(OBJECTS).bind(schema.as_str()).persistent(false);
    let rows = query.fetch_all(conn).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
}

/// Finds the tables of a schema that have a row containing a text, or rows that are not visible.
async fn rows(conn: &mut PgConnection, needle: &str, schema: &Ident) -> Result<Vec<Change>, Error> {
    let mut found = Vec::new();
    for table in tables(conn, TABLES, schema).await? {
        let searched = has_row(conn, schema, &table, needle).await;
        let hidden = matches!(&searched, Err(sqlx::Error::Database(error))
            if error.code().as_deref() == Some("42501"));
        if hidden || searched? {
            found.push(row_of(schema, &table));
        }
        if hidden {
            // The transaction has failed, and is to be rolled back anyway.
            return Ok(found);
        }
    }
    sqlx::raw_sql("set local row_security to default").execute(conn).await?;
    Ok(found)
}

/// Finds the tables of the shared schema that have a row containing a text. Large tables, and those that the role
/// cannot read completely, are skipped.
async fn shared_rows(
    conn: &mut PgConnection,
    needle: &str,
    schema: &Ident,
) -> Result<Vec<Change>, Error> {
    let mut found = Vec::new();
    for table in tables(conn, SHARED_TABLES, schema).await? {
        if has_row(conn, schema, &table, needle).await? {
            found.push(row_of(schema, &table));
        }
    }
    Ok(found)
}

async fn tables(
    conn: &mut PgConnection,
    sql: &'static str,
    schema: &Ident,
) -> Result<Vec<Ident>, Error> {
    let rows = sqlx::query(sql).bind(schema.as_str()).persistent(false).fetch_all(conn).await?;
    rows.iter().map(|row| ident(row.try_get(0)?)).collect()
}

async fn has_row(
    conn: &mut PgConnection,
    schema: &Ident,
    table: &Ident,
    needle: &str,
) -> sqlx::Result<bool> {
    let found = sqlx::raw_sql(row_sql(schema, table, needle)).fetch_all(conn).await?;
    Ok(!found.is_empty())
}

fn row_of(schema: &Ident, table: &Ident) -> Change {
    let object = format!("table {schema}.{table}");
    let name = StoredName { object, place: StoredIn::Row, outcome: NameOutcome::Refused };
    Change { name, set: None }
}

/// Returns a row if any column of a row of the table contains a text; for `bytea`, the hexadecimal digits are
/// searched. The savepoint releases the locks: all tables together may have more than fit in the server's lock table.
fn row_sql(schema: &Ident, table: &Ident, needle: &str) -> SqlStr {
    let mut sql = Sql::new("savepoint tenantry_search; select from ");
    sql.ident(schema).text(".").ident(table).text(
        " as tenantry_row cross join lateral pg_catalog.lower(tenantry_row::pg_catalog.text) as it (content) \
         where pg_catalog.strpos(it.content, ",
    );
    sql.literal(needle).text(") operator(pg_catalog.>) 0 or pg_catalog.strpos(it.content, ");
    let hexadecimal: String = needle.bytes().map(|byte| format!("{byte:02x}")).collect();
    sql.literal(&hexadecimal).text(
        ") operator(pg_catalog.>) 0 limit 1; \
         rollback to savepoint tenantry_search; release savepoint tenantry_search",
    );
    sql.finish()
}

/// Settings of routines in the schema `$1` that contain the text `$2`.
///
/// The comparison ignores quotes and case, because a name can be written in either way.
const SETTINGS: &str = "\
    select 'setting', pg_catalog.concat(i.type, ' ', i.identity), s.content, '', p.oid, false \
    from pg_catalog.pg_namespace n \
    join pg_catalog.pg_proc p on p.pronamespace operator(pg_catalog.=) n.oid \
    cross join lateral pg_catalog.unnest(p.proconfig) as s (content) \
    cross join lateral pg_catalog.pg_identify_object( \
      'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0) i \
    where n.nspname operator(pg_catalog.=) $1 and pg_catalog.strpos( \
        pg_catalog.translate(pg_catalog.lower(s.content), '\"''', ''), \
        pg_catalog.translate(pg_catalog.lower($2), '\"''', '')) operator(pg_catalog.>) 0 \
    order by 2";

/// Settings and bodies of routines outside the schema `$1`. A name in `U&` can contain escapes.
const ROUTINES_OUTSIDE: &str = "\
    select s.place, pg_catalog.concat(i.type, ' ', i.identity), s.content, s.language, s.oid, true \
    from (select t.place, t.content, l.lanname::pg_catalog.text as language, p.oid \
      from pg_catalog.pg_proc p \
      join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) p.pronamespace \
      join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang \
      cross join lateral (select 'setting' as place, c.content \
        from pg_catalog.unnest(p.proconfig) as c (content) \
        union all select 'body', p.prosrc where p.prosqlbody is null) t \
      where n.nspname operator(pg_catalog.<>) $1 \
        and not n.nspname operator(pg_catalog.=) any (array['pg_catalog', 'information_schema']) \
        and not l.lanname operator(pg_catalog.=) any (array['c', 'internal']) \
        and (pg_catalog.strpos(pg_catalog.lower(t.content), 'u&') operator(pg_catalog.>) 0 \
          or pg_catalog.strpos( \
          pg_catalog.translate(pg_catalog.lower(t.content), '\"''', ''), \
          pg_catalog.translate(pg_catalog.lower($2), '\"''', '')) operator(pg_catalog.>) 0) \
      offset 0) s \
    cross join lateral pg_catalog.pg_identify_object( \
      'pg_catalog.pg_proc'::pg_catalog.regclass, s.oid, 0) i \
    order by 2";

/// Settings of roles in this database or in all, and of the database.
const ROLE_SETTINGS: &str = "\
    select pg_catalog.concat( \
        case when r.oid is not null then pg_catalog.concat('role ', r.rolname) \
          when d.oid is not null then pg_catalog.concat('database ', d.datname) else 'all roles' end, \
        case when r.oid is not null and d.oid is not null \
          then pg_catalog.concat(' in database ', d.datname) else '' end), \
      s.content, r.rolname::pg_catalog.text, d.datname::pg_catalog.text \
    from pg_catalog.pg_db_role_setting o \
    left join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) o.setrole \
    left join pg_catalog.pg_database d on d.oid operator(pg_catalog.=) o.setdatabase \
    cross join lateral pg_catalog.unnest(o.setconfig) as s (content) \
    where (o.setdatabase operator(pg_catalog.=) 0::pg_catalog.oid \
        or d.datname operator(pg_catalog.=) pg_catalog.current_database()) \
      and pg_catalog.strpos( \
        pg_catalog.translate(pg_catalog.lower(s.content), '\"''', ''), \
        pg_catalog.translate(pg_catalog.lower($1), '\"''', '')) operator(pg_catalog.>) 0 \
    order by 1";

/// Tables of a schema that have rows, and materialized views.
const TABLES: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname operator(pg_catalog.=) $1 and c.relispopulated \
      and c.relkind operator(pg_catalog.=) any (array['r', 'm']::pg_catalog.\"char\"[]) \
    order by 1";

/// Tables of the schema `$1` that are quick to read, and whose rows are all visible.
const SHARED_TABLES: &str = "\
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
    where n.nspname operator(pg_catalog.=) $1 \
      and c.relkind operator(pg_catalog.=) 'r'::pg_catalog.\"char\" \
      and pg_catalog.has_schema_privilege(n.oid, 'usage') \
      and pg_catalog.has_table_privilege(c.oid, 'select') \
      and not pg_catalog.row_security_active(c.oid) \
      and pg_catalog.pg_table_size(c.oid) operator(pg_catalog.<=) 16777216 \
    order by 1";

const OBJECTS: &str = "\
    with here as (select n.oid from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1) \
    select c.relname::pg_catalog.text from pg_catalog.pg_class c \
      join here on here.oid operator(pg_catalog.=) c.relnamespace \
    union select p.proname::pg_catalog.text from pg_catalog.pg_proc p \
      join here on here.oid operator(pg_catalog.=) p.pronamespace \
    union select t.typname::pg_catalog.text from pg_catalog.pg_type t \
      join here on here.oid operator(pg_catalog.=) t.typnamespace";

/// All other texts of a schema, including definitions that the server prints as text.
///
/// Materialized, because the planner would otherwise test the content before the schema: `pg_get_expr` on every
/// default in the database, which also waits for locks on other tenants' tables.
const TEXTS: &str = "\
    with here as (select n.oid from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1), \
    class as (select c.oid, c.relkind, c.relpartbound from pg_catalog.pg_class c \
      join here on here.oid operator(pg_catalog.=) c.relnamespace), \
    proc as (select p.oid, p.prosrc, p.prolang, p.prosqlbody, p.proargdefaults from pg_catalog.pg_proc p \
      join here on here.oid operator(pg_catalog.=) p.pronamespace), \
    type as (select t.oid, t.typdefaultbin from pg_catalog.pg_type t \
      join here on here.oid operator(pg_catalog.=) t.typnamespace), \
    bound as (select k.oid, k.contype from pg_catalog.pg_constraint k \
        join class c on c.oid operator(pg_catalog.=) k.conrelid \
      union all select k.oid, k.contype from pg_catalog.pg_constraint k \
        join type t on t.oid operator(pg_catalog.=) k.contypid), \
    object as ( \
      select 'pg_catalog.pg_namespace'::pg_catalog.regclass as classid, oid from here \
      union all select 'pg_catalog.pg_class'::pg_catalog.regclass, oid from class \
      union all select 'pg_catalog.pg_proc'::pg_catalog.regclass, oid from proc \
      union all select 'pg_catalog.pg_type'::pg_catalog.regclass, oid from type \
      union all select 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid from bound \
      union all select 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid \
        from pg_catalog.pg_trigger g join class c on c.oid operator(pg_catalog.=) g.tgrelid \
      union all select 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid \
        from pg_catalog.pg_policy y join class c on c.oid operator(pg_catalog.=) y.polrelid \
      union all select 'pg_catalog.pg_rewrite'::pg_catalog.regclass, r.oid \
        from pg_catalog.pg_rewrite r join class c on c.oid operator(pg_catalog.=) r.ev_class), \
    written as materialized ( \
      select 'body' as place, 'pg_catalog.pg_proc'::pg_catalog.regclass as classid, p.oid, 0 as part, \
          p.prosrc as content, l.lanname::pg_catalog.text as language \
        from proc p join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang \
        where p.prosqlbody is null and not l.lanname operator(pg_catalog.=) any (array['c', 'internal']) \
      union all select 'expression', 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0, \
          pg_catalog.concat(pg_catalog.pg_get_function_sqlbody(p.oid), ' ', \
            pg_catalog.pg_get_expr(p.proargdefaults, 0::pg_catalog.oid)), '' from proc p \
        where p.prosqlbody is not null or p.proargdefaults is not null \
      union all select 'expression', 'pg_catalog.pg_proc'::pg_catalog.regclass, p.oid, 0, \
          pg_catalog.concat(pg_catalog.quote_literal(g.agginitval), ' ', \
            pg_catalog.quote_literal(g.aggminitval)), '' \
        from pg_catalog.pg_aggregate g join proc p on p.oid operator(pg_catalog.=) g.aggfnoid \
        where g.agginitval is not null or g.aggminitval is not null \
      union all select 'expression', 'pg_catalog.pg_class'::pg_catalog.regclass, a.adrelid, a.adnum, \
          pg_catalog.pg_get_expr(a.adbin, a.adrelid), '' \
        from pg_catalog.pg_attrdef a join class c on c.oid operator(pg_catalog.=) a.adrelid \
      union all select 'expression', 'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 0, \
          pg_catalog.pg_get_expr(t.typdefaultbin, 0::pg_catalog.oid), '' from type t \
        where t.typdefaultbin is not null \
      union all select 'expression', 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid, 0, \
          pg_catalog.pg_get_constraintdef(k.oid), '' from bound k \
        where k.contype operator(pg_catalog.=) any (array['c', 'x']::pg_catalog.\"char\"[]) \
      union all select 'expression', 'pg_catalog.pg_class'::pg_catalog.regclass, x.indexrelid, 0, \
          pg_catalog.concat(pg_catalog.pg_get_expr(x.indexprs, x.indrelid), ' ', \
            pg_catalog.pg_get_expr(x.indpred, x.indrelid)), '' \
        from pg_catalog.pg_index x join class c on c.oid operator(pg_catalog.=) x.indexrelid \
        where x.indexprs is not null or x.indpred is not null \
      union all select 'expression', 'pg_catalog.pg_class'::pg_catalog.regclass, r.ev_class, 0, \
          pg_catalog.pg_get_ruledef(r.oid), '' \
        from pg_catalog.pg_rewrite r join class c on c.oid operator(pg_catalog.=) r.ev_class \
      union all select 'expression', 'pg_catalog.pg_trigger'::pg_catalog.regclass, g.oid, 0, \
          pg_catalog.pg_get_triggerdef(g.oid), '' \
        from pg_catalog.pg_trigger g join class c on c.oid operator(pg_catalog.=) g.tgrelid \
        where not g.tgisinternal \
      union all select 'expression', 'pg_catalog.pg_policy'::pg_catalog.regclass, y.oid, 0, \
          pg_catalog.concat(pg_catalog.pg_get_expr(y.polqual, y.polrelid), ' ', \
            pg_catalog.pg_get_expr(y.polwithcheck, y.polrelid)), '' \
        from pg_catalog.pg_policy y join class c on c.oid operator(pg_catalog.=) y.polrelid \
      union all select 'expression', 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0, \
          pg_catalog.pg_get_expr(c.relpartbound, c.oid), '' from class c where c.relpartbound is not null \
      union all select 'expression', 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, 0, \
          pg_catalog.pg_get_partkeydef(c.oid), '' from class c \
        where c.relkind operator(pg_catalog.=) 'p' \
      union all select 'expression', 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass, s.oid, 0, \
          pg_catalog.pg_get_statisticsobjdef(s.oid), '' \
        from pg_catalog.pg_statistic_ext s join here on here.oid operator(pg_catalog.=) s.stxnamespace \
      union all select 'option', 'pg_catalog.pg_class'::pg_catalog.regclass, f.ftrelid, 0, o.content, '' \
        from pg_catalog.pg_foreign_table f join class c on c.oid operator(pg_catalog.=) f.ftrelid \
        cross join lateral pg_catalog.unnest(f.ftoptions) as o (content) \
      union all select 'option', 'pg_catalog.pg_class'::pg_catalog.regclass, a.attrelid, a.attnum, \
          o.content, '' \
        from pg_catalog.pg_attribute a join class c on c.oid operator(pg_catalog.=) a.attrelid \
        cross join lateral pg_catalog.unnest(a.attfdwoptions) as o (content) \
      union all select 'option', 'pg_catalog.pg_ts_dict'::pg_catalog.regclass, d.oid, 0, \
          d.dictinitoption, '' \
        from pg_catalog.pg_ts_dict d join here on here.oid operator(pg_catalog.=) d.dictnamespace \
      union all select 'comment', d.classoid, d.objoid, d.objsubid, d.description, '' \
        from pg_catalog.pg_description d join object o on o.oid operator(pg_catalog.=) d.objoid \
          and o.classid operator(pg_catalog.=) d.classoid) \
    select t.place, pg_catalog.concat(i.type, ' ', i.identity), t.content, t.language, t.oid, false \
    from written t cross join lateral pg_catalog.pg_identify_object(t.classid, t.oid, t.part) i \
    where pg_catalog.strpos(pg_catalog.lower(t.content), 'u&') operator(pg_catalog.>) 0 \
      or pg_catalog.strpos( \
        pg_catalog.translate(pg_catalog.lower(t.content), '\"''', ''), \
        pg_catalog.translate(pg_catalog.lower($2), '\"''', '')) operator(pg_catalog.>) 0 \
    order by 2";

/// Names of objects, both in the schema `$1` and outside schemas.
const NAMES: &str = "\
    with here as (select n.oid from pg_catalog.pg_namespace n where n.nspname operator(pg_catalog.=) $1), \
    named as ( \
      select 'relation' as class, c.relname as content from pg_catalog.pg_class c \
        join here on here.oid operator(pg_catalog.=) c.relnamespace \
      union all select 'column', a.attname from pg_catalog.pg_attribute a \
        join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) a.attrelid \
        join here on here.oid operator(pg_catalog.=) c.relnamespace \
      union all select 'constraint', k.conname from pg_catalog.pg_constraint k \
        join here on here.oid operator(pg_catalog.=) k.connamespace \
      union all select 'trigger', g.tgname from pg_catalog.pg_trigger g \
        join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) g.tgrelid \
        join here on here.oid operator(pg_catalog.=) c.relnamespace \
      union all select 'policy', y.polname from pg_catalog.pg_policy y \
        join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) y.polrelid \
        join here on here.oid operator(pg_catalog.=) c.relnamespace \
      union all select 'type', t.typname from pg_catalog.pg_type t \
        join here on here.oid operator(pg_catalog.=) t.typnamespace \
      union all select 'enum label', e.enumlabel from pg_catalog.pg_enum e \
        join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) e.enumtypid \
        join here on here.oid operator(pg_catalog.=) t.typnamespace \
      union all select 'routine', p.proname from pg_catalog.pg_proc p \
        join here on here.oid operator(pg_catalog.=) p.pronamespace \
      union all select 'schema', n.nspname from pg_catalog.pg_namespace n \
      union all select 'role', r.rolname from pg_catalog.pg_roles r \
      union all select 'publication', b.pubname from pg_catalog.pg_publication b \
      union all select 'event trigger', v.evtname from pg_catalog.pg_event_trigger v) \
    select 'name', pg_catalog.concat(n.class, ' ', n.content), n.content::pg_catalog.text, '', \
      0::pg_catalog.oid, false \
    from named n where pg_catalog.strpos(pg_catalog.lower(n.content::pg_catalog.text), $2) \
      operator(pg_catalog.>) 0 \
    order by 2";

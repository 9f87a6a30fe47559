//! Extension schemas in every search path, and the checks that keep them free of tenants' objects.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{PgConnection, Row, SqlStr, postgres::PgRow, raw_sql};

use super::look::{MOST_TEXT, reaches};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::Ident,
};

/// The extension schemas, and the result of the last check.
#[derive(Debug, Default)]
pub(crate) struct ExtensionSchemas {
    names: Vec<Ident>,
    /// `true` if an extension has tables there.
    tables: AtomicBool,
    /// `true` if a function of an extension may change the session of its caller.
    unruly: AtomicBool,
}

/// Maximum number of objects that an error lists.
const NAMED: usize = 10;

impl ExtensionSchemas {
    pub(crate) fn new(names: Vec<Ident>) -> Self {
        Self { names, ..Self::default() }
    }

    pub(crate) fn names(&self) -> &[Ident] {
        &self.names
    }

    /// Returns `true` if tables can be found there, as by a session that outlived its tenant's
    /// schema.
    pub(crate) fn hold_tables(&self) -> bool {
        self.tables.load(Ordering::Relaxed)
    }

    /// Returns `true` if a plain query may call a function there that changes the session.
    pub(super) fn are_unruly(&self) -> bool {
        self.unruly.load(Ordering::Relaxed)
    }

    /// Checks the schemas on each new connection, because their owners may have created objects
    /// there. Returns the missing ones: the migrations of the shared schema may be about to create
    /// them.
    ///
    /// # Errors
    ///
    /// This crate's [`Error`] when a schema contains an object that is not part of an extension, or
    /// another role may create objects in it.
    pub(super) async fn missing(&self, conn: &mut PgConnection) -> sqlx::Result<Vec<String>> {
        let (mut wrong, mut missing) = (Vec::new(), Vec::new());
        if self.names.is_empty() {
            return Ok(missing);
        }
        for row in raw_sql(look_sql(&self.names)).fetch_all(&mut *conn).await? {
            let schema = Inspected::try_from(&row)?;
            self.tables.fetch_or(schema.has_tables, Ordering::Relaxed);
            self.unruly.fetch_or(schema.is_unruly, Ordering::Relaxed);
            wrong.extend(refusal(&schema.name, &schema.foreign, &schema.creators));
            if !schema.exists {
                missing.push(schema.name);
            }
        }
        if wrong.is_empty() {
            return Ok(missing);
        }
        Err(Error::new(ErrorKind::Config, wrong.join("; ")).into())
    }

    /// Checks again before a tenant is served on a connection that was opened while a schema was
    /// missing.
    ///
    /// # Errors
    ///
    /// Like [`missing`](Self::missing), and when a schema is still missing.
    pub(super) async fn check(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let missing = self.missing(conn).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let names = missing.join(", ");
        let attempted = format!(
            "the extension schema {names} does not exist; create it in a migration of the shared schema"
        );
        Err(Error::new(ErrorKind::Config, attempted).into())
    }
}

/// Returns the problem with a schema, if there is one.
fn refusal(schema: &str, foreign: &[String], creators: &[String]) -> Option<String> {
    let wrong = [foreign_objects(schema, foreign), other_creators(schema, creators)];
    let wrong: Vec<_> = wrong.into_iter().flatten().collect();
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

fn foreign_objects(schema: &str, foreign: &[String]) -> Option<String> {
    if foreign.is_empty() {
        return None;
    }
    let named = foreign.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = match foreign.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "the extension schema {schema} contains objects that are not part of an extension, and tenants \
         would find them: {named}{more}; move them to another schema, or install the extensions in \
         another one"
    ))
}

fn other_creators(schema: &str, creators: &[String]) -> Option<String> {
    if creators.is_empty() {
        return None;
    }
    let roles = creators.join(", ");
    Some(format!(
        "roles other than its owner may create objects in the extension schema {schema}, and tenants \
         would find them: {roles}; revoke create on schema {schema} from {roles}"
    ))
}

/// The state of an extension schema: a row of [`look_sql`].
struct Inspected {
    name: String,
    exists: bool,
    /// Its objects that are not part of an extension.
    foreign: Vec<String>,
    /// The roles that may create in it although they are neither its owner nor a superuser.
    creators: Vec<String>,
    /// `true` if an extension has tables there.
    has_tables: bool,
    /// `true` if an extension has functions there that may change the session.
    is_unruly: bool,
}

impl TryFrom<&PgRow> for Inspected {
    type Error = sqlx::Error;

    fn try_from(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get(0)?,
            exists: row.try_get(1)?,
            foreign: row.try_get(2)?,
            creators: row.try_get(3)?,
            has_tables: row.try_get(4)?,
            is_unruly: row.try_get(5)?,
        })
    }
}

/// Returns the query for [`Inspected`], a row per schema.
///
/// Every object in a schema depends on it in `pg_depend`, whatever its kind. Dependent objects,
/// such as the sequence of an identity column, are judged with the object they belong to.
fn look_sql(schemas: &[Ident]) -> SqlStr {
    let mut sql = Sql::new(
        "with asked as materialized (select a.name, n.oid, n.nspowner, n.nspacl from (values ",
    );
    for (index, schema) in schemas.iter().enumerate() {
        sql.text(if index == 0 { "(" } else { ", (" })
            .literal(schema.as_str())
            .text("::pg_catalog.name)");
    }
    sql.text(MEMBERS)
        .text(" select a.name::pg_catalog.text, a.oid is not null, ")
        .text(FOREIGN)
        .text(", ")
        .text(CREATORS)
        .text(", ");
    sql.text(HAS_TABLES).text(", ");
    is_unruly(&mut sql);
    sql.text(" from asked a");
    sql.finish()
}

/// The asked schemas, the objects in them, and the functions whose text is searched.
const MEMBERS: &str = "\
    ) as a (name) left join pg_catalog.pg_namespace n on n.nspname operator(pg_catalog.=) a.name), \
    member as materialized (select d.refobjid as schema, d.classid, d.objid, \
      exists (select from pg_catalog.pg_depend e \
      where e.classid operator(pg_catalog.=) d.classid and e.objid operator(pg_catalog.=) d.objid \
      and e.deptype operator(pg_catalog.=) any (array['e', 'i']::pg_catalog.\"char\"[])) as owned \
      from asked a join pg_catalog.pg_depend d on d.refobjid operator(pg_catalog.=) a.oid \
      where d.refclassid operator(pg_catalog.=) 'pg_catalog.pg_namespace'::pg_catalog.regclass \
      and d.deptype operator(pg_catalog.=) 'n' \
      and d.classid operator(pg_catalog.<>) 'pg_catalog.pg_extension'::pg_catalog.regclass), \
    routine as materialized (select m.schema, p.oid, pg_catalog.pg_column_size(p.prosrc) as size \
      from member m join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) m.objid \
      join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang \
      where m.classid operator(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass \
      and l.lanname operator(pg_catalog.<>) 'c' and l.lanname operator(pg_catalog.<>) 'internal')";

/// The objects that are not part of an extension.
const FOREIGN: &str = "\
    array(select pg_catalog.concat(i.type, ' ', i.identity) from member m \
      cross join lateral pg_catalog.pg_identify_object(m.classid, m.objid, 0) i \
      where m.schema operator(pg_catalog.=) a.oid and not m.owned order by 1)";

/// The roles that may create in a schema although they are neither its owner nor a superuser.
const CREATORS: &str = "\
    array(select case when x.grantee operator(pg_catalog.=) 0::pg_catalog.oid then 'public' \
      else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)::pg_catalog.text) end \
      from pg_catalog.aclexplode(coalesce(a.nspacl, pg_catalog.acldefault('n', a.nspowner))) x \
      left join pg_catalog.pg_roles r on r.oid operator(pg_catalog.=) x.grantee \
      where x.privilege_type operator(pg_catalog.=) 'CREATE' \
      and x.grantee operator(pg_catalog.<>) a.nspowner and not coalesce(r.rolsuper, false) \
      order by 1)";

/// Whether an extension has tables in a schema.
const HAS_TABLES: &str = "\
    exists (select from member m join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) m.objid \
      where m.schema operator(pg_catalog.=) a.oid \
      and m.classid operator(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass \
      and c.relkind operator(pg_catalog.=) any (array['r', 'p', 'f', 'S']::pg_catalog.\"char\"[]))";

/// Appends whether an extension has functions in a schema that may change the session.
fn is_unruly(sql: &mut Sql) {
    sql.text(
        "case when coalesce((select pg_catalog.sum(r.size) from routine r \
             where r.schema operator(pg_catalog.=) a.oid), 0) operator(pg_catalog.>) ",
    );
    sql.number(MOST_TEXT).text(
        " then true else exists (select from routine r \
         join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) r.oid \
         join pg_catalog.pg_language l on l.oid operator(pg_catalog.=) p.prolang \
         where r.schema operator(pg_catalog.=) a.oid and ",
    );
    reaches(sql);
    sql.text(") end");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_what_is_in_the_way_and_what_to_do() {
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(refusal("ext", &[], &[]), None);
        let many: Vec<_> = (0..13).map(|nth| format!("table ext.t{nth}")).collect();
        let wrong = refusal("ext", &many, &texts(&["public"])).expect("it is refused");
        for part in ["table ext.t0, ", "and 3 more", "revoke create on schema ext from public"] {
            assert!(wrong.contains(part), "{wrong}");
        }
    }
}

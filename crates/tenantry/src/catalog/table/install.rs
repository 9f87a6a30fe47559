//! Creates the table of tenants and its triggers if missing, and refuses a table of another form.

use sqlx::{PgConnection, Row, SqlStr, postgres::PgRow};

use super::{name::Name, upgrade::STATES};
use crate::{
    error::{Error, ErrorKind},
    pool::{grant, keep_to_owner},
    sql::Sql,
    tenant::Ident,
};

/// A column: its type, and other accepted types, in PostgreSQL's spelling.
struct Column {
    name: &'static str,
    expected: &'static str,
    will_do: &'static [&'static str],
}

/// The columns that a table must have.
const COLUMNS: [Column; 5] = [
    Column { name: "id", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "container", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "state", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "created_at", expected: "timestamptz", will_do: &["timestamptz", "timestamp"] },
    Column { name: "attributes", expected: "jsonb", will_do: &["jsonb", "json"] },
];

/// The columns that a table of an earlier release lacks.
const LATER_COLUMNS: [Column; 5] = [
    Column { name: "isolation", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "server", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "database", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "key", expected: "text", will_do: &["text", "varchar"] },
    Column { name: "epoch", expected: "bigint", will_do: &["int8", "int4"] },
];

/// The body of the trigger's function. It runs in the session that changes a row, and no row
/// content makes it fail: a text longer than an id can be is not announced, because no such tenant
/// was ever looked up, and PostgreSQL refuses payloads of 8,000 bytes.
const ANNOUNCE: &str = "\
    begin \
      if tg_op operator(pg_catalog.=) 'TRUNCATE' then \
        perform pg_catalog.pg_notify('tenantry_catalog', ''); \
        return null; \
      end if; \
      if tg_op operator(pg_catalog.<>) 'INSERT' then \
        if pg_catalog.octet_length(old.id::pg_catalog.text) operator(pg_catalog.<=) 63 then \
          perform pg_catalog.pg_notify('tenantry_catalog', old.id::pg_catalog.text); \
        end if; \
      end if; \
      if tg_op operator(pg_catalog.<>) 'DELETE' then \
        if pg_catalog.octet_length(new.id::pg_catalog.text) operator(pg_catalog.<=) 63 then \
          perform pg_catalog.pg_notify('tenantry_catalog', new.id::pg_catalog.text); \
        end if; \
      end if; \
      return null; \
    end";

/// Creates the table and its triggers if missing, in the open transaction.
pub(super) async fn install(
    conn: &mut PgConnection,
    schema: &Ident,
    table: &Ident,
) -> Result<Made, Error> {
    let name = Name { schema, table };
    // Makes a second caller wait: `if not exists` alone does not prevent concurrent creations from
    // colliding.
    let lock = "select pg_catalog.pg_advisory_xact_lock(7234619037115)";
    sqlx::raw_sql(lock).execute(&mut *conn).await?;
    let found = sqlx::raw_sql(name.find_sql()).fetch_all(&mut *conn).await?;
    let made = match found.first() {
        None => {
            sqlx::raw_sql(name.create_sql()).execute(&mut *conn).await?;
            Made::Now
        }
        Some(first) => {
            name.check(first, &found)?;
            if first.try_get::<bool, _>("owns")? {
                name.upgrade(conn, &found).await?;
            }
            if sqlx::raw_sql(name.is_announced_sql()).fetch_optional(&mut *conn).await?.is_some() {
                return Ok(Made::Before);
            }
            if !first.try_get::<bool, _>("may")? {
                let owner: String = first.try_get("owner")?;
                let why = format!(
                    "it belongs to the role {owner}, and only that role can add the trigger"
                );
                return Err(name.refuse(&why));
            }
            Made::Before
        }
    };
    sqlx::raw_sql(name.announce_sql()).execute(&mut *conn).await?;
    Ok(made)
}

/// Creates them with the maintenance role, which differs from the role that reads the table.
pub(super) async fn install_for(
    conn: &mut PgConnection,
    schema: &Ident,
    table: &Ident,
    reader: &Ident,
) -> Result<(), Error> {
    let mut sql = Sql::default();
    grant(&mut sql, schema, reader);
    sqlx::raw_sql(sql.finish()).execute(&mut *conn).await?;
    if install(conn, schema, table).await? == Made::Now {
        let mut sql = Sql::default();
        // Only maintenance writes the list of tenants.
        keep_to_owner(&mut sql, schema, table.as_str());
        Name { schema, table }.to(sql.text("grant select on table ")).text(" to ").ident(reader);
        sqlx::raw_sql(sql.finish()).execute(conn).await?;
    }
    Ok(())
}

/// The origin of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Now,
    Before,
}

impl Column {
    fn find<'r>(&self, columns: &'r [PgRow]) -> Option<&'r PgRow> {
        columns.iter().find(|row| row.try_get("name").is_ok_and(|is: &str| is == self.name))
    }

    /// Describes why the column that has the name cannot be used, if so.
    fn misfit(&self, found: &PgRow) -> sqlx::Result<Option<String>> {
        let Self { name, expected, will_do } = self;
        let base: Option<&str> = found.try_get("base")?;
        if !base.is_some_and(|base| will_do.contains(&base)) {
            let is: &str = found.try_get("type")?;
            return Ok(Some(format!("column {name} is {is}; expected {expected}")));
        }
        let is_unique = *name != "id" || found.try_get("is_unique")?;
        Ok((!is_unique).then(|| "column id is not unique; expected a primary key".to_owned()))
    }
}

/// Checks whether the table has a column for a step.
pub(super) fn has_step_sql(schema: &Ident, table: &Ident) -> SqlStr {
    let mut sql = Sql::new(
        "select exists (select from pg_catalog.pg_attribute a \
         join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) a.attrelid \
         join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
         where a.attname operator(pg_catalog.=) 'step' and not a.attisdropped and not a.attnotnull \
         and a.atttypid operator(pg_catalog.=) 'pg_catalog.text'::pg_catalog.regtype \
         and n.nspname operator(pg_catalog.=) ",
    );
    sql.literal(schema.as_str());
    sql.text(" and c.relname operator(pg_catalog.=) ").literal(table.as_str()).text(")");
    sql.finish()
}

impl Name<'_> {
    /// Describes the object that currently has the table's name: a row for each column, and one if
    /// there is none.
    fn find_sql(&self) -> SqlStr {
        let mut sql = Sql::new(
            "select c.relkind::pg_catalog.text as kind, \
               pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text as owner, \
               pg_catalog.has_table_privilege(c.oid, 'trigger') as may, \
               pg_catalog.pg_has_role(c.relowner, 'usage') as owns, \
               a.attname::pg_catalog.text as name, \
               pg_catalog.format_type(a.atttypid, a.atttypmod) as type, \
               case when n.nspname operator(pg_catalog.=) 'pg_catalog' \
                 then b.typname::pg_catalog.text end as base, \
               exists (select from pg_catalog.pg_index i \
                 where i.indrelid operator(pg_catalog.=) c.oid and i.indisunique and i.indisvalid \
                 and i.indnkeyatts operator(pg_catalog.=) 1 and i.indpred is null \
                 and i.indkey[0] operator(pg_catalog.=) a.attnum) as is_unique \
             from pg_catalog.pg_class c \
             left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
               and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped \
             left join pg_catalog.pg_type t on t.oid operator(pg_catalog.=) a.atttypid \
             left join pg_catalog.pg_type b on b.oid operator(pg_catalog.=) \
               case when t.typtype operator(pg_catalog.=) 'd' then t.typbasetype else t.oid end \
             left join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) b.typnamespace \
             join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) c.relnamespace \
             where s.nspname operator(pg_catalog.=) ",
        );
        sql.literal(self.schema.as_str());
        sql.text(" and c.relname operator(pg_catalog.=) ").literal(self.table.as_str());
        sql.finish()
    }

    /// Refuses an object that is not a table of tenants.
    fn check(&self, first: &PgRow, columns: &[PgRow]) -> Result<(), Error> {
        let kind: String = first.try_get("kind")?;
        let kind = match kind.as_str() {
            "r" | "p" => None,
            "v" => Some("it is a view"),
            "m" => Some("it is a materialized view"),
            "f" => Some("it is a foreign table"),
            _ => Some("it is not a table"),
        };
        if let Some(kind) = kind {
            return Err(self.refuse(kind));
        }
        let mut wrong = Vec::new();
        for column in &COLUMNS {
            match column.find(columns) {
                Some(found) => wrong.extend(column.misfit(found)?),
                None => {
                    let Column { name, expected, .. } = column;
                    wrong.push(format!("column {name} is missing; expected {expected}"));
                }
            }
        }
        for column in &LATER_COLUMNS {
            let misfit = column.find(columns).map(|found| column.misfit(found)).transpose()?;
            wrong.extend(misfit.flatten());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(self.refuse(&wrong.join("; "))),
        }
    }

    fn refuse(&self, why: &str) -> Error {
        let Self { schema, table } = self;
        let attempted = format!(
            "the table {schema}.{table} cannot be used as the table of tenants: {why}. Nothing was \
             changed; name another table with TableCatalog::table, or only read this one with TableCatalog::columns"
        );
        Error::new(ErrorKind::Config, attempted)
    }

    fn create_sql(&self) -> SqlStr {
        let mut sql = Sql::new("create table ");
        self.to(&mut sql).text(
            " (id pg_catalog.text primary key, isolation pg_catalog.text, server pg_catalog.text, \
             database pg_catalog.text, container pg_catalog.text, key pg_catalog.text, \
             epoch pg_catalog.int8 not null default 1, \
             state pg_catalog.text not null default 'active' ",
        );
        sql.text(STATES).text(
            ", created_at pg_catalog.timestamptz not null default pg_catalog.now(), \
             attributes pg_catalog.jsonb not null default '{}', step pg_catalog.text); ",
        );
        self.places_are_unique(&mut sql);
        self.keys_are_unique(sql.text("; "));
        sql.finish()
    }

    /// Returns a row if both triggers exist and match their current definition.
    fn is_announced_sql(&self) -> SqlStr {
        let mut sql = Sql::new(
            "select from pg_catalog.pg_trigger t \
             join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) t.tgrelid \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             join pg_catalog.pg_proc p on p.oid operator(pg_catalog.=) t.tgfoid \
             where not t.tgisinternal and t.tgenabled operator(pg_catalog.<>) 'D' \
             and p.pronamespace operator(pg_catalog.=) n.oid \
             and p.proname operator(pg_catalog.=) 'tenantry_announce' \
             and ((t.tgname operator(pg_catalog.=) 'tenantry_announce' \
                 and t.tgtype operator(pg_catalog.=) 29) \
               or (t.tgname operator(pg_catalog.=) 'tenantry_announce_all' \
                 and t.tgtype operator(pg_catalog.=) 32)) \
             and p.prosrc operator(pg_catalog.=) ",
        );
        sql.literal(ANNOUNCE).text(" and n.nspname operator(pg_catalog.=) ");
        sql.literal(self.schema.as_str());
        sql.text(" and c.relname operator(pg_catalog.=) ").literal(self.table.as_str());
        sql.text(" having pg_catalog.count(*) operator(pg_catalog.=) 2");
        sql.finish()
    }

    fn announce_sql(&self) -> SqlStr {
        let mut sql = Sql::new("create or replace function ");
        sql.ident(self.schema).text(
            ".tenantry_announce() returns pg_catalog.trigger language plpgsql \
             set search_path = pg_catalog, pg_temp as ",
        );
        sql.literal(ANNOUNCE);
        sql.text(
            "; create or replace trigger tenantry_announce after insert or update or delete on ",
        );
        self.to(&mut sql).text(" for each row execute function ");
        sql.ident(self.schema).text(
            ".tenantry_announce(); \
             create or replace trigger tenantry_announce_all after truncate on ",
        );
        self.to(&mut sql).text(" execute function ");
        sql.ident(self.schema).text(".tenantry_announce()");
        sql.finish()
    }
}

//! Selects the rows to copy if not all are copied, so that foreign keys stay valid.
//!
//! The kept rows of each affected table are listed in a temporary table, by their physical location. First come the
//! rows that the options select; for tables that refer to those, the rows that refer to kept ones. Then the rows that
//! these refer to are added. Rows that refer to an excluded row are removed.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{PgConnection, SqlStr};

use super::{
    error::{failed, failed_in_secret},
    plan::{Plan, Rows, Table},
    rows::{Kept, Way, qualified},
};
use crate::{
    error::Error,
    schema::ForeignKey,
    sql::{Sql, printed_by_server},
    tenant::Ident,
};

/// The kept rows of tables: tables that are not listed are copied completely.
#[derive(Debug, Default)]
pub(super) struct Subset {
    /// By the unit of a table, which is the topmost table of its partitions.
    units: BTreeMap<String, Unit>,
}

#[derive(Debug)]
struct Unit {
    kept: Kept,
    choice: Choice,
}

/// How the kept rows of a unit are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// The options select them.
    Selected,
    /// They refer to kept rows of others.
    Follows,
    /// None is kept, even if other rows refer to it.
    Excluded,
}

impl Subset {
    /// Lists the kept rows, on the connection that reads the source. Names in conditions are looked up in the schema
    /// `home`, which also has the foreign keys.
    pub(super) async fn choose(
        way: Way<'_>,
        home: &Ident,
        plan: &Plan,
        conn: &mut PgConnection,
    ) -> Result<Self, Error> {
        if plan.is_whole() {
            return Ok(Self::default());
        }
        let subset = Self { units: units(plan) };
        run(conn, subset.lists_sql(home), "choosing the rows to copy").await?;
        subset.select(way, plan, conn).await?;
        let operators = operators(conn, home).await?;
        let links = subset.links(way, plan, &operators);
        let follows = |link: &&Link<'_>| subset.units[link.from].choice == Choice::Follows;
        while_changing(conn, links.iter().filter(follows).map(Link::shrink)).await?;
        let may_grow = |link: &&Link<'_>| subset.units[link.to].choice != Choice::Excluded;
        while_changing(conn, links.iter().filter(may_grow).map(Link::grow)).await?;
        while_changing(conn, links.iter().map(Link::shrink)).await?;
        Ok(subset)
    }

    /// Creates the lists of kept rows.
    fn lists_sql(&self, home: &Ident) -> SqlStr {
        let mut sql = Sql::new("set local search_path to ");
        sql.ident(home).text("; ");
        for unit in self.units.values() {
            sql.text("create temporary table ");
            unit.kept.name(&mut sql);
            sql.text(
                " (of pg_catalog.oid, at pg_catalog.tid, primary key (of, at)) on commit drop; ",
            );
        }
        sql.finish()
    }

    /// Lists the rows that the options select.
    async fn select(
        &self,
        way: Way<'_>,
        plan: &Plan,
        conn: &mut PgConnection,
    ) -> Result<(), Error> {
        let is_secret = plan.tables.iter().any(|table| table.is_masked);
        for table in &plan.tables {
            let Some(unit) = self.units.get(&table.unit) else { continue };
            let Some(sql) = ask_sql(way, table, unit.kept) else { continue };
            let asked = sqlx::query(sql).persistent(false).execute(&mut *conn).await;
            let attempted = format!("choosing rows of the table {} by its filter", table.name);
            asked.map_err(|error| match is_secret {
                true => failed_in_secret(attempted, error),
                false => failed(attempted, error),
            })?;
        }
        Ok(())
    }

    /// Returns the list of the kept rows of a table, unless all of them are kept.
    pub(super) fn of(&self, table: &Table) -> Option<Kept> {
        self.units.get(&table.unit).map(|unit| unit.kept)
    }

    /// Returns the foreign keys between units with omitted rows.
    fn links<'a>(
        &'a self,
        way: Way<'a>,
        plan: &'a Plan,
        operators: &'a Operators,
    ) -> Vec<Link<'a>> {
        let unit_of = unit_names(plan);
        let links = plan.references.iter().filter_map(|key| {
            let (from, to) = (*unit_of.get(&*key.table)?, *unit_of.get(&*key.to)?);
            let kept = [self.units.get(from)?.kept, self.units.get(to)?.kept];
            let operators = operators.get(&(key.table.clone(), key.name.clone()))?;
            Some(Link { way, key, operators, from, to, kept })
        });
        links.collect()
    }
}

/// A foreign key between tables with omitted rows.
struct Link<'a> {
    way: Way<'a>,
    key: &'a ForeignKey,
    /// For each column, the operator with which the server compares a key with a reference to it.
    operators: &'a [SqlStr],
    from: &'a str,
    to: &'a str,
    kept: [Kept; 2],
}

impl Link<'_> {
    /// Removes rows that refer to a row that is not kept.
    fn shrink(&self) -> SqlStr {
        let mut sql = Sql::new("delete from ");
        self.kept[0].name(&mut sql);
        sql.text(" as k where exists (select from ");
        qualified(&mut sql, &self.way.from.schema, &self.key.table);
        sql.text(
            " as c where k.of operator(pg_catalog.=) c.tableoid and k.at operator(pg_catalog.=) c.ctid",
        );
        for column in &self.key.columns {
            sql.text(" and c.").name(column).text(" is not null");
        }
        sql.text(" and not exists (select from ");
        self.target(&mut sql);
        sql.text("))");
        sql.finish()
    }

    /// Adds rows that kept rows refer to.
    fn grow(&self) -> SqlStr {
        let mut sql = Sql::new("insert into ");
        self.kept[1].name(&mut sql);
        sql.text(" select p.tableoid, p.ctid from ");
        qualified(&mut sql, &self.way.from.schema, &self.key.to);
        sql.text(" as p where exists (select from ");
        qualified(&mut sql, &self.way.from.schema, &self.key.table);
        sql.text(" as c join ");
        self.kept[0].name(&mut sql);
        sql.text(" as k on k.of operator(pg_catalog.=) c.tableoid and k.at operator(pg_catalog.=) c.ctid where ");
        self.is_referred_to(&mut sql);
        sql.text(") on conflict do nothing");
        sql.finish()
    }

    /// Appends the kept row that a row `c` refers to.
    fn target(&self, sql: &mut Sql) {
        qualified(sql, &self.way.from.schema, &self.key.to);
        sql.text(" as p join ");
        self.kept[1].name(sql);
        sql.text(" as o on o.of operator(pg_catalog.=) p.tableoid and o.at operator(pg_catalog.=) p.ctid where ");
        self.is_referred_to(sql);
    }

    /// Appends the condition that a row `c` refers to a row `p`.
    fn is_referred_to(&self, sql: &mut Sql) {
        let columns = self.key.columns.iter().zip(&self.key.to_columns).zip(self.operators);
        for (index, ((column, to), operator)) in columns.enumerate() {
            sql.text(if index == 0 { "p." } else { " and p." }).name(to).text(" ");
            sql.vouched(operator, 0..operator.as_str().len()).text(" c.").name(column);
        }
    }
}

/// The operators of foreign keys, by table and constraint.
type Operators = BTreeMap<(String, String), Vec<SqlStr>>;

/// Reads the operators with which the server compares foreign keys: those of the types can be in any schema.
async fn operators(conn: &mut PgConnection, schema: &Ident) -> Result<Operators, Error> {
    let query = sqlx::query_as(
        "select c.relname::pg_catalog.text, k.conname::pg_catalog.text, \
           array(select pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname) \
             from pg_catalog.unnest(k.conpfeqop) with ordinality as u (oid, place) \
             join pg_catalog.pg_operator o on o.oid operator(pg_catalog.=) u.oid \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) o.oprnamespace order by u.place) \
         from pg_catalog.pg_class c join pg_catalog.pg_constraint k on k.conrelid operator(pg_catalog.=) c.oid \
         join pg_catalog.pg_namespace s on s.oid operator(pg_catalog.=) c.relnamespace \
         where k.contype operator(pg_catalog.=) 'f' and s.nspname operator(pg_catalog.=) $1::pg_catalog.name",
    );
    let query = query.bind(schema.as_str()).persistent(false);
    let found: Vec<(String, String, Vec<String>)> =
        query.fetch_all(conn).await.map_err(|e| failed("reading the foreign keys".into(), e))?;
    let keys = found.into_iter().map(|(table, name, operators)| {
        let operators = operators.into_iter().map(printed_by_server).collect();
        ((table, name), operators)
    });
    Ok(keys.collect())
}

/// Returns the topmost table of each.
fn unit_names(plan: &Plan) -> BTreeMap<&str, &str> {
    let tables = plan.tables.iter();
    tables.flat_map(|table| [(&*table.name, &*table.unit), (&*table.unit, &*table.unit)]).collect()
}

/// Finds the tables with omitted rows: those that the options name, and those that refer to them directly or
/// indirectly.
fn units(plan: &Plan) -> BTreeMap<String, Unit> {
    let unit_of = unit_names(plan);
    let asked = |is_asked: fn(&Rows) -> bool| -> BTreeSet<&str> {
        let tables = plan.tables.iter().filter(move |table| is_asked(&table.rows));
        tables.map(|table| &*table.unit).collect()
    };
    let named = asked(|rows| *rows != Rows::All);
    let partly = asked(|rows| *rows != Rows::None);
    let mut found = named.clone();
    loop {
        let referring = plan.references.iter().filter_map(|key| {
            let (from, to) = (*unit_of.get(&*key.table)?, *unit_of.get(&*key.to)?);
            (found.contains(to) && !found.contains(from)).then_some(from)
        });
        let referring: Vec<_> = referring.collect();
        if referring.is_empty() {
            break;
        }
        found.extend(referring);
    }
    let units = found.into_iter().enumerate().map(|(number, name)| {
        let choice = match (named.contains(name), partly.contains(name)) {
            (false, _) => Choice::Follows,
            (true, true) => Choice::Selected,
            (true, false) => Choice::Excluded,
        };
        (name.to_owned(), Unit { kept: Kept(number as u64), choice })
    });
    units.collect()
}

/// Lists the rows of a table that the options select.
fn ask_sql(way: Way<'_>, table: &Table, kept: Kept) -> Option<SqlStr> {
    let (condition, limit) = match &table.rows {
        Rows::All => (None, None),
        Rows::Part { condition, limit } => (condition.as_deref(), *limit),
        Rows::None => return None,
    };
    let mut sql = Sql::new("insert into ");
    kept.name(&mut sql);
    sql.text(" select tableoid, ctid from only ");
    qualified(&mut sql, &way.from.schema, &table.name);
    if let Some(condition) = condition {
        sql.text(" where ").operators_condition(condition);
    }
    if let Some(limit) = limit {
        for (index, column) in table.primary_key.iter().enumerate() {
            sql.text(if index == 0 { " order by " } else { ", " }).name(column);
        }
        sql.text(" limit ").number(limit);
    }
    Some(sql.finish())
}

/// Runs statements until none of them changes anything any more.
async fn while_changing(
    conn: &mut PgConnection,
    statements: impl Iterator<Item = SqlStr>,
) -> Result<(), Error> {
    let statements: Vec<_> = statements.collect();
    loop {
        let mut changed = 0;
        for sql in &statements {
            let run = sqlx::raw_sql(sql.clone()).execute(&mut *conn).await;
            let run = run.map_err(|error| failed("following foreign keys".into(), error))?;
            changed += run.rows_affected();
        }
        if changed == 0 {
            return Ok(());
        }
    }
}

async fn run(conn: &mut PgConnection, sql: SqlStr, attempted: &str) -> Result<(), Error> {
    let run = sqlx::raw_sql(sql).execute(conn).await;
    run.map(drop).map_err(|error| failed(attempted.to_owned(), error))
}

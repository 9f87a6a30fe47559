//! Rows of two schemas by their keys: how they are read for a comparison, and how chosen ones are written.

use sqlx::{PgConnection, SqlStr};

use super::{
    Plan,
    content::{Content, content_of, set_alike},
    copy::{Copying, set_path},
    plan::Table,
    rows::{Way, select_sql, value},
    settings::set_up,
};
use crate::{
    error::Error,
    schema::{Attribute, ObjectKey, ObjectKind, SchemaModel, read::Subject},
    sql::Sql,
};

/// The tables of two schemas.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    /// Those in both, in the order of the second: those that others refer to first.
    pub(crate) both: Vec<KeyedTable>,
    pub(crate) only_in_first: Vec<String>,
    pub(crate) only_in_second: Vec<String>,
}

/// A table of two schemas.
#[derive(Debug, Clone)]
pub(crate) struct KeyedTable {
    pub(crate) name: String,
    /// The columns of both, without generated ones.
    pub(crate) columns: Vec<String>,
    /// The columns of the primary key, if that is the same in both. Empty without one.
    pub(crate) key: Vec<KeyColumn>,
    pub(crate) only_in_first: Vec<String>,
    pub(crate) only_in_second: Vec<String>,
    table: Table,
}

/// A column of a primary key.
#[derive(Debug, Clone)]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    /// Its place among the columns.
    pub(crate) place: usize,
    pub(crate) order: KeyOrder,
}

/// The order in which keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// That of numbers, which the server's index has.
    Integer,
    /// That of the bytes of the text, which the server's index has, too.
    Uuid,
    /// That of the bytes of the text in UTF-8, which is the same on all servers: others depend on collations.
    Text,
}

/// Returns which tables two schemas have.
pub(crate) fn tables(first: (&Plan, &SchemaModel), second: (&Plan, &SchemaModel)) -> Tables {
    let (mut tables, (first, first_model), (second, second_model)) =
        (Tables::default(), first, second);
    let named =
        |plan: &'_ Plan, name: &str| plan.tables.iter().find(|table| table.name == name).cloned();
    for table in &second.tables {
        match named(first, &table.name) {
            Some(other) => {
                let models = [first_model, second_model];
                tables.both.push(KeyedTable::new(&other, table, models));
            }
            None => tables.only_in_second.push(table.name.clone()),
        }
    }
    let only_in_first = first.tables.iter().filter(|table| named(second, &table.name).is_none());
    tables.only_in_first = only_in_first.map(|table| table.name.clone()).collect();
    tables
}

impl KeyedTable {
    fn new(first: &Table, second: &Table, models: [&SchemaModel; 2]) -> Self {
        let has = |of: &Table, name: &str| of.columns.iter().any(|column| column.name == name);
        let missing = |of: &Table, other: &Table| {
            let names = of.columns.iter().map(|column| &column.name);
            names.filter(|name| !has(other, name)).cloned().collect::<Vec<_>>()
        };
        let mut table = second.clone();
        table.columns.retain(|column| has(first, &column.name));
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        let place = |name: &String| columns.iter().position(|column| column == name);
        let is_same = first.primary_key == second.primary_key;
        let key = second.primary_key.iter().filter(|_| is_same).map(|name| {
            let order = models.map(|model| order_of(model, &second.name, name));
            let order = if order[0] == order[1] { order[0] } else { KeyOrder::Text };
            Some(KeyColumn { name: name.clone(), place: place(name)?, order })
        });
        let key = key.collect::<Option<Vec<_>>>().unwrap_or_default();
        Self {
            name: second.name.clone(),
            key,
            only_in_first: missing(first, second),
            only_in_second: missing(second, first),
            columns,
            table,
        }
    }

    /// Reads the rows in the order of the key, with the names of objects as the target has them.
    pub(crate) fn ordered_sql(&self, from: &Subject, to: &Subject) -> SqlStr {
        let way = Way { from, to };
        let mut sql = Sql::new("copy (");
        self.select(&mut sql, way);
        for (index, column) in self.key.iter().enumerate() {
            sql.text(if index == 0 { " order by " } else { ", " });
            match column.order {
                KeyOrder::Integer | KeyOrder::Uuid => drop(sql.text("s.").name(&column.name)),
                KeyOrder::Text => {
                    sql.text("pg_catalog.convert_to((");
                    self.value(&mut sql, way, column);
                    sql.text(")::pg_catalog.text, 'UTF8')");
                }
            }
        }
        sql.text(") to stdout");
        sql.finish()
    }

    fn select(&self, sql: &mut Sql, way: Way<'_>) {
        select_sql(sql, way, &self.table);
    }

    fn value(&self, sql: &mut Sql, way: Way<'_>, column: &KeyColumn) {
        value(sql, way, &self.table.columns[column.place], false);
    }
}

fn order_of(model: &SchemaModel, table: &str, column: &str) -> KeyOrder {
    let key = ObjectKey::part(ObjectKind::Column, table, column);
    match model.get(&key).and_then(|column| column.text(Attribute::Type)) {
        Some("smallint" | "integer" | "bigint") => KeyOrder::Integer,
        Some("uuid") => KeyOrder::Uuid,
        _ => KeyOrder::Text,
    }
}

impl Copying<'_> {
    /// Locks the tables of the source, and has the open transaction print values as those of another server does. The
    /// snapshot is taken after that.
    pub(crate) async fn begin_reading(&self, conn: &mut PgConnection) -> Result<(), Error> {
        self.hold_source(conn).await?;
        set_up(conn, self.options.lock_timeout).await?;
        set_alike(conn).await?;
        set_path(conn, &[]).await
    }

    /// Reads the number of rows of a table, and the sum of their hashes.
    pub(crate) async fn content(
        &self,
        conn: &mut PgConnection,
        table: &str,
    ) -> Result<Option<Content>, Error> {
        let Some(table) = self.plan.tables.iter().find(|it| it.name == table) else {
            return Ok(None);
        };
        content_of(conn, self.way(), table).await.map(Some)
    }
}

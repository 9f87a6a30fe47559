//! Rows of two schemas by their keys: how they are read for a comparison.

use sqlx::{PgConnection, SqlStr};

use super::{
    Plan,
    content::{Content, content_of, set_alike},
    copy::{Copying, set_path},
    masking::OWN_TABLES,
    plan::{Names, Table},
    rows::{Way, select_placed_sql, select_sql, value},
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
    pub(crate) only_in_first: Vec<Names>,
    pub(crate) only_in_second: Vec<Names>,
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
    /// Columns, without those of the key, that the second schema does not let updates change.
    pub(crate) fixed: Vec<String>,
    pub(super) table: Table,
}

/// Which rows to read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading<'a> {
    /// Rows with these keys, each as text. All without it.
    pub(crate) keys: Option<&'a [Vec<String>]>,
    /// The place of each row comes after its values.
    pub(crate) with_places: bool,
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
            None => tables.only_in_second.push(table.names.clone()),
        }
    }
    let only_in_first = first.tables.iter().filter(|table| named(second, &table.name).is_none());
    tables.only_in_first = only_in_first.map(|table| table.names.clone()).collect();
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
        // One of the two may have detached the partition.
        table.names.add(&first.names);
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.clone()).collect();
        let place = |name: &String| columns.iter().position(|column| column == name);
        let is_same = first.primary_key == second.primary_key;
        let key = second.primary_key.iter().filter(|_| is_same).map(|name| {
            let order = models.map(|model| order_of(model, &second.name, name));
            let order = if order[0] == order[1] { order[0] } else { KeyOrder::Text };
            Some(KeyColumn { name: name.clone(), place: place(name)?, order })
        });
        let key = key.collect::<Option<Vec<_>>>().unwrap_or_default();
        let is_key = |name: &String| key.iter().any(|column| column.name == *name);
        let is_fixed = |name: &&String| {
            let column = ObjectKey::part(ObjectKind::Column, &*second.name, &***name);
            let column = models[1].get(&column);
            !is_key(name) && column.and_then(|it| it.text(Attribute::Identity)) == Some("always")
        };
        Self {
            fixed: columns.iter().filter(is_fixed).cloned().collect(),
            name: second.name.clone(),
            key,
            only_in_first: missing(first, second),
            only_in_second: missing(second, first),
            columns,
            table,
        }
    }

    /// Creates a table without columns.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        let table = Table {
            name: name.to_owned(),
            columns: Vec::new(),
            primary_key: Vec::new(),
            unit: name.to_owned(),
            names: Names::of(name),
            rows: super::plan::Rows::All,
            is_masked: false,
        };
        Self {
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            only_in_first: Vec::new(),
            only_in_second: Vec::new(),
            fixed: Vec::new(),
            table,
        }
    }

    /// Returns the partitioned table that its rows belong to, or its name.
    pub(super) fn unit(&self) -> &str {
        &self.table.unit
    }

    /// Returns its name, and those of the partitioned tables that it is part of in either schema.
    pub(crate) fn names(&self) -> &Names {
        &self.table.names
    }

    /// Returns `true` if the library or sqlx keeps its records there.
    pub(crate) fn is_of_records(&self) -> bool {
        OWN_TABLES.contains(&&*self.name)
    }

    /// Reads rows in the order of the key, with the names of objects as the target has them.
    pub(crate) fn ordered_sql(&self, from: &Subject, to: &Subject, reading: Reading<'_>) -> SqlStr {
        let way = Way { from, to };
        let mut sql = Sql::new("copy (");
        match reading.with_places {
            true => select_placed_sql(&mut sql, way, &self.table),
            false => select_sql(&mut sql, way, &self.table),
        }
        if let Some(keys) = reading.keys {
            self.where_sql(&mut sql, way, keys);
        }
        for (index, column) in self.key.iter().enumerate() {
            sql.text(if index == 0 { " order by " } else { ", " });
            match column.order {
                KeyOrder::Integer | KeyOrder::Uuid => drop(sql.text("s.").name(&column.name)),
                KeyOrder::Text => {
                    sql.text("pg_catalog.convert_to(");
                    self.printed(&mut sql, way, column);
                    sql.text(", 'UTF8')");
                }
            }
        }
        sql.text(") to stdout");
        sql.finish()
    }

    /// Appends a condition that rows with these keys meet. The first condition finds them by the index of the key.
    fn where_sql(&self, sql: &mut Sql, way: Way<'_>, keys: &[Vec<String>]) {
        sql.text(" where ");
        if let Some(first) = self.key.first() {
            let values: Vec<_> = keys.iter().filter_map(|key| key.first()).collect();
            let of_type = match first.order {
                KeyOrder::Integer => Some("]::pg_catalog.int8[]) and "),
                KeyOrder::Uuid if values.iter().all(|value| is_uuid(value)) => {
                    Some("]::pg_catalog.uuid[]) and ")
                }
                KeyOrder::Uuid | KeyOrder::Text => None,
            };
            if let Some(of_type) = of_type {
                sql.text("s.").name(&first.name).text(" operator(pg_catalog.=) any (array[");
                for (index, value) in values.into_iter().enumerate() {
                    sql.text(if index == 0 { "" } else { ", " }).literal(value);
                }
                sql.text(of_type);
            }
        }
        sql.text("pg_catalog.jsonb_build_array(");
        for (index, column) in self.key.iter().enumerate() {
            sql.text(if index == 0 { "" } else { ", " });
            self.printed(sql, way, column);
        }
        sql.text(") operator(pg_catalog.=) any (array[");
        for (index, key) in keys.iter().enumerate() {
            let key = serde_json::Value::from(key.clone()).to_string();
            sql.text(if index == 0 { "" } else { ", " }).literal(&key);
        }
        sql.text("]::pg_catalog.jsonb[])");
    }

    /// Appends a value as `copy` prints it: a cast to text writes some types in other words, such as `inet`.
    fn printed(&self, sql: &mut Sql, way: Way<'_>, column: &KeyColumn) {
        sql.text("pg_catalog.format('%s', ");
        self.value(sql, way, column);
        sql.text(")");
    }

    fn value(&self, sql: &mut Sql, way: Way<'_>, column: &KeyColumn) {
        value(sql, way, &self.table.columns[column.place], false);
    }
}

/// Returns `true` for a `uuid` as the server prints it.
fn is_uuid(text: &str) -> bool {
    let is_digit = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let is_right =
        |(place, c)| if matches!(place, 8 | 13 | 18 | 23) { c == b'-' } else { is_digit(c) };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
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

    /// Reads the number of rows of a table, and the sum of the hashes of their values in the columns that both schemas
    /// have.
    pub(crate) async fn content(
        &self,
        conn: &mut PgConnection,
        table: &KeyedTable,
    ) -> Result<Content, Error> {
        content_of(conn, self.way(), &table.table).await
    }
}

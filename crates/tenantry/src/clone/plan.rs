//! The plan of a copy, derived from the model of the source.

use std::collections::{BTreeMap, BTreeSet};

use super::CloneOptions;
use crate::{
    anonymize::{ColumnPlan, MaskPlan, Select},
    error::OptionsError,
    glob::is_like,
    schema::{
        AroundRows, Attribute, BeyondKind, ForeignKey, Object, ObjectKey, ObjectKind, SchemaModel,
        Value, fill, foreign_keys, name_of, primary_key, tables_read,
    },
    tenant::Ident,
};

/// The plan of a copy.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) statements: AroundRows,
    /// Tables whose rows are copied, with referenced tables first.
    pub(super) tables: Vec<Table>,
    /// Foreign keys between tables of the schema.
    pub(super) references: Vec<ForeignKey>,
    /// Sequences to set.
    pub(super) sequences: Vec<String>,
    /// Materialized views to populate, each after those that it reads.
    pub(super) views: Vec<String>,
    pub(crate) objects: usize,
    pub(crate) remarks: Vec<String>,
}

/// A table whose rows are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) primary_key: Vec<String>,
    /// The table that these rows belong to: for a partition, the topmost partitioned table.
    pub(super) unit: String,
    /// Its name, and those of the partitioned tables that it is part of.
    pub(super) names: Names,
    pub(super) rows: Rows,
    /// Whether its rows pass through this process, to be masked.
    pub(super) is_masked: bool,
}

/// The names by which a table can be meant: its own first, then those of the partitioned tables that it is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl Names {
    #[cfg(test)]
    pub(super) fn of(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Adds the names that it has elsewhere.
    pub(super) fn add(&mut self, others: &Self) {
        let new = others.iter().filter(|name| !self.has(name)).map(str::to_owned);
        let new: Vec<_> = new.collect();
        self.0.extend(new);
    }

    /// Returns its own name.
    pub(crate) fn own(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    /// Returns `true` if a name is that of the table, or of a partitioned table that it is part of.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|it| it == name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A column that takes values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) values: Values,
    pub(super) read: Read,
}

/// How the values of a column are treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Values {
    /// The same.
    Same,
    /// A value of a type in the schema: the copy has a different type, with this name.
    OfOwnType(String),
    /// Names of objects, of a type such as `regclass`: names in the source's schema are replaced by those in the
    /// copy.
    Names(&'static str),
}

/// How a column is read from the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    /// Its values.
    Value,
    /// An expression over the row, in SQL.
    Expression(String),
    /// The values of other rows.
    Shuffled,
}

/// The rows to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    Part {
        condition: Option<String>,
        limit: Option<u64>,
    },
    /// None, and none that refer to one.
    None,
}

/// The table of migration records: its rows are part of the structure.
const RECORDS: &str = "_sqlx_migrations";

/// Types whose values are printed as names of objects and stored as OIDs.
const OBJECT_TYPES: [&str; 10] = [
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regtype",
];

impl Plan {
    /// Creates the plan.
    ///
    /// # Errors
    ///
    /// If the options name a table that does not exist.
    pub(crate) fn new(
        model: &SchemaModel,
        options: &CloneOptions,
        schema: &Ident,
        role: Option<&Ident>,
    ) -> Result<Self, OptionsError> {
        check_names(model, options)?;
        let own = OwnTypes::of(model, schema);
        let all = model.of_kind(ObjectKind::Table).filter(|(_, table)| has_rows(table));
        let mut tables: Vec<_> = all.map(|table| Table::new(model, table, &own, options)).collect();
        if !options.data {
            tables.retain(|table| table.name == RECORDS);
        }
        let references = foreign_keys(model);
        let is_empty = |view: &ObjectKey| {
            model
                .beyond
                .iter()
                .any(|fact| fact.what == BeyondKind::NotPopulated && fact.object == *view)
        };
        let views = model.in_order_of_need().into_iter();
        let views = views.filter(|key| key.kind == ObjectKind::MaterializedView);
        Ok(Self {
            statements: model.ddl_around_rows(schema, role),
            tables: parents_first(tables, &references, &tables_read(model)),
            references,
            sequences: match options.data {
                true => {
                    model.of_kind(ObjectKind::Sequence).map(|(key, _)| key.name.clone()).collect()
                }
                false => Vec::new(),
            },
            views: views.filter(|key| !is_empty(key)).map(|key| key.name.clone()).collect(),
            objects: model.objects.len(),
            remarks: remarks(model, options.data).into_iter().chain(mentions(model)).collect(),
        })
    }

    /// Leaves the schema as it is, which exists already and is empty.
    pub(crate) fn in_existing_schema(mut self) -> Self {
        self.statements.before.retain(|statement| !statement.starts_with("create schema "));
        self
    }

    /// Creates the plan of copying rows alone, with tables that exist already.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub(crate) fn of_rows(
        model: &SchemaModel,
        options: &CloneOptions,
        schema: &Ident,
    ) -> Result<Self, OptionsError> {
        let plan = Self::new(model, options, schema, None)?;
        Ok(Self {
            statements: AroundRows::default(),
            sequences: Vec::new(),
            views: Vec::new(),
            objects: 0,
            remarks: Vec::new(),
            ..plan
        })
    }

    /// Reads masked columns in the way that their masks require.
    pub(crate) fn mask(&mut self, masks: &MaskPlan) {
        for table in &mut self.tables {
            let Some(masked) = masks.table(&table.name) else { continue };
            table.is_masked = masked.is_masked();
            for column in &mut table.columns {
                column.read = match masked.column(&column.name).map(ColumnPlan::select) {
                    Some(Select::Sql { expression, .. }) => Read::Expression(expression.clone()),
                    Some(Select::Shuffle) => Read::Shuffled,
                    Some(Select::Column) | None => Read::Value,
                };
            }
        }
    }

    /// Returns the approximate number of locks of a transaction that creates everything.
    pub(crate) fn locks(&self) -> u64 {
        // A table has a TOAST relation with an index; its row type takes no lock.
        let statements = self.statements.before.iter().chain(&self.statements.after);
        let locks = statements.map(|statement| match statement.split(' ').next() {
            _ if statement.starts_with("create table ") => 4,
            Some("create" | "alter") => 1,
            _ => 0,
        });
        locks.sum::<u64>() + 3 * self.tables.len() as u64
    }

    /// Returns `true` if all rows of all tables are copied, so that foreign keys stay valid.
    pub(super) fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.rows == Rows::All)
    }
}

impl Table {
    fn new(
        model: &SchemaModel,
        (key, table): (&ObjectKey, &Object),
        own: &OwnTypes<'_>,
        options: &CloneOptions,
    ) -> Self {
        // Options for a partitioned table apply to its partitions.
        let names = ancestors(model, key, table);
        let is_named = |pattern: &String| names.iter().any(|name| is_like(name, pattern));
        let is_excluded = options.exclude.iter().any(is_named);
        let part = names.iter().find_map(|name| options.parts.get(name));
        let rows = match part {
            _ if key.name == RECORDS => Rows::All,
            _ if is_excluded => Rows::None,
            Some(part) => Rows::Part { condition: part.condition.clone(), limit: part.limit },
            None => Rows::All,
        };
        let columns = model.columns(&key.name).into_iter().filter(|(_, column)| {
            column.get(Attribute::GeneratedStored).is_none()
                && column.get(Attribute::GeneratedVirtual).is_none()
        });
        Self {
            name: key.name.clone(),
            columns: columns
                .map(|(key, column)| Column::new(key, type_of(model, table, key, column), own))
                .collect(),
            primary_key: primary_key(model, &key.name),
            unit: names.last().cloned().unwrap_or_default(),
            names: Names(names),
            rows,
            is_masked: false,
        }
    }
}

impl Column {
    fn new(key: &ObjectKey, of_type: &str, own: &OwnTypes<'_>) -> Self {
        let names = OBJECT_TYPES.into_iter().find(|name| *name == of_type);
        let values = match names {
            Some(name) => Values::Names(name),
            None if own.holds(of_type) => Values::OfOwnType(own.qualified(of_type)),
            None => Values::Same,
        };
        Self { name: key.name.clone(), values, read: Read::Value }
    }
}

/// Returns the printed type of a column: for a typed table that of its type, for a child that of its parent.
fn type_of<'a>(
    model: &'a SchemaModel,
    table: &Object,
    key: &ObjectKey,
    column: &'a Object,
) -> &'a str {
    let named = |holder: &str| {
        let column = ObjectKey::part(ObjectKind::Column, name_of(holder), &*key.name);
        model.get(&column)?.text(Attribute::Type)
    };
    let holders = table.text(Attribute::OfType).into_iter();
    let parents = table.list(Attribute::Inherits).iter().map(String::as_str);
    let holders = holders.chain(parents).chain(table.text(Attribute::PartitionOf));
    let own = column.text(Attribute::Type);
    own.or_else(|| holders.into_iter().find_map(named)).unwrap_or_default()
}

/// The names of all types of a schema.
struct OwnTypes<'a> {
    names: BTreeSet<String>,
    schema: &'a Ident,
}

impl<'a> OwnTypes<'a> {
    fn of(model: &SchemaModel, schema: &'a Ident) -> Self {
        use ObjectKind::{
            BaseType, Composite, Domain, Enum, ForeignTable, MaterializedView, Range, Table, View,
        };
        let kinds =
            [Enum, Composite, Domain, Range, BaseType, Table, ForeignTable, View, MaterializedView];
        let objects = kinds.into_iter().flat_map(|kind| model.of_kind(kind));
        let mut names = BTreeSet::new();
        for (key, object) in objects {
            names.insert(key.name.clone());
            names.extend(object.text(Attribute::Multirange).map(name_of));
        }
        Self { names, schema }
    }

    /// Returns `true` if a printed type is one of them, or an array of one.
    fn holds(&self, printed: &str) -> bool {
        self.names.contains(&name_of(printed.trim_end_matches("[]")))
    }

    fn qualified(&self, printed: &str) -> String {
        let bare = printed.strip_prefix("{schema}.").unwrap_or(printed);
        fill(&format!("{{schema}}.{bare}"), self.schema.as_str(), None)
    }
}

/// Returns `true` if rows are stored in the table itself.
fn has_rows(table: &Object) -> bool {
    table.get(Attribute::PartitionKey).is_none()
}

/// Returns the name of a table and of its partitioned ancestors, nearest first.
fn ancestors(model: &SchemaModel, key: &ObjectKey, table: &Object) -> Vec<String> {
    let mut names = vec![key.name.clone()];
    let mut next = table.text(Attribute::PartitionOf);
    while let Some(parent) = next {
        let parent = ObjectKey::new(ObjectKind::Table, name_of(parent));
        if names.contains(&parent.name) {
            break;
        }
        next = model.get(&parent).and_then(|parent| parent.text(Attribute::PartitionOf));
        names.push(parent.name);
    }
    names
}

/// Refuses names of tables that do not exist: with a typing error, rows would be copied that should not be.
fn check_names(model: &SchemaModel, options: &CloneOptions) -> Result<(), OptionsError> {
    let asks_for_rows = !options.parts.is_empty() || options.anonymize.is_some();
    if asks_for_rows && !options.data {
        let must = "be true: otherwise a filter, a limit or a mask has no rows to apply to";
        return Err(OptionsError::new("data", must));
    }
    if options.connections == 0 {
        return Err(OptionsError::new("connections", "be at least 1"));
    }
    let mut tables = model.of_kind(ObjectKind::Table).map(|(key, _)| &*key.name);
    let names: BTreeSet<&str> = tables.by_ref().collect();
    let is_there = |pattern: &&String| names.iter().any(|name| is_like(name, pattern));
    if let Some(pattern) = options.exclude.iter().find(|pattern| !is_there(pattern)) {
        let must = format!("match tables of the source: {pattern:?} matches none");
        return Err(OptionsError::new("exclude_tables", must));
    }
    match options.parts.iter().find(|(name, _)| !names.contains(name.as_str())) {
        Some((name, part)) => {
            let must = format!("name a table of the source: it has no table {name:?}");
            let option = if part.condition.is_some() { "filter" } else { "limit" };
            Err(OptionsError::new(option, must))
        }
        None => Ok(()),
    }
}

/// Sorts tables so that those that others refer to, or read when rows are inserted, come first; in a cycle, by name.
fn parents_first(
    tables: Vec<Table>,
    references: &[ForeignKey],
    reads: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<Table> {
    let mut parents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for reference in references {
        parents.entry(&reference.table).or_default().insert(&reference.to);
    }
    for (table, read) in reads {
        parents.entry(table).or_default().extend(read.iter().map(String::as_str));
    }
    let places: BTreeMap<String, usize> =
        tables.iter().enumerate().map(|(place, table)| (table.name.clone(), place)).collect();
    let mut order = Vec::with_capacity(tables.len());
    let mut seen = vec![false; tables.len()];
    for start in 0..tables.len() {
        let mut open = vec![(start, false)];
        while let Some((place, is_done)) = open.pop() {
            if is_done {
                order.push(place);
            } else if !seen[place] {
                seen[place] = true;
                open.push((place, true));
                let parents = parents.get(&*tables[place].name).into_iter().flatten();
                open.extend(parents.filter_map(|parent| Some((*places.get(*parent)?, false))));
            }
        }
    }
    let mut tables: Vec<_> = tables.into_iter().map(Some).collect();
    order.into_iter().filter_map(|place| tables[place].take()).collect()
}

/// Returns the limitations of a clone.
fn remarks(model: &SchemaModel, data: bool) -> Vec<String> {
    let outside = model.beyond.iter().filter(|fact| fact.what != BeyondKind::NotPopulated);
    let mut remarks: Vec<String> = outside.map(|fact| format!("not cloned: {fact}")).collect();
    if data {
        let columns = model.of_kind(ObjectKind::Column).filter(|(_, column)| {
            let of_type = column.text(Attribute::Type).unwrap_or_default();
            let element = of_type.strip_suffix("[]");
            matches!(of_type, "oid" | "oid[]")
                || element.is_some_and(|element| OBJECT_TYPES.contains(&element))
        });
        remarks.extend(
            columns
                .map(|(key, _)| format!("{key} holds object ids of the source, copied unchanged")),
        );
        let foreign = model.of_kind(ObjectKind::ForeignTable);
        remarks
            .extend(foreign.map(|(key, _)| format!("{key} reads the same rows as the source's")));
    }
    remarks
}

/// Lists the objects with a string that contains the name of the source's schema. It may have another meaning, so it
/// is copied unchanged.
fn mentions(model: &SchemaModel) -> Vec<String> {
    let name = &model.schema;
    let names = |text: &str| {
        // Text in quotes, and text in quotes within a quoted text.
        let parts: Vec<_> = text.split('\'').collect();
        let mut strings = (1..parts.len()).step_by(2);
        strings.any(|at| {
            // The name of an object, which is a different one in the copy.
            let is_object = parts.get(at + 1).is_some_and(|after| after.starts_with("::reg"));
            let words = parts[at].split(|c: char| !c.is_alphanumeric() && !"_$-".contains(c));
            !is_object && (parts[at] == name || words.into_iter().any(|word| word == name))
        })
    };
    let objects = model.objects.iter().filter(|(_, object)| {
        object.attributes().any(|(attribute, value)| match value {
            _ if matches!(attribute, Attribute::Comment | Attribute::Labels) => false,
            Value::Text(text) => names(text),
            Value::List(list) => list.iter().any(|text| names(text)),
            Value::Flag(_) => false,
        })
    });
    objects.map(|(key, _)| format!("still has the name of the source in a string: {key}")).collect()
}

//! The columns of a table, view or query, and the fields that can be read from them.

use super::columns::{CatalogColumns, Field};
use crate::plain::{listed, plain};

/// A column as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its type in sqlx's spelling: `UUID`, `TEXT[]`, or the name of one that is not built in.
    pub(super) type_name: String,
}

/// How values of a column are read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Uuid,
    Integer,
    Boolean,
    Time,
    Json,
    TextArray,
    /// A type that is not built in, such as an enum or `citext`: read as text.
    Custom,
    /// Any other built-in type.
    Other,
}

impl Type {
    fn of(name: &str) -> Self {
        match name {
            "TEXT" | "VARCHAR" => Self::Text,
            "UUID" => Self::Uuid,
            "INT2" | "INT4" | "INT8" => Self::Integer,
            "BOOL" => Self::Boolean,
            "TIMESTAMPTZ" | "TIMESTAMP" | "DATE" => Self::Time,
            "JSON" | "JSONB" => Self::Json,
            "TEXT[]" | "VARCHAR[]" => Self::TextArray,
            // Compared as text, because their sort order differs.
            "NAME" | "CHAR" | "\"CHAR\"" => Self::Custom,
            name if name.chars().any(|c| c.is_ascii_lowercase()) => Self::Custom,
            _ => Self::Other,
        }
    }
}

/// The columns that are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape(Vec<(Field, String, Type)>);

impl Shape {
    /// Finds the columns. Without configured names, the fields' default names apply.
    ///
    /// # Errors
    ///
    /// A sentence that begins with the source, such as `the table public.tenants`.
    pub(super) fn find(
        of: &str,
        names: Option<&CatalogColumns>,
        columns: &[Column],
    ) -> Result<Self, String> {
        let mut found = Vec::new();
        for field in Field::ALL {
            let named = names.and_then(|names| names.of(field));
            let wanted = match names {
                Some(_) => named,
                None => Some(field.name()),
            };
            let Some(wanted) = wanted else { continue };
            let mut alike = columns.iter().filter(|column| column.name == wanted);
            let (first, second) = (alike.next(), alike.next());
            match first {
                Some(_) if second.is_some() => {
                    return Err(format!("{of} has two columns {wanted:?}: give each its own name"));
                }
                Some(column) => {
                    let kind = Type::of(&column.type_name);
                    fits(of, field, column, kind)?;
                    found.push((field, wanted.to_owned(), kind));
                }
                None if named.is_some() || field == Field::Id => {
                    return Err(missing(of, field, wanted, columns));
                }
                None => {}
            }
        }
        Ok(Self(found))
    }

    /// Returns the column of a field and its type, if there is one.
    pub(super) fn of(&self, field: Field) -> Option<(&str, Type)> {
        let found = self.0.iter().find(|(of, ..)| *of == field);
        found.map(|(_, name, kind)| (name.as_str(), *kind))
    }
}

/// Describes a missing column, its purpose, and the remedy.
pub(super) fn missing(of: &str, field: Field, wanted: &str, columns: &[Column]) -> String {
    let names: Vec<_> = columns.iter().map(|column| column.name.clone()).collect();
    format!(
        "{of} has no column {wanted:?} for {}: name its column with \
         TableCatalog::columns(CatalogColumns::new().{}(\"…\")); its columns are {}",
        field.purpose(),
        field.name(),
        listed(&names, 20)
    )
}

/// Refuses a column whose type does not fit its field.
fn fits(of: &str, field: Field, column: &Column, kind: Type) -> Result<(), String> {
    let (allowed, expected): (&[Type], _) = match field {
        Field::Id => return Ok(()),
        Field::Isolation
        | Field::Server
        | Field::Database
        | Field::Container
        | Field::Role
        | Field::Step => (&[Type::Text, Type::Custom], "text"),
        Field::Key => {
            (&[Type::Text, Type::Custom, Type::Uuid, Type::Integer], "text, uuid or an integer")
        }
        Field::Epoch => (&[Type::Integer], "an integer"),
        Field::State => (
            &[Type::Text, Type::Custom, Type::Boolean],
            "text (such as 'active') or boolean (true is active)",
        ),
        Field::CreatedAt => (&[Type::Time], "timestamptz, timestamp or date"),
        Field::Attributes => (&[Type::Json], "jsonb or json"),
        Field::Settings => (
            &[Type::Json, Type::TextArray],
            "jsonb, json or text[], such as {\"statement_timeout\": \"5s\"}",
        ),
    };
    if allowed.contains(&kind) {
        return Ok(());
    }
    Err(format!(
        "the column {:?} of {of} is {}, and {} must be {expected}: convert it in a query, or leave the column out",
        column.name,
        plain(&column.type_name.to_ascii_lowercase()),
        field.purpose(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(columns: &[(&str, &str)]) -> Vec<Column> {
        let column = |&(name, type_name): &(&str, &str)| Column {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
        };
        columns.iter().map(column).collect()
    }

    #[test]
    fn columns_are_found_by_their_names_or_by_those_that_are_given() {
        let there = columns(&[("id", "UUID"), ("slug", "citext"), ("settings", "JSONB")]);
        let shape = Shape::find("the query", None, &there).unwrap();
        assert_eq!(shape.of(Field::Id), Some(("id", Type::Uuid)));
        assert_eq!(shape.of(Field::Settings), Some(("settings", Type::Json)));
        // Columns that are not named are not read: they may mean something else.
        let names = CatalogColumns::new().id("slug");
        let shape = Shape::find("the table", Some(&names), &there).unwrap();
        assert_eq!(shape, Shape(vec![(Field::Id, "slug".to_owned(), Type::Custom)]));
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_told_with_what_to_do() {
        let there = columns(&[
            ("slug", "TEXT"),
            ("state", "INT4"),
            ("a\n", "TEXT"),
            ("at", "DATE"),
            ("x", "TEXT"),
            ("x", "TEXT"),
        ]);
        let told = |names: Option<CatalogColumns>| {
            Shape::find("the table public.tenants", names.as_ref(), &there).unwrap_err()
        };
        assert_eq!(
            told(None),
            "the table public.tenants has no column \"id\" for the tenant's id: name its column with \
             TableCatalog::columns(CatalogColumns::new().id(\"…\")); its columns are slug, state, a\\u{a}, at, x, x"
        );
        let named = || CatalogColumns::new().id("slug");
        assert_eq!(
            told(Some(named().state("state"))),
            "the column \"state\" of the table public.tenants is int4, and the tenant's state must be text (such as \
             'active') or boolean (true is active): convert it in a query, or leave the column out"
        );
        for (names, part) in [
            (named().role("login"), "has no column \"login\" for the role"),
            (named().settings("slug"), "must be jsonb, json or text[]"),
            (named().attributes("slug"), "must be jsonb or json"),
            (named().created_at("slug"), "must be timestamptz"),
            (named().container("state"), "must be text"),
            (named().isolation("state"), "how the tenant is isolated must be text"),
            (named().server("state"), "the name of the tenant's server must be text"),
            (named().database("state"), "the name of the tenant's database must be text"),
            (named().key("at"), "must be text, uuid or an integer"),
            (named().epoch("slug"), "must be an integer"),
            (named().container("x"), "has two columns \"x\""),
        ] {
            let told = told(Some(names));
            assert!(told.contains(part), "{told}");
        }
    }
}

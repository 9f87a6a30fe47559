//! Whether the rows of a file fit the tables of all tenants.

use super::{
    copies::{Copies, new_columns},
    tables::Table,
};
use crate::rows::file::{self, Header};

/// The most differences that are told: a file can have any number.
const SHOWN: usize = 50;

/// A table of the file, and where its rows go.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fit<'a> {
    /// The place of the table.
    pub(super) place: usize,
    /// The columns as the file has them.
    pub(super) columns: Vec<&'a str>,
    /// The columns that keep their values.
    pub(super) copies: Copies<'a>,
}

/// Returns where the rows of each of the file's tables go.
///
/// # Errors
///
/// All differences, in one text.
pub(super) fn fit<'a>(
    header: &Header,
    tables: &'a [Table],
    key: &str,
    new_ids: bool,
) -> Result<Vec<Fit<'a>>, String> {
    let (mut fits, mut differences) = (Vec::new(), Vec::new());
    for of_file in &header.tables {
        let Some(place) = tables.iter().position(|table| table.name == of_file.name) else {
            let name = file::shown(&of_file.name);
            differences.push(format!("there is no table {name} with the column {key}"));
            continue;
        };
        let table = &tables[place];
        let columns: Vec<_> = of_file
            .columns
            .iter()
            .filter_map(|column| found(column, table, &mut differences))
            .collect();
        differences.extend(missing(&columns, table));
        let elsewhere = &table.elsewhere;
        let copies = Copies { table: &table.name, columns: columns.clone(), elsewhere };
        fits.push(Fit { place, columns, copies });
    }
    if !differences.is_empty() {
        return Err(told(&differences));
    }
    if new_ids {
        let new = new_columns(tables, key)?;
        for fit in &mut fits {
            fit.copies.columns.retain(|column| !new[fit.place].contains(column));
        }
    }
    Ok(fits)
}

fn told(differences: &[String]) -> String {
    let shown = differences[..differences.len().min(SHOWN)].join("; ");
    let more = match differences.len() - differences.len().min(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more differences"),
    };
    format!("the rows of the file do not fit the tables: {shown}{more}")
}

/// Returns the table's column for a column of the file, or notes why there is none.
fn found<'a>(
    of_file: &file::Column,
    table: &'a Table,
    differences: &mut Vec<String>,
) -> Option<&'a str> {
    let name = format!("{}.{}", table.name, file::shown(&of_file.name));
    let column = table.columns.iter().find(|column| column.name == of_file.name);
    let difference = match column {
        None => format!("there is no column {name}, or it is generated"),
        Some(column) if column.is_key => {
            format!("{name} has the tenants' key, which comes from the catalog")
        }
        Some(column) if column.of_type != of_file.of_type => {
            let of_file = file::shown(&of_file.of_type);
            format!("{name} is of type {} and not {of_file}", column.of_type)
        }
        Some(column) => return Some(&column.name),
    };
    differences.push(difference);
    None
}

/// Tells which columns the file would have to have.
fn missing<'t>(columns: &[&'t str], table: &'t Table) -> impl Iterator<Item = String> {
    let required = table.columns.iter().filter(|column| column.is_required && !column.is_key);
    let missing = required.filter(|column| !columns.contains(&column.name.as_str()));
    missing.map(|column| {
        format!("the file has no column {}.{}, which has no default", table.name, column.name)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::tables::Column, *};

    fn table(name: &str, columns: &[(&str, &str)]) -> Table {
        let column = |(name, of_type): &(&str, &str)| Column {
            name: (*name).to_owned(),
            is_key: *name == "tenant_id",
            is_drawn: *name == "number",
            is_required: *name != "note",
            is_fixed: false,
            of_type: (*of_type).to_owned(),
        };
        let columns = columns.iter().map(column).collect();
        Table { columns, ..Table::new(1, name.to_owned()) }
    }

    fn header(tables: &[Table]) -> Header {
        let column = |column: &Column| file::Column {
            name: column.name.clone(),
            of_type: column.of_type.clone(),
        };
        let of_file = |table: &Table| file::Table {
            name: table.name.clone(),
            columns: table.columns.iter().map(column).collect(),
        };
        Header {
            tenant_id: "acme".into(),
            key: "acme".into(),
            key_column: "tenant_id".into(),
            server_version: "17".into(),
            seeds: Vec::new(),
            tables: tables.iter().map(of_file).collect(),
        }
    }

    #[test]
    fn columns_come_in_the_order_of_the_file() {
        let here = [table("users", &[("tenant_id", "text"), ("id", "integer"), ("note", "text")])];
        let file = header(&[table("users", &[("note", "text"), ("id", "integer")])]);
        let fits = fit(&file, &here, "tenant_id", false).unwrap();
        assert_eq!((fits[0].place, &*fits[0].columns), (0, ["note", "id"].as_slice()));
    }

    #[test]
    fn names_and_numbers_of_a_file_are_bounded() {
        let here = [table("users", &[("tenant_id", "text"), ("id", "integer")])];
        let long = "\u{1b}[31m".to_owned() + &"x".repeat(1_000_000);
        let others = (0..1000).map(|nth| table(&format!("t{nth}"), &[]));
        let of_users = table("users", &[("id", long.as_str()), (long.as_str(), "text")]);
        let tables: Vec<_> = [of_users, table(&long, &[])].into_iter().chain(others).collect();
        let file = header(&tables);
        let told = fit(&file, &here, "tenant_id", false).unwrap_err();
        assert!(told.len() < 10_000 && !told.contains('\u{1b}'), "{}", told.len());
        assert!(told.ends_with("; and 954 more differences"), "{told}");
    }

    #[test]
    fn one_error_lists_all_differences() {
        let here = [table(
            "users",
            &[("tenant_id", "text"), ("id", "integer"), ("name", "text"), ("note", "text")],
        )];
        let file = header(&[
            table("users", &[("tenant_id", "text"), ("id", "bigint"), ("x", "text")]),
            table("pg_class", &[("id", "text")]),
        ]);
        let told = fit(&file, &here, "tenant_id", false).unwrap_err();
        for part in [
            "users.tenant_id has the tenants' key",
            "users.id is of type integer and not bigint",
            "there is no column users.x, or it is generated",
            "the file has no column users.name, which has no default",
            "there is no table pg_class with the column tenant_id",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!told.contains("users.note"), "{told}");
    }
}

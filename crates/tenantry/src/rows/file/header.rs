//! The lines of a file that describe its rows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::plain::clipped;

/// The first line: what the file is, and the version of its format.
pub(crate) const MAGIC: &[u8] = b"tenantry rows 1\n";

/// The longest name that is shown, in characters. PostgreSQL's own have 63 bytes at most.
const LONGEST_NAME: usize = 80;

/// The longest reason why a line is not what was written, in characters.
const LONGEST_REASON: usize = 200;

/// The second line: whose rows the file has, and of which tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Header {
    pub(crate) tenant_id: String,
    /// The tenant's key. The rows do not have it.
    pub(crate) key: String,
    pub(crate) key_column: String,
    pub(crate) server_version: String,
    /// The names of the seeds that the tenant has.
    pub(crate) seeds: Vec<String>,
    /// The tables, each after those that it refers to.
    pub(crate) tables: Vec<Table>,
}

/// A table with its columns, except for that of the key and generated ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
}

/// A column, with its type in the words of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) of_type: String,
}

/// The line after the rows of a table.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rows {
    pub(crate) table: String,
    pub(crate) rows: u64,
}

/// The last line, with the hash of everything before it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) tables: usize,
    pub(crate) rows: u64,
    pub(crate) sha256: String,
}

impl Header {
    /// Parses the line.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let header: Self = parsed(line)?;
        let mut tables = BTreeSet::new();
        for table in &header.tables {
            if !tables.insert(&table.name) {
                return Err(format!("it has the table {} twice", shown(&table.name)));
            }
            let mut columns = BTreeSet::new();
            let mut again = table.columns.iter().filter(|column| !columns.insert(&column.name));
            if let Some(column) = again.next() {
                let (table, column) = (shown(&table.name), shown(&column.name));
                return Err(format!("it has the column {table}.{column} twice"));
            }
        }
        Ok(header)
    }
}

impl Rows {
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        parsed(line)
    }
}

impl End {
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        parsed(line)
    }
}

fn parsed<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    // It can quote what it does not expect.
    serde_json::from_slice(line).map_err(|error| clipped(&error.to_string(), LONGEST_REASON))
}

/// Returns a name of the file as messages show it: anything can have written the file.
pub(crate) fn shown(name: &str) -> String {
    clipped(name, LONGEST_NAME)
}

/// Returns a line with a value as JSON.
pub(crate) fn line(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let column =
            |name: &str| Column { name: name.to_owned(), of_type: "character varying".to_owned() };
        let table = |name: &str| Table { name: name.into(), columns: vec![column("a\n\"b")] };
        Header {
            tenant_id: "acme".into(),
            key: "K 1'".into(),
            key_column: "tenant_id".into(),
            server_version: "17.2".into(),
            seeds: vec!["first".into()],
            tables: vec![table("users"), table("notes")],
        }
    }

    #[test]
    fn a_header_is_one_line_and_comes_back() {
        let line = line(&header()).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(Header::parse(&line).unwrap(), header());
    }

    #[test]
    fn names_that_come_twice_and_other_text_are_refused() {
        let refused = |header: &Header| Header::parse(&line(header).unwrap()).unwrap_err();
        let mut twice = header();
        twice.tables[1].name = "users".into();
        assert_eq!(refused(&twice), "it has the table users twice");
        let mut twice = header();
        let column = twice.tables[0].columns[0].clone();
        twice.tables[0].columns.push(column);
        assert_eq!(refused(&twice), "it has the column users.a\\u{a}\"b twice");
        let mut long = header();
        long.tables[0].name = "x".repeat(1_000_000);
        long.tables[1].name = "x".repeat(1_000_000);
        assert_eq!(refused(&long), format!("it has the table {}… twice", "x".repeat(80)));
        let odd = format!("{{\"tenantId\": \"{}\", \"key\": 1}}", "y".repeat(1_000_000));
        assert!(Header::parse(odd.as_bytes()).unwrap_err().len() < 400);
        let odd = format!("\"{}\"", "y".repeat(1_000_000));
        assert!(Header::parse(odd.as_bytes()).unwrap_err().len() < 400);
        for text in ["", "{}", "[]", "{\"tenantId\": 1}", "\u{0}"] {
            assert!(Header::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}

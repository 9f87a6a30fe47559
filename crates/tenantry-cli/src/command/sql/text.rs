//! Machine-readable formats.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};
use tenantry::fan_out::{Column, FanOutReport, TenantRows};

use super::format::{TENANT, Writer, names};

/// Comma-separated values according to [RFC 4180](https://www.rfc-editor.org/rfc/rfc4180), with `\n` as the line
/// ending.
///
/// As in `COPY … CSV`, null is an empty field, and an empty text is two quotes.
pub(super) struct CsvWriter<W: Write> {
    out: W,
    headings: Option<Vec<String>>,
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, headings: None }
    }

    fn line<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>>) -> io::Result<()> {
        for (index, cell) in cells.enumerate() {
            if index > 0 {
                self.out.write_all(b",")?;
            }
            match cell {
                None => (),
                Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
                    write!(self.out, "\"{}\"", text.replace('"', "\"\""))?;
                }
                Some(text) => self.out.write_all(text.as_bytes())?,
            }
        }
        self.out.write_all(b"\n")
    }
}

impl<W: Write> Writer for CsvWriter<W> {
    fn rows(&mut self, rows: &TenantRows) -> io::Result<()> {
        let headings = names(rows);
        match &self.headings {
            None => {
                self.line(
                    std::iter::once(TENANT).chain(headings.iter().map(String::as_str)).map(Some),
                )?;
                self.headings = Some(headings);
            }
            Some(first) if *first != headings => {
                let tenant = rows.tenant_id.as_deref().unwrap_or("the shared schema");
                let told = format!(
                    "the columns of {tenant} are others than those before: use --format ndjson"
                );
                return Err(io::Error::other(told));
            }
            Some(_) => (),
        }
        let tenant = rows.tenant_id.as_deref();
        for row in &rows.rows {
            self.line(std::iter::once(tenant).chain(row.iter().map(Option::as_deref)))?;
        }
        self.out.flush()
    }

    fn end(&mut self, _: &FanOutReport) -> io::Result<()> {
        self.out.flush()
    }
}

/// An object for each row, on its own line.
pub(super) struct LinesWriter<W: Write> {
    out: W,
}

impl<W: Write> LinesWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Writer for LinesWriter<W> {
    fn rows(&mut self, rows: &TenantRows) -> io::Result<()> {
        for object in objects(rows, &names(rows)) {
            serde_json::to_writer(&mut self.out, &object)?;
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }

    fn end(&mut self, _: &FanOutReport) -> io::Result<()> {
        self.out.flush()
    }
}

/// One object: `rows`, which are written as they arrive, and the `report`.
pub(super) struct JsonWriter<W: Write> {
    out: W,
    any: bool,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, any: false }
    }
}

impl<W: Write> Writer for JsonWriter<W> {
    fn rows(&mut self, rows: &TenantRows) -> io::Result<()> {
        for object in objects(rows, &names(rows)) {
            self.out.write_all(if self.any { b",\n" } else { b"{\"rows\":[\n" })?;
            serde_json::to_writer(&mut self.out, &object)?;
            self.any = true;
        }
        self.out.flush()
    }

    fn end(&mut self, report: &FanOutReport) -> io::Result<()> {
        self.out.write_all(if self.any {
            b"\n],\n\"report\":"
        } else {
            b"{\"rows\":[],\n\"report\":"
        })?;
        serde_json::to_writer(&mut self.out, report)?;
        self.out.write_all(b"}\n")?;
        self.out.flush()
    }
}

/// What the rows and the report are as one object.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "it is written piece by piece, as rows come")]
pub(in crate::command) struct SqlReport {
    /// A row of a tenant: `tenant`, null for the shared schema, and the columns.
    rows: Vec<Row>,
    /// What became of each tenant.
    report: FanOutReport,
}

/// A row.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "it is written piece by piece, as rows come")]
#[schemars(rename = "SqlRow")]
struct Row {
    tenant: Option<String>,
    #[schemars(flatten)]
    columns: Map<String, Value>,
}

/// A row as an object whose fields are in the order of the columns.
struct Object<'a> {
    tenant: Option<&'a str>,
    names: &'a [String],
    columns: &'a [Column],
    row: &'a [Option<String>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.row.len() + 1))?;
        map.serialize_entry(TENANT, &self.tenant)?;
        for ((name, column), value) in self.names.iter().zip(self.columns).zip(self.row) {
            map.serialize_entry(name, &json(column, value.as_deref()))?;
        }
        map.end()
    }
}

fn objects<'a>(rows: &'a TenantRows, names: &'a [String]) -> impl Iterator<Item = Object<'a>> {
    let (tenant, columns) = (rows.tenant_id.as_deref(), &*rows.columns);
    rows.rows.iter().map(move |row| Object { tenant, names, columns, row })
}

/// Converts a value to JSON: numbers that JSON can represent exactly, Booleans and JSON itself as such, and
/// everything else as PostgreSQL's text.
fn json(column: &Column, value: Option<&str>) -> Value {
    let Some(text) = value else { return Value::Null };
    let read = match column.type_name.as_deref() {
        Some("BOOL") => Some(Value::Bool(text == "t")),
        Some("INT2" | "INT4" | "OID") => text.parse::<i64>().ok().map(Value::from),
        // Up to here, the value is exact for readers that only have doubles.
        Some("INT8") => text
            .parse::<i64>()
            .ok()
            .filter(|number| number.unsigned_abs() <= 1 << 53)
            .map(Value::from),
        Some("FLOAT4" | "FLOAT8") => {
            text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number)
        }
        Some("JSON" | "JSONB") => serde_json::from_str(text).ok(),
        _ => None,
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}

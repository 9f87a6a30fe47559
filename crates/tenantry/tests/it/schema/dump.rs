//! What `pg_dump` prints, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{Own, is_alike};

/// The entries of one schema by their headers; some headers stand over several entries.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Dump {
    entries: BTreeMap<Header, Vec<String>>,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Header {
    kind: String,
    name: String,
}

impl Dump {
    /// Splits what `pg_dump` has printed by schema.
    pub(crate) fn split(printed: &str) -> BTreeMap<String, Self> {
        let mut dumps: BTreeMap<String, Self> = BTreeMap::new();
        let mut space = Space::default();
        let mut parts = printed.split("\n--\n-- Name: ");
        space.follow(parts.next().unwrap_or_default());
        for part in parts {
            let part = &without_oids(part);
            let (header, text) = part.split_once("\n--\n").expect("a header ends");
            let (schema, header) = Header::parse(header);
            let mut lines: Vec<&str> =
                text.split('\n').filter(|line| !is_boilerplate(line)).collect();
            if header.kind.ends_with("ACL") {
                lines.sort_unstable();
            }
            let statement = lines.join("\n").trim().to_owned();
            let place = space.of(&header.kind, &statement);
            let entries = &mut dumps.entry(schema).or_default().entries;
            entries.entry(header).or_default().push(format!("{place}{statement}"));
            space.follow(text);
        }
        for dump in dumps.values_mut() {
            dump.entries.values_mut().for_each(|texts| texts.sort_unstable());
        }
        dumps
    }

    /// The entries that differ, each with both texts.
    pub(crate) fn differences(&self, own: Own<'_>, other: &Self, others: Own<'_>) -> Vec<String> {
        let headers = self.entries.keys().chain(other.entries.keys());
        let mut headers: Vec<&Header> = headers.collect();
        headers.sort_unstable();
        headers.dedup();
        let difference = |header: &Header| {
            let (left, right) = (self.texts(header), other.texts(header));
            let is_same = left.len() == right.len()
                && left.iter().zip(right).all(|(l, r)| is_alike(l, own, r, others));
            let texts = || (left.join("\n"), right.join("\n"));
            (!is_same).then(texts).map(|(left, right)| {
                format!("{} {}\n< {left}\n> {right}\n", header.kind, header.name)
            })
        };
        headers.into_iter().filter_map(difference).collect()
    }

    /// The names of what the schema holds; those of parts are some more.
    pub(crate) fn objects(&self) -> BTreeSet<String> {
        let name = |header: &Header| header.name.split('(').next().map(ToOwned::to_owned);
        self.entries.keys().filter_map(name).collect()
    }

    fn texts(&self, header: &Header) -> &[String] {
        self.entries.get(header).map_or(&[], Vec::as_slice)
    }
}

impl Header {
    /// Takes `t; Type: TABLE; Schema: s; Owner: o` apart and says which schema it belongs to.
    fn parse(line: &str) -> (String, Self) {
        let (line, _) = line.rsplit_once("; Owner: ").expect("a header names the owner");
        let (line, schema) = line.rsplit_once("; Schema: ").expect("a header names the schema");
        let (name, kind) = line.rsplit_once("; Type: ").expect("a header names the type");
        // What a schema itself has stands under no schema.
        let schema = if schema == "-" { name.trim_start_matches("SCHEMA ") } else { schema };
        (schema.to_owned(), Self { kind: kind.to_owned(), name: name.to_owned() })
    }
}

/// Takes the OIDs out of the names of triggers that stand for keys.
fn without_oids(text: &str) -> String {
    let mut parts = text.split("RI_ConstraintTrigger_");
    let mut cut = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        cut.push_str("RI_ConstraintTrigger_");
        cut.push_str(part.trim_start_matches(|c: char| "ac_".contains(c) || c.is_ascii_digit()));
    }
    cut
}

fn is_boilerplate(line: &str) -> bool {
    line == "--"
        || line.starts_with("\\restrict ")
        || line.starts_with("\\unrestrict ")
        || line.starts_with("SET default_tablespace = ")
        || line.starts_with("SET default_table_access_method = ")
        || line == "-- PostgreSQL database dump complete"
}

/// Where tables and indexes are put by the entries that follow: `pg_dump` says so only if it changes.
#[derive(Debug, Default)]
struct Space {
    tablespace: String,
    access_method: String,
}

impl Space {
    fn follow(&mut self, text: &str) {
        for line in text.lines() {
            if let Some(value) = line.strip_prefix("SET default_tablespace = ") {
                self.tablespace = value.to_owned();
            } else if let Some(value) = line.strip_prefix("SET default_table_access_method = ") {
                self.access_method = value.to_owned();
            }
        }
    }

    fn of(&self, kind: &str, statement: &str) -> String {
        let is_table = matches!(kind, "TABLE" | "MATERIALIZED VIEW");
        let mut place = String::new();
        if is_table || matches!(kind, "INDEX" | "CONSTRAINT") {
            place.push_str(&format!("in {} ", self.tablespace));
        }
        if is_table && !statement.contains("\nPARTITION BY ") {
            place.push_str(&format!("using {} ", self.access_method));
        }
        place
    }
}

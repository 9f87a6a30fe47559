//! Pairs of schemas, one difference each.
//!
//! A file holds cases one after the other:
//!
//! ```text
//! ---- what is tried [15+] => table t | column t.a
//! what both sides have
//! -- change
//! what the right side has in addition
//! -- undo
//! what makes the right side like the left one again
//! ```
//!
//! Instead of a change there may be `-- either` and `-- or`, what only the left and only the right
//! side has. After `-- check` stands what must be true once the right side was repaired. `{schema}`, `{name}` and `{left}` stand for the schema, for its name without quotes, and for the
//! left schema. After `=>` stand the objects of which a difference may speak. `[alike]` marks sides that
//! look different and are not, `[compared]` those that have different fingerprints all the same, `[beyond]` those that differ in what a dump leaves out, `[15+]` and
//! `[17-]` the versions that a case is for.

use std::{fs, path::Path};

/// A pair of schemas.
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What a difference may speak of.
    pub(crate) objects: Vec<String>,
    pub(crate) expected: Expected,
    /// Alike, which only comparing tells.
    pub(crate) compared: bool,
    since: Option<i32>,
    until: Option<i32>,
    base: String,
    change: String,
    undo: String,
    either: String,
    or: String,
    /// What must be true when the right side was made like the left one.
    pub(crate) check: String,
}

/// What is to be said about a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expected {
    #[default]
    Different,
    Alike,
    /// Alike by the dump; told all the same.
    Beyond,
}

/// What the cases refer to: roles, a tablespace, an access method, servers and a shared schema.
pub(crate) const SETTING: &str = "
    create role zq_reader; create role zq_writer; create role zq_owner;
    create access method zq_heap type table handler heap_tableam_handler;
    create extension btree_gist schema public;
    create foreign data wrapper zq_wrapper;
    create server zq_server foreign data wrapper zq_wrapper;
    create server zq_server2 foreign data wrapper zq_wrapper;
    create schema zq_shared;
    create type zq_shared.mood as enum ('sad', 'happy');
    create function zq_shared.mood_from(internal) returns internal immutable language internal as 'int4in';
    create transform for zq_shared.mood language sql (from sql with function zq_shared.mood_from(internal));
    create table zq_shared.countries (id int primary key, name text);
    create function zq_shared.touch() returns trigger language plpgsql as 'begin return new; end';
    create function zq_shared.hash_bit(bit) returns int immutable language sql as 'select 1';
    create function zq_shared.consistent(internal, point, smallint, oid, internal) returns bool
        immutable language internal as 'gist_point_consistent'";

impl Case {
    /// All cases for a major version of PostgreSQL.
    pub(crate) fn all(version: i32) -> Vec<Self> {
        Self::in_folder("cases", version)
    }

    /// Pairs for repairs alone, with rows.
    pub(crate) fn repairs(version: i32) -> Vec<Self> {
        Self::in_folder("repairs", version)
    }

    fn in_folder(name: &str, version: i32) -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schema").join(name);
        let files = fs::read_dir(folder).expect("the cases are there");
        let mut files: Vec<_> = files.map(|file| file.expect("it can be read").path()).collect();
        files.sort_unstable();
        let text = |path| fs::read_to_string(path).expect("it can be read");
        let text: String = files.into_iter().map(text).collect();
        text.split("---- ")
            .skip(1)
            .map(Self::parse)
            .filter(|case| case.since.is_none_or(|since| since <= version))
            .filter(|case| case.until.is_none_or(|until| version <= until))
            .collect()
    }

    fn parse(text: &str) -> Self {
        let (title, body) = text.split_once('\n').unwrap_or((text, ""));
        let (title, objects) = title.split_once(" => ").unwrap_or((title, ""));
        let mut case = Self::default();
        for object in objects.split(" | ").filter(|object| !object.is_empty()) {
            case.objects.push(object.trim().to_owned());
        }
        let (name, marks) = title.find(" [").map_or((title, ""), |at| title.split_at(at));
        case.name = name.to_owned();
        for mark in marks.split_whitespace() {
            match mark.trim_matches(['[', ']']) {
                "alike" => case.expected = Expected::Alike,
                "compared" => case.compared = true,
                "beyond" => case.expected = Expected::Beyond,
                version if version.ends_with('+') => case.since = number(version),
                version => case.until = number(version),
            }
        }
        let mut part = &mut case.base;
        for line in body.lines() {
            match line {
                "-- change" => part = &mut case.change,
                "-- undo" => part = &mut case.undo,
                "-- either" => part = &mut case.either,
                "-- or" => part = &mut case.or,
                "-- check" => part = &mut case.check,
                _ => *part += &format!("{line}\n"),
            }
        }
        case
    }

    pub(crate) fn left(&self) -> String {
        format!("{}{}", self.base, self.either)
    }

    pub(crate) fn right(&self) -> String {
        format!("{}{}{}", self.base, self.change, self.or)
    }

    /// The right side after the change was taken back.
    pub(crate) fn undone(&self) -> Option<String> {
        (!self.undo.is_empty()).then(|| format!("{}{}", self.right(), self.undo))
    }
}

fn number(mark: &str) -> Option<i32> {
    let number = mark.trim_end_matches(['+', '-']).parse();
    Some(number.unwrap_or_else(|_| panic!("{mark} is no mark of a case")))
}

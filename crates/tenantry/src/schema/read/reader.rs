//! Reads one kind of object: a single table of attributes and expressions serves the details and the fingerprint.

use super::super::{Attribute, ObjectKind};
use crate::sql::Sql;

/// Reads the objects of one kind, in all schemas that are asked for.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) kind: ObjectKind,
    /// The tables after `from n join`, with their conditions, where `n` is the schemas: `oid`, `name`, `path`,
    /// `role`.
    pub(super) from: &'static str,
    /// The objects that these are parts of.
    pub(super) of: Option<&'static str>,
    pub(super) name: &'static str,
    /// The types of the arguments.
    pub(super) arguments: Option<&'static str>,
    pub(super) attributes: &'static [Column],
}

/// How an attribute is read.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) attribute: Attribute,
    pub(super) form: Form,
    pub(super) sql: &'static str,
    /// The major versions that have it: the first, and the first that has it no more.
    pub(super) versions: (u32, u32),
}

/// What an expression returns, and where it can contain the schema's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A boolean; false is the default.
    Flag,
    /// A text that never names a schema: a word, a number.
    Word,
    /// A text that the server prints: names of other schemas, and its own name where it is hidden by a name in
    /// `pg_catalog`, are qualified. Literals can contain anything.
    Printed,
    /// A text that a user has written, such as the body of a function.
    Written,
    /// An array of words.
    Words,
    /// An array of texts that the server prints.
    PrintedList,
    /// An array of settings, as `search_path=a, b`.
    Settings,
    /// A list of privileges, with its kind for `acldefault`, and the owner behind a semicolon.
    Grants { kind: &'static str, owner: &'static str },
    /// The OID of a role.
    Role,
}

/// Joins objects with their comments, without objects that belong to an extension.
macro_rules! described {
    ($objects:literal, $class:literal, $oid:literal) => {
        concat!(
            $objects,
            " left join pg_catalog.pg_description d on d.objoid operator(pg_catalog.=) ",
            $oid,
            " and d.classoid operator(pg_catalog.=) 'pg_catalog.",
            $class,
            "'::pg_catalog.regclass and d.objsubid operator(pg_catalog.=) 0 \
             where not exists (select from m where m.classid operator(pg_catalog.=) 'pg_catalog.",
            $class,
            "'::pg_catalog.regclass and m.objid operator(pg_catalog.=) ",
            $oid,
            ")"
        )
    };
}
pub(super) use described;

/// The extensions that an object depends on (`depends on extension`).
macro_rules! extensions {
    ($class:literal, $oid:literal) => {
        concat!(
            "(select x.names from x where x.classid operator(pg_catalog.=) 'pg_catalog.",
            $class,
            "'::pg_catalog.regclass and x.objid operator(pg_catalog.=) ",
            $oid,
            ")"
        )
    };
}
pub(super) use extensions;

pub(super) const fn at(attribute: Attribute, form: Form, sql: &'static str) -> Column {
    Column { attribute, form, sql, versions: (0, u32::MAX) }
}

impl Column {
    /// From this major version on.
    pub(super) const fn since(mut self, version: u32) -> Self {
        self.versions.0 = version;
        self
    }

    /// Only in versions below this one.
    pub(super) const fn before(mut self, version: u32) -> Self {
        self.versions.1 = version;
        self
    }

    fn is_in(&self, version: u32) -> bool {
        (self.versions.0..self.versions.1).contains(&version)
    }

    /// Appends an expression that is null for the default.
    fn write(&self, sql: &mut Sql) {
        match self.form {
            Form::Flag => {
                sql.text("case when ").text(self.sql).text(" then 'true' end");
            }
            Form::Word | Form::Printed | Form::Written => {
                sql.text("(").text(self.sql).text(")::pg_catalog.text");
            }
            Form::Words | Form::PrintedList | Form::Settings => {
                sql.text("pg_catalog.array_to_json(").text(self.sql).text(")::pg_catalog.text");
            }
            Form::Role => {
                write_role(sql, self.sql);
            }
            Form::Grants { kind, owner } => {
                write_grants(sql, self.sql, kind, owner);
            }
        }
    }
}

/// Appends the name of a role as an identifier, or `{role}` for the tenant's own.
fn write_role(sql: &mut Sql, oid: &'static str) {
    sql.text("case when ").text(oid).text(" operator(pg_catalog.=) n.role then '{role}' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(");
    sql.text(oid).text(")) end");
}

/// Appends the privileges, sorted, as JSON, unless they are the default ones. They are compared as sets: granting and
/// revoking changes their order.
fn write_grants(sql: &mut Sql, acl: &'static str, kind: &'static str, owner: &'static str) {
    sql.text("case when ").text(acl).text(" is not null");
    if !kind.is_empty() {
        for (index, operator) in
            ["operator(pg_catalog.@>)", "operator(pg_catalog.<@)"].into_iter().enumerate()
        {
            sql.text(if index == 0 { " and not (" } else { " and " })
                .text(acl)
                .text(" ")
                .text(operator);
            sql.text(" pg_catalog.acldefault(").text(kind).text(", ").text(owner).text(")");
        }
        sql.text(")");
    }
    sql.text(
        " then (select coalesce(pg_catalog.array_to_json(pg_catalog.array_agg(g.granted \
         order by g.granted collate pg_catalog.\"C\"))::pg_catalog.text, '[]') \
         from (select pg_catalog.concat(case when g.grantee operator(pg_catalog.=) 0 then 'public' else ",
    );
    write_role(sql, "g.grantee");
    sql.text(" end, '=', g.privilege_type, case when g.is_grantable then '*' end, '/', ");
    write_role(sql, "g.grantor");
    sql.text(") as granted from pg_catalog.aclexplode(").text(acl).text(") as g) as g) end");
}

/// Sets the search path for a row's schema before anything is printed, regardless of the order that the planner
/// chooses for the rows: the settings of the function are those of the transaction.
const OWN_PATH: &str = "case when pg_catalog.current_setting('search_path') operator(pg_catalog.=) n.path \
     or pg_catalog.set_config('search_path', n.path, true) is not null then ";

/// The readers' name for the relations of the schemas.
const RELATIONS: &str = "pg_catalog.pg_class c";

impl Reader {
    /// Returns the attributes that exist in this version, in the order in which they are read.
    pub(super) fn columns(&self, version: u32) -> impl Iterator<Item = &'static Column> {
        self.attributes.iter().filter(move |column| column.is_in(version))
    }

    /// Appends a query for the index of the schema and the fact: the name of an object and all of its attributes, as
    /// an array of texts.
    pub(super) fn write(&self, sql: &mut Sql, place: usize, version: u32) {
        sql.text("select n.place, ").number(place as u64).text(" as reader, ");
        sql.text(OWN_PATH).text("array[");
        for (index, name) in [self.of, Some(self.name), self.arguments].into_iter().enumerate() {
            sql.text(if index == 0 { "" } else { ", " });
            match name {
                Some(name) => sql.text("(").text(name).text(")::pg_catalog.text"),
                None => sql.text("null"),
            };
        }
        for column in self.columns(version) {
            sql.text(", ");
            column.write(sql);
        }
        sql.text("]::pg_catalog.text[] end as fact from n join ");
        // All readers share one scan of the relations.
        match self.from.split_once(RELATIONS) {
            Some((before, after)) => sql.text(before).text("c0 as c").text(after),
            None => sql.text(self.from),
        };
    }
}

//! Operators, functions and types that match better than those of PostgreSQL, and note it when they are used.

use sqlx::PgConnection;

use crate::support::run;

/// Each pair of these types gets operators. Where PostgreSQL has none for just this pair, the planted one is
/// preferred wherever it stands on the search path; where it has, only when `pg_catalog` comes later.
const COMPARED: &[&str] =
    &["text", "varchar", "name", "\"char\"", "oid", "int4", "int8", "regclass"];

const JOINED: &[&str] = &["text", "varchar", "name"];

/// Functions: name, arguments, result, and what is returned.
const FUNCTIONS: &[(&str, &str, &str, &str)] = &[
    ("lower", "varchar", "text", "pg_catalog.lower($1)"),
    ("lower", "text", "text", "pg_catalog.lower($1)"),
    ("length", "text", "int4", "pg_catalog.length($1)"),
    ("right", "text, int4", "text", "pg_catalog.right($1, $2)"),
    ("starts_with", "varchar, text", "bool", "pg_catalog.starts_with($1, $2)"),
    ("starts_with", "name, text", "bool", "pg_catalog.starts_with($1::pg_catalog.text, $2)"),
    ("starts_with", "text, text", "bool", "pg_catalog.starts_with($1, $2)"),
    ("hashtextextended", "varchar, int4", "int8", "pg_catalog.hashtextextended($1, $2)"),
    ("hashtextextended", "text, int4", "int8", "pg_catalog.hashtextextended($1, $2)"),
    ("hashtextextended", "text, int8", "int8", "pg_catalog.hashtextextended($1, $2)"),
    ("format", "varchar", "text", "$1"),
    ("format", "text, text, text", "text", "pg_catalog.format($1, $2, $3)"),
    ("concat", "text, text, text", "text", "pg_catalog.concat($1, $2, $3)"),
    ("decode", "text, text", "bytea", "pg_catalog.decode($1, $2)"),
    ("unnest", "text[]", "setof text", ""),
    ("now", "", "timestamptz", "pg_catalog.now()"),
    ("clock_timestamp", "", "timestamptz", "pg_catalog.clock_timestamp()"),
    ("transaction_timestamp", "", "timestamptz", "pg_catalog.transaction_timestamp()"),
    ("current_schema", "", "name", "pg_catalog.current_schema()"),
    ("obj_description", "oid, text", "text", "pg_catalog.obj_description($1, $2::pg_catalog.name)"),
    ("obj_description", "oid, name", "text", "pg_catalog.obj_description($1, $2)"),
    ("has_schema_privilege", "oid, text", "bool", "true"),
    ("has_schema_privilege", "oid, oid, text", "bool", "true"),
    ("pg_notify", "varchar, text", "void", ""),
    ("pg_notify", "text, varchar", "void", ""),
    ("pg_notify", "text, text", "void", ""),
    ("pg_try_advisory_lock", "int8", "bool", "pg_catalog.pg_try_advisory_lock($1)"),
    ("pg_try_advisory_xact_lock", "int8", "bool", "pg_catalog.pg_try_advisory_xact_lock($1)"),
    ("pg_advisory_xact_lock", "int8", "void", ""),
    ("pg_advisory_unlock_all", "", "void", ""),
    ("pg_cancel_backend", "int4", "bool", "false"),
    ("pg_backend_pid", "", "int4", "pg_catalog.pg_backend_pid()"),
    ("setseed", "float8", "void", ""),
    ("set_config", "text, text, bool", "text", "pg_catalog.set_config($1, $2, $3)"),
    ("extract", "text, timestamptz", "numeric", "0"),
    ("date_part", "text, timestamptz", "float8", "0"),
];

/// Aggregates: name, what they are made of, and of which state.
const AGGREGATES: &[(&str, &str, &str)] = &[
    ("string_agg", "varchar, text", "text"),
    ("string_agg", "text, text", "text"),
    ("count", "int4", "int8"),
    ("bool_or", "bool", "bool"),
];

const DOMAINS: &[&str] = &["text", "timestamptz", "jsonb", "bytea", "int8", "name", "regclass"];

/// The traps, under the names of what they take the place of.
pub(super) struct Traps {
    sql: String,
    names: Vec<String>,
}

impl Traps {
    pub(super) fn new() -> Self {
        let mut traps = Self { sql: String::new(), names: Vec::new() };
        for operator in ["=", "<>"] {
            for left in COMPARED {
                for right in COMPARED {
                    let compare = "$1::pg_catalog.text operator(pg_catalog.";
                    let compare = format!("{compare}{operator}) $2::pg_catalog.text");
                    traps.operator(operator, left, right, "bool", &compare);
                }
            }
        }
        for left in JOINED {
            for right in JOINED {
                traps.operator("||", left, right, "text", "pg_catalog.concat($1, $2)");
                traps.operator("~~", left, right, "bool", "false");
            }
        }
        traps.operator("-", "timestamptz", "timestamptz", "interval", "'0'::pg_catalog.interval");
        traps.operator("*", "numeric", "int4", "numeric", "0::pg_catalog.numeric");
        for (name, arguments, result, value) in FUNCTIONS {
            traps.function(name, arguments, result, value);
        }
        for (name, of, state) in AGGREGATES {
            let step = traps.function("step", &format!("{state}, {of}"), state, "$1");
            let aggregate = format!("\"{name}\"({})", qualified(of));
            let body = format!("(sfunc = {step}, stype = {});\n", qualified(state));
            traps.sql.push_str(&format!("create aggregate {aggregate} {body}"));
        }
        for name in DOMAINS {
            let check = traps.function("domain", &name.replace("regclass", "oid"), "bool", "true");
            let base = qualified(name);
            let value = if *name == "regclass" { "value::pg_catalog.oid" } else { "value" };
            let text = format!("create domain \"{name}\" as {base} check ({check}({value}));\n");
            traps.sql.push_str(&text);
        }
        traps
    }

    /// What makes the traps in the schema that comes first on the search path.
    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    /// Makes what the traps note their use in.
    pub(super) async fn arm(&self, admin: &mut PgConnection) {
        let sequence = |name: &String| format!("create sequence trips.{};", quoted(name));
        let sequences: String = self.names.iter().map(sequence).collect();
        run(admin, &format!("create schema trips; {sequences}")).await;
    }

    /// Makes a function that notes its use, even where the transaction is rolled back. Returns its name.
    fn function(&mut self, of: &str, arguments: &str, result: &str, value: &str) -> String {
        let number = self.names.len();
        let name = match of {
            "step" | "domain" | "operator" => format!("trap_{number}"),
            other => other.to_owned(),
        };
        self.note(&format!("{of}({arguments})"), &name, arguments, result, value);
        format!("\"{name}\"")
    }

    fn operator(&mut self, operator: &str, left: &str, right: &str, result: &str, value: &str) {
        let name = format!("trap_{}", self.names.len());
        let arguments = format!("{left}, {right}");
        self.note(&format!("{operator}({arguments})"), &name, &arguments, result, value);
        let (left, right) = (qualified(left), qualified(right));
        let text = format!(
            "create operator {operator} (leftarg = {left}, rightarg = {right}, function = {name});\n"
        );
        self.sql.push_str(&text);
    }

    fn note(&mut self, of: &str, name: &str, arguments: &str, result: &str, value: &str) {
        let sequence = quoted(of).replace('\'', "''");
        let text = format!(
            "create function \"{name}\"({}) returns {} language plpgsql as $trap$ begin \
             perform pg_catalog.nextval('trips.{sequence}'); return {value}; end $trap$;\n",
            qualified(arguments),
            qualified(result),
        );
        self.sql.push_str(&text);
        self.names.push(of.to_owned());
    }
}

/// The traps that were used since this was last asked.
pub(super) async fn tripped(admin: &mut PgConnection) -> Vec<String> {
    run(&mut *admin, "set search_path = pg_catalog, pg_temp").await;
    let names = "select sequencename::text from pg_sequences \
                 where schemaname = 'trips' and last_value is not null order by 1";
    let names = sqlx::query_scalar(names).fetch_all(&mut *admin).await.expect("they are armed");
    let again = "select setval(oid, 1, false) from pg_class \
                 where relkind = 'S' and relnamespace = 'trips'::regnamespace";
    run(&mut *admin, again).await;
    run(&mut *admin, "reset search_path").await;
    names
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names the schema of each of these types.
fn qualified(types: &str) -> String {
    let one = |name: &str| match name.trim().strip_prefix("setof ") {
        Some(name) => format!("setof pg_catalog.{name}"),
        None => format!("pg_catalog.{}", name.trim()),
    };
    match types {
        "" => String::new(),
        types => types.split(',').map(one).collect::<Vec<_>>().join(", "),
    }
}

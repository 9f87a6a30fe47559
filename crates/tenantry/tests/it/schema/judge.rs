//! Decides with the installed `pg_dump` whether two schemas are alike.
//!
//! Each schema is renamed, in a copy of the database, to a name that occurs nowhere. So everything
//! that refers to the schema follows. What is text only (bodies, literals, comments) keeps the old
//! name, and is compared token by token.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    process::{Command, Stdio},
    str::FromStr,
};

use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};

use super::{dump::Dump, text::Own};
use crate::support::{run, skip, try_run};

/// What schemas are called in a copy, with a number.
pub(crate) const NEUTRAL: &str = "zq7_judged_";

/// The `pg_dump` of a database's server.
#[derive(Debug)]
pub(crate) struct Judge {
    program: PathBuf,
    url: String,
}

/// A schema's dump, and what it calls itself.
#[derive(Debug)]
pub(crate) struct Judged {
    schema: String,
    role: Option<String>,
    dump: Dump,
    objects: BTreeSet<String>,
}

impl Judge {
    /// A judge for this database, `None` where the server's installation has no `pg_dump`.
    ///
    /// Nobody may be connected to the database while the judge copies it.
    pub(crate) async fn of(url: &str) -> Option<Self> {
        let options = PgConnectOptions::from_str(url).expect("the URL is sound");
        let mut admin = options.database("postgres").connect().await.expect("the server runs");
        let folder: String =
            sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'")
                .fetch_one(&mut admin)
                .await
                .expect("a superuser may look");
        let program = PathBuf::from(folder).join("pg_dump");
        if !program.is_file() {
            skip(&format!("schemas, by the judge: there is no {}", program.display()));
            return None;
        }
        Some(Self { program, url: url.to_owned() })
    }

    /// Dumps schemas, each under a neutral name: the first of one call has that of the first of another.
    pub(crate) async fn dump(&self, schemas: &[&str]) -> Vec<Judged> {
        let options = PgConnectOptions::from_str(&self.url).expect("the URL is sound");
        let database = options.get_database().expect("the URL names a database").to_owned();
        let copy = format!("{database}_zq7_copy");
        let mut admin = options.clone().database("postgres").connect().await.expect("it runs");
        run(&mut admin, &format!("create database {copy} template {database}")).await;
        let mut connection = options.database(&copy).connect().await.expect("it runs");
        let renames = schemas
            .iter()
            .enumerate()
            .map(|(at, schema)| format!("alter schema {} rename to {NEUTRAL}{at};", quote(schema)));
        run(&mut connection, &renames.collect::<String>()).await;
        let printed = self.print(&copy);
        drop(connection);
        run(&mut admin, &format!("drop database {copy} with (force)")).await;
        let mut dumps = Dump::split(&printed);
        let judged = |(at, schema): (usize, &&str)| {
            let dump = dumps.remove(&format!("{NEUTRAL}{at}")).unwrap_or_default();
            let objects = dump.objects();
            Judged { schema: (*schema).to_owned(), role: None, dump, objects }
        };
        schemas.iter().enumerate().map(judged).collect()
    }

    fn print(&self, database: &str) -> String {
        let (server, _) = self.url.rsplit_once('/').expect("the URL names a database");
        let output = Command::new(&self.program)
            .args(["--schema-only", "--schema", &format!("{NEUTRAL}*"), "--dbname"])
            .arg(format!("{server}/{database}"))
            .stdin(Stdio::null())
            .output()
            .expect("pg_dump can be started");
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "pg_dump: {problem}");
        String::from_utf8(output.stdout).expect("pg_dump prints UTF-8")
    }
}

impl Judged {
    /// With the role that owns the schema by design, and that stands for the other side's.
    pub(crate) fn owned_by(mut self, role: &str) -> Self {
        self.role = Some(role.to_owned());
        self
    }

    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        self.dump.differences(self.own(), &other.dump, other.own())
    }

    fn own(&self) -> Own<'_> {
        Own { schema: &self.schema, role: self.role.as_deref(), objects: &self.objects }
    }
}

/// An identifier as SQL writes it.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Creates a schema and runs `sql` with it as the search path; `{schema}` and `{name}` stand for it.
pub(crate) async fn build(admin: &mut PgConnection, name: &str, sql: &str) -> sqlx::Result<()> {
    let schema = quote(name);
    let sql = sql.replace("{schema}", &schema).replace("{name}", name);
    let text =
        format!("begin; create schema {schema}; set local search_path = {schema}; {sql}\n; commit");
    let outcome = try_run(&mut *admin, &text).await;
    if outcome.is_err() {
        run(admin, "rollback").await;
    }
    outcome
}

//! Administrative SQL.

use std::fmt;

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::{Error, database_name::DatabaseName};

/// A session that creates and drops databases.
#[derive(Debug)]
pub(crate) struct Admin {
    connection: PgConnection,
}

/// The initial content of a new database.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    /// The server's default template, copied with the server's default strategy.
    ServerDefault,
    /// Nothing, copied with the strategy that is fastest if nothing is forced to disk.
    Empty,
    /// A template, copied with the same fast strategy.
    Template(&'a DatabaseName),
}

impl Admin {
    pub(crate) async fn connect(url: &str) -> Result<Self, Error> {
        connect(url).await.map(|connection| Self { connection })
    }

    /// Closes the session properly; otherwise the server logs a lost connection.
    pub(crate) async fn close(self) {
        // The session ends in any case.
        let _ = self.connection.close().await;
    }

    pub(crate) async fn create_database(
        &mut self,
        name: &DatabaseName,
        content: Content<'_>,
    ) -> Result<(), Error> {
        // PostgreSQL 15's default, which writes the template through the log, took twice as long in memory and a
        // tenth longer on a disk.
        let by_files = match self.connection.server_version_num() {
            Some(version) if version >= 150_000 => " strategy file_copy",
            _ => "",
        };
        let options = match content {
            Content::ServerDefault => String::new(),
            Content::Empty => by_files.to_owned(),
            Content::Template(template) => format!(" template {template}{by_files}"),
        };
        self.run(format!("create database {name}{options}"))
            .await
            .map_err(Error::sql(format!("create database {name}")))
    }

    /// Drops a database if it exists, with all sessions in it.
    pub(crate) async fn drop_database(&mut self, name: &DatabaseName) -> Result<(), Error> {
        self.run(format!("drop database if exists {name} with (force)"))
            .await
            .map_err(Error::sql(format!("drop database {name}")))
    }

    /// Drops a database unless it has open connections.
    pub(crate) async fn drop_unused_database(&mut self, name: &DatabaseName) -> Result<(), Error> {
        self.run(format!("drop database if exists {name}"))
            .await
            .map_err(Error::sql(format!("drop database {name}")))
    }

    /// Writes a remark to a database; it must not need escaping.
    pub(crate) async fn remark(&mut self, name: &DatabaseName, text: &str) -> Result<(), Error> {
        let text = text.replace('\'', "");
        self.run(format!("comment on database {name} is '{text}'"))
            .await
            .map_err(Error::sql(format!("comment on database {name}")))
    }

    /// Names of databases that carry this remark.
    pub(crate) async fn with_remark(&mut self, text: &str) -> Result<Vec<DatabaseName>, Error> {
        let names: Vec<String> = sqlx::query_scalar(
            "select datname::text
             from pg_catalog.pg_database
             where pg_catalog.shobj_description(oid, 'pg_database') = $1",
        )
        .bind(text.replace('\'', ""))
        .fetch_all(&mut self.connection)
        .await
        .map_err(Error::sql("list databases"))?;
        Ok(names.iter().filter_map(|name| DatabaseName::parse(name).ok()).collect())
    }

    /// Returns the remark on a database, if the database and the remark exist.
    pub(crate) async fn remark_of(&mut self, name: &DatabaseName) -> Result<Option<String>, Error> {
        sqlx::query_scalar(
            "select pg_catalog.shobj_description(oid, 'pg_database')
             from pg_catalog.pg_database
             where datname = $1",
        )
        .bind(name.as_str())
        .fetch_optional(&mut self.connection)
        .await
        .map(Option::flatten)
        .map_err(Error::sql("look for a database"))
    }

    /// Returns databases with a remark whose names start with `prefix` and that have no connections.
    ///
    /// PostgreSQL waits five seconds for sessions before it refuses to drop their database.
    pub(crate) async fn unused_with_prefix(
        &mut self,
        prefix: &str,
    ) -> Result<Vec<(DatabaseName, String)>, Error> {
        let found: Vec<(String, String)> = sqlx::query_as(
            "select d.datname::text, remark
             from pg_catalog.pg_database d
             cross join lateral pg_catalog.shobj_description(d.oid, 'pg_database') as remark
             where pg_catalog.starts_with(d.datname::text, $1)
               and remark is not null
               and not exists (
                 select from pg_catalog.pg_stat_activity a where a.datid = d.oid)",
        )
        .bind(prefix)
        .fetch_all(&mut self.connection)
        .await
        .map_err(Error::sql("list databases"))?;
        let named = |(name, remark): (String, _)| Some((DatabaseName::parse(&name).ok()?, remark));
        Ok(found.into_iter().filter_map(named).collect())
    }

    /// Waits for a lock that is held until the end of the session.
    pub(crate) async fn lock(&mut self, number: i64) -> Result<(), Error> {
        sqlx::query("select pg_catalog.pg_advisory_lock($1)")
            .bind(number)
            .execute(&mut self.connection)
            .await
            .map(drop)
            .map_err(Error::sql("lock the templates"))
    }

    /// Whether a database with this name is a finished template.
    pub(crate) async fn is_template(&mut self, name: &DatabaseName) -> Result<bool, Error> {
        sqlx::query_scalar("select datistemplate from pg_catalog.pg_database where datname = $1")
            .bind(name.as_str())
            .fetch_optional(&mut self.connection)
            .await
            .map(|found| found.unwrap_or(false))
            .map_err(Error::sql("look for a template"))
    }

    /// Turns a database into a template: new connections are refused and existing ones are terminated, because a
    /// database with sessions cannot be copied.
    pub(crate) async fn make_template(&mut self, name: &DatabaseName) -> Result<(), Error> {
        let what = || Error::sql(format!("make database {name} a template"));
        self.run(format!("alter database {name} with allow_connections false"))
            .await
            .map_err(what())?;
        sqlx::query(
            "select pg_catalog.pg_terminate_backend(pid)
             from pg_catalog.pg_stat_activity
             where datname = $1",
        )
        .bind(name.as_str())
        .execute(&mut self.connection)
        .await
        .map_err(what())?;
        self.run(format!("alter database {name} with is_template true")).await.map_err(what())
    }

    async fn run(&mut self, sql: String) -> Result<(), sqlx::Error> {
        run(&mut self.connection, sql).await
    }
}

/// Runs SQL of any number of statements in the database that `url` names.
pub(crate) async fn run_script(url: String, sql: String) -> Result<(), Error> {
    let mut connection = connect(&url).await?;
    let result = run(&mut connection, sql).await;
    // Only the result of the statements matters.
    let _ = connection.close().await;
    result.map_err(Error::sql("run the setup SQL"))
}

async fn connect(url: &str) -> Result<PgConnection, Error> {
    // The parser's own error can quote the URL and with it the password.
    let options: PgConnectOptions =
        url.parse().map_err(|_| Error::database_url("it is not a PostgreSQL URL"))?;
    PgConnection::connect_with(&options).await.map_err(Error::sql("connect to the server"))
}

/// The only place where assembled SQL text is run: from [`DatabaseName`]s, which are harmless by construction, or
/// from the developer who calls [`run_script`].
#[expect(
    clippy::disallowed_methods,
    reason = "there are no bind parameters for names, and scripts come from the developer"
)]
async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// The URL of a database of a server on this machine.
pub(crate) fn loopback_url(port: u16, database: impl fmt::Display) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{database}")
}

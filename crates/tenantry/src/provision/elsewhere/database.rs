//! Makes and drops databases.

use std::time::Duration;

use sqlx::{PgConnection, Row, SqlStr, postgres::types::Oid};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        CreateOptions,
        holders::{self, Held},
        mark::Mark,
        underway::LOCK_OF_MAKER,
    },
    found::{Database, Next, next},
    spare_taking::{Eligible, Taken, take_spare},
};
use crate::{
    error::{Error, ErrorKind},
    sql::Sql,
    tenant::Ident,
};

/// The keyword for all roles.
pub(super) const EVERYONE: &str = "public";

/// The interval between attempts.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How many lock timeouts to wait while the template database is in use.
pub(super) const PATIENCE: u32 = 4;

/// How long to wait for another session that works on the same database.
pub(super) const PATIENCE_FOR_LOCK: Duration = Duration::from_secs(30);

/// The databases of a server, with their comments.
const DATABASES: &str = "select d.oid, d.datname::pg_catalog.text, \
    pg_catalog.shobj_description(d.oid, 'pg_database'), d.datallowconn, \
    d.datconnlimit operator(pg_catalog.=) -2 from pg_catalog.pg_database d where ";

/// A database to be made, on a connection to another one of its server.
pub(super) struct NewDatabase<'a> {
    pub(super) name: &'a Ident,
    pub(super) mark: Mark,
    /// The roles that connect to it, besides its owner.
    pub(super) roles: &'a [&'a Ident],
    pub(super) options: &'a CreateOptions,
    /// Which spares it can be made from, if any.
    pub(super) spares: Option<Eligible<'a>>,
}

impl NewDatabase<'_> {
    /// Makes the database, from whatever state an interrupted attempt has left it in.
    ///
    /// It is created under a provisional name that no other creation uses, and closed to connections. So nothing can
    /// be connected to it when it gets its name, and no other role can before the privileges are right. A database
    /// that has the name already is left alone, unless it carries the mark. A spare is used instead of a new one if
    /// there is one, and returned.
    ///
    /// # Cancel safety
    ///
    /// If dropped, another call with the same mark continues.
    pub(super) async fn make(&self, conn: &mut PgConnection) -> Result<Option<Taken>, Error> {
        let mut taken = None;
        let provisional = self.mark.provisional_name();
        let deadline = Instant::now() + self.options.lock_timeout.saturating_mul(PATIENCE);
        sqlx::raw_sql("set statement_timeout = 0").execute(&mut *conn).await?;
        lock(conn, self.mark).await?;
        loop {
            let named = find(conn, self.name).await?;
            let hidden = find(conn, &provisional).await?;
            let step = next(named.as_ref(), hidden.as_ref(), self.mark);
            let sql = match step {
                Next::Nothing => return Ok(taken),
                Next::Refuse => return Err(self.taken()),
                Next::Create if taken.is_none() => {
                    taken = self.take_spare(conn).await?;
                    match taken {
                        Some(_) => continue,
                        None => self.create_sql(&provisional),
                    }
                }
                Next::Create => self.create_sql(&provisional),
                Next::Name => self.name_sql(&provisional),
                Next::Open => self.open_sql(),
            };
            let Err(error) = sqlx::raw_sql(sql).execute(&mut *conn).await else { continue };
            if !is_passing(&error, step) || Instant::now() >= deadline {
                let who = users_of_template(conn, self.template(), &error).await;
                return Err(self.refused(error, &who));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    fn create_sql(&self, provisional: &Ident) -> SqlStr {
        create_closed_sql(provisional, self.options.database_template.as_ref())
    }

    async fn take_spare(&self, conn: &mut PgConnection) -> Result<Option<Taken>, Error> {
        let Some(eligible) = &self.spares else { return Ok(None) };
        let taken = take_spare(conn, eligible, |spare| self.name_sql(spare)).await?;
        taken.map_err(|error| self.refused(error, ""))
    }

    /// Returns the statements that run in one transaction: a database with the tenant's name always has the mark.
    fn name_sql(&self, provisional: &Ident) -> SqlStr {
        let mut sql = Sql::new("comment on database ");
        sql.ident(provisional).text(" is ").literal(&self.mark.comment());
        sql.text("; alter database ").ident(provisional).text(" rename to ").ident(self.name);
        sql.finish()
    }

    /// Returns the statements that keep other roles out and let the service in, in one transaction.
    fn open_sql(&self) -> SqlStr {
        let mut sql = Sql::new("revoke all on database ");
        sql.ident(self.name).text(" from ").text(EVERYONE);
        for role in self.roles {
            sql.text("; grant connect, temporary on database ").ident(self.name);
            sql.text(" to ").ident(role);
        }
        sql.text("; alter database ").ident(self.name).text(" allow_connections true");
        sql.finish()
    }

    fn taken(&self) -> Error {
        let attempted = format!(
            "there is a database {} already, which this creation has not made and leaves alone: name another one, or \
             rename that one",
            self.name
        );
        Error::new(ErrorKind::TenantExists, attempted)
    }

    fn template(&self) -> Option<&Ident> {
        self.options.database_template.as_ref()
    }

    fn refused(&self, error: sqlx::Error, who: &str) -> Error {
        match code(&error).as_deref() {
            Some("42P04") => self.taken().with_source(error),
            _ => not_created("creating its database", self.template(), error, who),
        }
    }
}

/// Returns the statement that creates a database which is closed to connections.
pub(super) fn create_closed_sql(name: &Ident, template: Option<&Ident>) -> SqlStr {
    let mut sql = Sql::new("create database ");
    sql.ident(name);
    if let Some(template) = template {
        sql.text(" template ").ident(template);
    }
    sql.text(" allow_connections false");
    sql.finish()
}

/// Returns the sessions that keep a database from being copied, in words, if they are why that failed.
pub(super) async fn users_of_template(
    conn: &mut PgConnection,
    template: Option<&Ident>,
    error: &sqlx::Error,
) -> String {
    let template = template.map_or(TEMPLATE, Ident::as_str);
    match code(error).as_deref() {
        Some("55006") => holders::in_words(conn, Held::Database(template)).await,
        _ => String::new(),
    }
}

/// The database that new ones are copied from unless another one is named.
const TEMPLATE: &str = "template1";

/// Explains why a database could not be created, with the sessions in its template in words.
pub(super) fn not_created(
    attempted: &str,
    template: Option<&Ident>,
    error: sqlx::Error,
    who: &str,
) -> Error {
    let template = template.map_or(TEMPLATE, Ident::as_str);
    let attempted = match code(&error).as_deref() {
        Some("55006") => {
            format!(
                "{attempted}: sessions are connected to the template {template:?}{who}; end them first"
            )
        }
        Some("3D000") => format!("{attempted}: there is no template database {template:?}"),
        _ => attempted.to_owned(),
    };
    let error = Error::from(error);
    Error::new(error.kind(), attempted).with_source(error)
}

/// Takes the lock of a creation's databases until the end of the session. A process that was killed has it for as long
/// as the server runs its last statement: `create database` does not end with its client.
pub(super) async fn lock(conn: &mut PgConnection, mark: Mark) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE_FOR_LOCK;
    while !try_lock(conn, mark).await? {
        if Instant::now() >= deadline {
            let who = holders::in_words(conn, Held::Lock(&mark.comment(), LOCK_OF_MAKER)).await;
            let attempted =
                format!("another session is still making or dropping its database{who}");
            return Err(Error::new(ErrorKind::Busy, attempted));
        }
        sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

async fn try_lock(conn: &mut PgConnection, mark: Mark) -> Result<bool, Error> {
    let mut sql = Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
    sql.literal(&mark.comment()).text(", ").integer(LOCK_OF_MAKER).text("))");
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

/// Finds a database by its name.
pub(super) async fn find(conn: &mut PgConnection, name: &Ident) -> Result<Option<Database>, Error> {
    let mut sql = Sql::new(DATABASES);
    sql.text("d.datname operator(pg_catalog.=) ").literal(name.as_str());
    Ok(read(conn, sql).await?.map(|(_, database)| database))
}

/// Returns the current name of a database.
pub(super) async fn name_of(conn: &mut PgConnection, oid: u32) -> Result<Option<Ident>, Error> {
    let mut sql = Sql::new(DATABASES);
    sql.text("d.oid operator(pg_catalog.=) ").number(oid.into()).text("::pg_catalog.oid");
    Ok(read(conn, sql).await?.map(|(name, _)| name))
}

async fn read(conn: &mut PgConnection, sql: Sql) -> Result<Option<(Ident, Database)>, Error> {
    let Some(row) = sqlx::raw_sql(sql.finish()).fetch_optional(conn).await? else {
        return Ok(None);
    };
    let Oid(oid) = row.try_get(0)?;
    let name = Ident::parse(row.try_get(1)?).map_err(Error::catalog)?;
    let database = Database {
        oid,
        comment: row.try_get(2)?,
        allows_connections: row.try_get(3)?,
        is_broken: row.try_get(4)?,
    };
    Ok(Some((name, database)))
}

/// Returns `true` if a database is a template, or the one of this connection.
pub(super) async fn is_protected(conn: &mut PgConnection, name: &Ident) -> Result<bool, Error> {
    let mut sql = Sql::new(
        "select coalesce(pg_catalog.bool_or(d.datistemplate \
           or d.datname operator(pg_catalog.=) pg_catalog.current_database()), false) \
         from pg_catalog.pg_database d where d.datname operator(pg_catalog.=) ",
    );
    sql.literal(name.as_str());
    Ok(sqlx::raw_sql(sql.finish()).fetch_one(conn).await?.try_get(0)?)
}

/// Drops a database and ends all sessions in it.
pub(super) async fn drop_now(conn: &mut PgConnection, name: &Ident) -> Result<(), Error> {
    sqlx::raw_sql("set statement_timeout = 0").execute(&mut *conn).await?;
    let mut sql = Sql::new("drop database if exists ");
    sql.ident(name).text(" (force)");
    let dropped = sqlx::raw_sql(sql.finish()).execute(conn).await;
    dropped.map(drop).map_err(|error| {
        let attempted = match code(&error).as_deref() {
            Some("42501") => format!(
                "dropping its database {name}: the role must own it, and be a member of pg_signal_backend to end the \
                 sessions of other roles in it"
            ),
            _ => format!("dropping its database {name}"),
        };
        let error = Error::from(error);
        Error::new(error.kind(), attempted).with_source(error)
    })
}

pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    let code = error.as_database_error().and_then(|error| error.code());
    code.map(std::borrow::Cow::into_owned)
}

/// Returns `true` if another attempt can succeed: the template is in use, or another process continues the same
/// creation.
fn is_passing(error: &sqlx::Error, step: Next) -> bool {
    match code(error).as_deref() {
        Some("55006") => true,
        Some("42P04" | "23505") => step == Next::Create,
        // Both have updated or renamed the same database.
        Some("3D000" | "XX000") => matches!(step, Next::Name | Next::Open),
        _ => false,
    }
}

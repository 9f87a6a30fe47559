//! Makes spare databases, and removes those that are no longer needed.

use sqlx::{PgConnection, Row};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        CreateOptions, Provisioner, SparesOnServer,
        holders::{self, Held},
        mark::Mark,
        provisional,
        spare_note::SpareNote,
    },
    database::{
        self, LOOK_AGAIN, PATIENCE, PATIENCE_FOR_LOCK, create_closed_sql, not_created,
        users_of_template,
    },
    schema::Found,
    spare::{self, SpareDatabase, State, made_from},
};
use crate::{
    error::{Error, ErrorKind},
    pool::Lease,
    sql::Sql,
    tenant::{Home, Ident},
};

/// The lock for filling the spare databases of a set of files, whose hash follows.
const LOCK: &str = "the spare databases of tenantry ";

/// The spares of one server that are being filled.
struct Filling<'a> {
    /// Works in the database of the server's URL.
    provisioner: &'a Provisioner,
    template: Option<&'a Ident>,
    made_from: String,
    /// A connection there, which holds the locks. Where only one connection is available, it is given back while
    /// files run.
    desk: Option<Lease>,
}

impl Provisioner {
    /// Makes sure that this many spares are ready on a server. This provisioner works in the database of its URL.
    pub(in crate::provision) async fn fill_databases(
        &self,
        wanted: usize,
        template: Option<&Ident>,
        report: &mut SparesOnServer,
    ) -> Result<(), Error> {
        self.refuse_missing_right_to(self.fleet.home()).await?;
        let made_from = self.made_from(template);
        let mut filling = Filling { provisioner: self, template, made_from, desk: None };
        let filled = filling.fill(wanted, report).await;
        if let Some(desk) = filling.desk {
            desk.settle().await;
        }
        filled
    }

    /// Returns what spares of our files are made from.
    pub(super) fn made_from(&self, template: Option<&Ident>) -> String {
        made_from(&self.note().hash, template)
    }
}

impl Filling<'_> {
    async fn fill(&mut self, wanted: usize, report: &mut SparesOnServer) -> Result<(), Error> {
        let is_alone = self.is_short() || self.lock().await?;
        let there = spare::list(self.desk().await?).await?;
        for database in there {
            let is_ready =
                matches!(&database.state, State::Ready(note) if note.hash == self.made_from);
            if is_ready && !self.is_refused() {
                report.ready += 1;
                self.note_use(&database).await?;
            } else if is_alone && self.is_useless(&database) {
                report.removed += usize::from(self.remove(&database).await?);
            }
        }
        while is_alone && report.ready < wanted && !self.is_refused() {
            if self.make().await? {
                report.ready += 1;
                report.made += 1;
            }
        }
        report.refused = self.stored_names().to_vec();
        Ok(())
    }

    /// Returns `true` if a server has only one connection for this.
    fn is_short(&self) -> bool {
        self.provisioner.fleet.server().places_for_upkeep() < 2
    }

    fn stored_names(&self) -> &[super::super::StoredName] {
        self.provisioner.known_databases().stored_names.get().map_or(&[], Vec::as_slice)
    }

    /// Returns `true` if spares of our files would store the name that they have as a spare.
    fn is_refused(&self) -> bool {
        !self.stored_names().is_empty()
    }

    /// Returns `true` if a database can be removed: its creator is gone if its lock is free. Spares of another release,
    /// which may run alongside this one, stay for a day.
    fn is_useless(&self, database: &SpareDatabase) -> bool {
        match &database.state {
            State::HalfMade => true,
            State::Ready(note) => note.hash == self.made_from || note.is_unused(provisional::now()),
            State::Strangers => false,
        }
    }

    async fn desk(&mut self) -> Result<&mut Lease, Error> {
        let lease = match self.desk.take() {
            Some(lease) => lease,
            None => {
                let mut lease = self.provisioner.fleet.lease().await?;
                sqlx::raw_sql("set statement_timeout = 0").execute(&mut *lease).await?;
                lease
            }
        };
        Ok(self.desk.insert(lease))
    }

    /// Keeps other processes from filling the same spares.
    async fn lock(&mut self) -> Result<bool, Error> {
        let mut sql =
            Sql::new("select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(");
        sql.literal(&format!("{LOCK}{}", self.made_from)).text(", 7234619037115))");
        let desk = self.desk().await?;
        Ok(sqlx::raw_sql(sql.finish()).fetch_one(&mut **desk).await?.try_get(0)?)
    }

    fn note(&self) -> SpareNote {
        SpareNote { hash: self.made_from.clone(), ..self.provisioner.note() }
    }

    /// Records that a spare is still needed.
    async fn note_use(&mut self, database: &SpareDatabase) -> Result<(), Error> {
        let State::Ready(note) = &database.state else { return Ok(()) };
        if !note.is_old(provisional::now()) {
            return Ok(());
        }
        let note = self.note();
        let desk = self.desk().await?;
        if spare::try_lock(desk, &database.name).await? {
            if is_unchanged(desk, database).await? {
                spare::write_note(desk, &database.name, &note).await?;
            }
            spare::unlock(desk, &database.name).await?;
        }
        Ok(())
    }

    /// Removes a database, unless another session holds its lock or is connected to it.
    async fn remove(&mut self, database: &SpareDatabase) -> Result<bool, Error> {
        let desk = self.desk().await?;
        if !spare::try_lock(desk, &database.name).await? {
            return Ok(false);
        }
        let removed = match is_unchanged(desk, database).await? {
            true => drop_unused(desk, &database.name).await,
            false => Ok(false),
        };
        spare::unlock(desk, &database.name).await?;
        removed
    }

    /// Makes a spare. Returns `false` if our files are not suited for spares.
    async fn make(&mut self) -> Result<bool, Error> {
        let template = self.template;
        let desk = self.desk().await?;
        let name = spare::new_name(desk).await?;
        if !spare::try_lock(desk, &name).await? {
            return Ok(false);
        }
        create(desk, &name, template).await?;
        let made = self.make_ready(&name).await;
        if !matches!(made, Ok(true)) {
            let removed = match self.desk().await {
                Ok(desk) => drop_unused(desk, &name).await,
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                tracing::warn!(
                    target: "tenantry::provision",
                    database = name.as_str(),
                    error = &error as &dyn std::error::Error,
                    "could not remove a half-made spare database; the next fill_database_spares tries again"
                );
            }
        }
        spare::unlock(self.desk().await?, &name).await?;
        made
    }

    /// Runs the files in a new database, and closes it.
    async fn make_ready(&mut self, name: &Ident) -> Result<bool, Error> {
        if self.is_short()
            && let Some(desk) = self.desk.take()
        {
            desk.settle().await;
        }
        Box::pin(self.run_files(name)).await?;
        if self.is_refused() {
            return Ok(false);
        }
        let note = self.note();
        let desk = self.desk().await?;
        let mut sql = Sql::new("alter database ");
        sql.ident(name).text(" allow_connections false");
        sqlx::raw_sql(sql.finish()).execute(&mut **desk).await?;
        until_unused(desk, name).await?;
        spare::write_note(desk, name, &note).await?;
        Ok(true)
    }

    async fn run_files(&self, name: &Ident) -> Result<(), Error> {
        let home = self.provisioner.fleet.home().beside(name.clone());
        let there = self.provisioner.at(&home);
        let site = there.fleet.site_of(&public());
        let mut lease = there.fleet.lease_for(&site).await?;
        let role = there.fleet.server().role_of_manager();
        let made = async {
            there.make_schema(&mut lease, &site, Found::Made, Mark::new(), role).await?;
            there.make_in_steps(&site, role, &CreateOptions::default(), &mut lease).await?;
            let known = &self.provisioner.known_databases().stored_names;
            if known.get().is_none() {
                let found = there.names_of_database(&mut lease, name, &site.schema).await?;
                if !found.is_empty() {
                    tracing::warn!(
                        target: "tenantry::provision",
                        names = super::super::StoredNames::new(found.clone()).to_string(),
                        "databases of tenants are created without spares: the migrations store the name of their \
                         database"
                    );
                }
                // Two concurrent searches have the same result.
                let _known = known.set(found);
            }
            Ok(())
        };
        let made = made.await;
        // Nothing may be connected to the database when it gets its name.
        drop(lease.leave_place().await);
        made
    }
}

/// The schema of tenants in databases, unless the catalog names another one.
pub(super) fn public() -> Ident {
    Ident::parse("public").expect("the name is an identifier")
}

async fn is_unchanged(conn: &mut PgConnection, database: &SpareDatabase) -> Result<bool, Error> {
    let found = spare::find(conn, &database.name).await?;
    Ok(found.is_some_and(|found| found.state == database.state))
}

/// Creates a database for the role of this connection alone.
async fn create(
    conn: &mut PgConnection,
    name: &Ident,
    template: Option<&Ident>,
) -> Result<(), Error> {
    let deadline = Instant::now() + CreateOptions::default().lock_timeout.saturating_mul(PATIENCE);
    while let Err(error) =
        sqlx::raw_sql(create_closed_sql(name, template)).execute(&mut *conn).await
    {
        let is_passing = database::code(&error).as_deref() == Some("55006");
        if !is_passing || Instant::now() >= deadline {
            let who = users_of_template(conn, template, &error).await;
            return Err(not_created("creating a spare database", template, error, &who));
        }
        sleep(LOOK_AGAIN).await;
    }
    let mut sql = Sql::new("revoke all on database ");
    sql.ident(name).text(" from ").text(database::EVERYONE);
    sql.text("; alter database ").ident(name).text(" allow_connections true");
    sqlx::raw_sql(sql.finish()).execute(conn).await?;
    Ok(())
}

/// Waits until the sessions in a database that is closed to new ones have ended.
async fn until_unused(conn: &mut PgConnection, name: &Ident) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE_FOR_LOCK;
    while spare::find(conn, name).await?.is_some_and(|found| found.is_in_use) {
        if Instant::now() >= deadline {
            let who = holders::in_words(conn, Held::Database(name.as_str())).await;
            let attempted =
                format!("making the spare database {name}: a session stays connected to it{who}");
            return Err(Error::new(ErrorKind::Busy, attempted));
        }
        sleep(LOOK_AGAIN / 10).await;
    }
    Ok(())
}

/// Drops a database, unless a session is connected to it. Returns `true` if it was dropped.
async fn drop_unused(conn: &mut PgConnection, name: &Ident) -> Result<bool, Error> {
    let mut sql = Sql::new("drop database if exists ");
    sql.ident(name);
    match sqlx::raw_sql(sql.finish()).execute(conn).await {
        Ok(_) => Ok(true),
        Err(error) if database::code(&error).as_deref() == Some("55006") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Returns the place of a server by its name.
pub(in crate::provision) fn home_of(server: &str) -> Home {
    crate::tenant::Placement::in_schema(public()).on(Some(&server.into())).home()
}

//! A second tenant that the code under test must neither see nor change.

mod poison;
mod watch;

use std::{
    fmt, mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sqlx::{Connection as _, PgConnection};
use tenantry::{TenantDb, TenantId};
use tokio::{task::JoinSet, time::timeout};

use self::{poison::Poison, watch::Watch};
use crate::{
    Error, TestTenant, kit,
    world::{World, contains},
};

/// How long a neighbour waits for its first round.
const PATIENCE: Duration = Duration::from_secs(10);

/// A second tenant that constantly uses the connections of the test's manager, with poison rows in its tables.
///
/// The tables are filled with rows whose texts, UUIDs and numbers occur nowhere else, and whose generated ids also
/// occur in the test's own rows. Then as many tasks as the budget has connections read the neighbour's tables in a
/// loop, so that nearly every statement of the test runs on a session that the neighbour used just before.
///
/// [`assert_blind`](Self::assert_blind) at the end of the test checks that
///
/// - the neighbour's tables are as it wrote them, and were at every read;
/// - none of its values are in the tables of the test's tenants;
/// - none are in the responses of `TestTenant::call` and `TestTenant::call_actix`, or in data passed to
///   [`TestTenant::has_read`].
///
/// It cannot see values that the test reads in other ways, through a handle or over a socket: pass those to
/// `has_read`, or to [`assert_not_in`](Self::assert_not_in). A table whose constraints reject the poison stays empty
/// and is listed by [`unfilled`](Self::unfilled). Fixtures are not run for it.
///
/// # Examples
///
/// ```no_run,test_harness
/// use tenantry_test::TestTenant;
///
/// #[tenantry_test::test(migrations = "migrations")]
/// async fn users_of_others_are_not_listed(t: TestTenant) -> Result<(), Box<dyn std::error::Error>> {
///     let neighbour = t.neighbour().await?;
///     for _ in 0..20 {
///         let names: Vec<String> =
///             sqlx::query_scalar("select name from users").fetch_all(&t.db).await?;
///         neighbour.assert_not_in(names.join("\n"));
///     }
///     neighbour.assert_blind().await;
///     Ok(())
/// }
/// ```
#[must_use = "nothing is proved before `assert_blind`"]
pub struct Neighbour {
    tenant: TestTenant,
    poison: Poison,
    unfilled: Vec<(String, String)>,
    tables: Vec<String>,
    contents: String,
    watch: Arc<Watch>,
    /// Until the neighbour is stopped.
    tasks: Mutex<JoinSet<()>>,
}

impl Neighbour {
    pub(crate) async fn move_in(tenant: TestTenant) -> Result<Self, Error> {
        let failed = || "filling the neighbour's tables";
        let poison = Poison::new();
        let filled = poison.fill(&tenant).await.map_err(Error::from(failed()))?;
        let tables: Vec<_> = filled.iter().map(|(table, _)| table.clone()).collect();
        let unfilled = filled.into_iter().filter_map(|(table, problem)| Some((table, problem?)));
        let unfilled: Vec<_> = unfilled.collect();
        let contents = kit::contents(&tenant.db, &tables).await.map_err(Error::from(failed()))?;
        let watch = Arc::new(Watch::new(tables.clone(), contents.clone()));
        let mut tasks = JoinSet::new();
        for number in 0..tenant.manager.snapshot().max {
            tasks.spawn(Arc::clone(&watch).run(tenant.db.clone(), number));
        }
        let first = timeout(PATIENCE, watch.first_round()).await;
        first.map_err(Error::from("waiting for the neighbour's first statement"))?;
        Ok(Self { tenant, poison, unfilled, tables, contents, watch, tasks: Mutex::new(tasks) })
    }

    /// Returns the neighbour's id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.tenant.id
    }

    /// Returns the neighbour's database, for example to fill tables that the poison could not. Do so through
    /// [`rewrite`](Self::rewrite), which expects the change.
    #[must_use]
    pub fn db(&self) -> &TenantDb {
        &self.tenant.db
    }

    /// Returns the text that all poisoned texts start with, such as `poison-1f3a9c0b`.
    #[must_use]
    pub fn mark(&self) -> &str {
        self.poison.mark()
    }

    /// Returns the tables that could not be filled, with the server's error.
    #[must_use]
    pub fn unfilled(&self) -> &[(String, String)] {
        &self.unfilled
    }

    /// Returns how often the neighbour has read its tables so far.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.watch.rounds()
    }

    /// Changes the neighbour's rows on purpose, and expects the result from then on.
    ///
    /// # Errors
    ///
    /// Errors of the closure, and of reading the tables.
    pub async fn rewrite<E>(
        &mut self,
        change: impl AsyncFnOnce(&TenantDb) -> Result<(), E>,
    ) -> Result<(), Error>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut expected = self.watch.pause().await;
        change(&self.tenant.db).await.map_err(Error::from("changing the neighbour's rows"))?;
        let contents = kit::contents(&self.tenant.db, &self.tables).await;
        self.contents = contents.map_err(Error::from("reading the neighbour's tables"))?;
        expected.clone_from(&self.contents);
        Ok(())
    }

    /// Checks that data read by the test contains none of the neighbour's values.
    ///
    /// # Panics
    ///
    /// If it contains one.
    #[track_caller]
    pub fn assert_not_in(&self, read: impl AsRef<[u8]>) {
        if let Some(found) = self.poison.texts().iter().find(|text| contains(read.as_ref(), text)) {
            panic!("a value of the neighbour was read: {found:?}, of tenant {}", self.tenant.id);
        }
    }

    /// Stops the neighbour, and checks that the test has neither seen nor changed it.
    ///
    /// The neighbour is not restarted: a second call checks again, with fewer chances to find something.
    ///
    /// # Panics
    ///
    /// If it has, with the table or the response in question; or if the tables cannot be read.
    pub async fn assert_blind(&self) {
        let mut tasks = mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        tasks.shutdown().await;
        let problems = self.problems().await.unwrap_or_else(|error| {
            panic!("reading the tenants' tables at the end of the test: {error:?}")
        });
        assert!(
            problems.is_empty(),
            "tenant {} is not kept apart from the tenants of test {}:\n  - {}",
            self.tenant.id,
            self.tenant.world.test,
            problems.join("\n  - ")
        );
    }

    async fn problems(&self) -> Result<Vec<String>, Error> {
        let world: &World = &self.tenant.world;
        let mut problems: Vec<_> = self.watch.mishap().into_iter().collect();
        let failed = || "connecting to the database of the test";
        let mut conn = PgConnection::connect(&world.url()).await.map_err(Error::from(failed()))?;
        let contents = kit::contents(&self.tenant.db, &self.tables).await;
        let contents = contents.map_err(Error::from("reading its tables"))?;
        if contents != self.contents && problems.is_empty() {
            problems.push(watch::changed(&self.contents, &contents));
        }
        for schema in world.tested() {
            let found = kit::find(&mut conn, &schema, self.poison.texts()).await;
            for (table, row) in found.map_err(Error::from("searching the test's tables"))? {
                problems.push(format!("its values are in {schema}.{table}: {row}"));
            }
        }
        if let Some((what, text)) = world.read_with(self.poison.texts()) {
            problems.push(format!("its value {text:?} is in {what}"));
        }
        // Only the findings matter.
        drop(conn.close().await);
        Ok(problems)
    }
}

impl fmt::Debug for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neighbour")
            .field("id", self.id())
            .field("mark", &self.mark())
            .field("unfilled", &self.unfilled)
            .finish_non_exhaustive()
    }
}

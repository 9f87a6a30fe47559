use std::{fmt, sync::Arc, time::Duration};

use super::{MoveMethod, MoveProgress, conninfo::Conninfo};
use crate::{
    error::{Error, ErrorKind, OptionsError},
    migrate::Migrations,
};

pub(super) type OnProgress = dyn Fn(&MoveProgress<'_>) + Send + Sync;

/// Options for moving a tenant.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tenantry::moves::MoveOptions;
///
/// // Requests may wait for up to a minute, and the old copy is kept for a month.
/// let options = MoveOptions::default()
///     .max_pause(Duration::from_secs(60))
///     .keep(Duration::from_secs(30 * 24 * 3600));
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a mover gets them"]
pub struct MoveOptions {
    pub(super) method: Option<MoveMethod>,
    pub(super) max_pause: Duration,
    pub(super) keep: Duration,
    pub(super) verify: bool,
    pub(super) fence_tries: u32,
    pub(super) take_over_after: Duration,
    pub(super) conninfo: Option<Conninfo>,
    pub(super) migrations: Option<Migrations>,
    pub(super) on_progress: Option<Arc<OnProgress>>,
}

impl Default for MoveOptions {
    fn default() -> Self {
        Self {
            method: None,
            max_pause: Duration::from_secs(5),
            keep: Duration::from_secs(7 * 24 * 3600),
            verify: true,
            fence_tries: 5,
            take_over_after: Duration::from_secs(30),
            conninfo: None,
            migrations: None,
            on_progress: None,
        }
    }
}

impl MoveOptions {
    /// Sets how the rows get to the target. Default: logical replication where the servers allow it; a log of changes
    /// where rows leave, or get into, the tables of all tenants, if a copy would take more than a second or than
    /// [`max_pause`](Self::max_pause), and changes can be logged; otherwise a copy under the fence.
    pub fn method(mut self, method: MoveMethod) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets the time for which requests may have to wait. A move that is estimated to take longer is refused before
    /// anything is done. Default: 5 s, as long as a request waits for a connection by default: see
    /// [`acquire_timeout`](crate::PoolOptions::acquire_timeout).
    pub fn max_pause(mut self, limit: Duration) -> Self {
        self.max_pause = limit;
        self
    }

    /// Sets how long the schema is kept on the source, under another name, or the rows in the tables of all tenants,
    /// before [`sweep`](super::Mover::sweep) removes them. Default: 7 days.
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }

    /// Compares the content of all tables before the tenant is served on the target: the number of rows, and the sum
    /// of their hashes. After a copy under the fence, requests wait meanwhile, for about half of the time of the copy.
    /// With replication, the tenant is served meanwhile: writes wait for some milliseconds, until both servers show the
    /// same moment. With a log of changes, no write waits for it. Default: `true`.
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Sets how often the mover tries to lock the tenant's tables. Each try makes requests wait for at most 300 ms;
    /// a transaction that has written and stays open makes it fail. Default: 5, with growing pauses.
    pub fn fence_tries(mut self, tries: u32) -> Self {
        self.fence_tries = tries;
        self
    }

    /// Sets how long a mover may be silent before another process may [take over](super::Mover::take_over).
    /// Default: 30 s; at least 1 s.
    pub fn take_over_after(mut self, time: Duration) -> Self {
        self.take_over_after = time;
        self
    }

    /// Sets the connection string by which the target's server reaches the source's, as libpq reads it, such as
    /// `host=10.0.0.5 dbname=app user=mover password=…`. Default: host, port and database of the manager's own
    /// connection and the user of maintenance, with what
    /// [`replication_connection`](crate::ManagerBuilder::replication_connection) adds.
    ///
    /// The target stores it as part of a subscription until the move is over, where superusers can read it, and may
    /// log the statement that contains it.
    pub fn source_connection(mut self, conninfo: impl Into<String>) -> Self {
        self.conninfo = Some(Conninfo::new(conninfo.into()));
        self
    }

    /// Sets the migrations of tenants' schemas, which create the tables of a tenant that leaves those of
    /// [all tenants](crate::Isolation::row). Default: none, and such a move is refused.
    pub fn tenants(mut self, migrations: Migrations) -> Self {
        self.migrations = Some(migrations);
        self
    }

    /// Calls a closure at each stage, while rows are copied, and while the target catches up. It must not block. The first
    /// call says how the rows get to the target, and for how long requests are expected to wait.
    pub fn on_progress(mut self, tell: impl Fn(&MoveProgress<'_>) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(tell));
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = if self.fence_tries == 0 {
            OptionsError::new("fence_tries", "be at least 1")
        } else if self.take_over_after < Duration::from_secs(1) {
            OptionsError::new("take_over_after", "be at least 1 s")
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::Config, "checking the options of a move").with_source(wrong))
    }
}

impl fmt::Debug for MoveOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MoveOptions")
            .field("method", &self.method)
            .field("max_pause", &self.max_pause)
            .field("keep", &self.keep)
            .field("verify", &self.verify)
            .field("fence_tries", &self.fence_tries)
            .field("take_over_after", &self.take_over_after)
            .field("source_connection", &self.conninfo)
            .field("tenants", &self.migrations.is_some())
            .field("on_progress", &self.on_progress.is_some())
            .finish()
    }
}

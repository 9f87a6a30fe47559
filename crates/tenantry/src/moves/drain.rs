//! Moving all tenants of a server to others.

use std::{fmt, sync::Arc};

use futures_util::TryStreamExt;
use tokio::time::Instant;

use super::{MoveOptions, MovePlan, MoveReport, Mover};
use crate::{
    each::{EachFailure, EachOptions, EachOutcome, EachReport, visit_each},
    error::{Error, ErrorKind},
    fan_out::targets::Named,
    provision::Provisioner,
    servers::TenantsByServer,
    tenant::{MAIN, NoServer, TenantId, TenantRecord, TenantState},
};

/// Failed moves after which no further one is begun.
const MAX_FAILURES: usize = 3;

/// Options for [draining](Mover::drain) a server.
///
/// # Examples
///
/// ```
/// use tenantry::moves::{DrainOptions, MoveOptions};
///
/// let options = DrainOptions::default()
///     .to(["eu-2", "eu-3"])
///     .at_once(2)
///     .moves(MoveOptions::default().verify(false));
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a mover gets them"]
pub struct DrainOptions {
    to: Vec<String>,
    moves: MoveOptions,
    each: EachOptions,
}

impl Default for DrainOptions {
    fn default() -> Self {
        let each = EachOptions::default().concurrency(1).max_failures(MAX_FAILURES);
        Self { to: Vec::new(), moves: MoveOptions::default(), each }
    }
}

impl DrainOptions {
    /// Moves the tenants to these servers, each to the one with the fewest tenants relative to its
    /// [weight](crate::ServerOptions::weight). Default: the manager's
    /// [`PlacementPolicy`](crate::PlacementPolicy) chooses, as for new tenants.
    pub fn to<I>(mut self, servers: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.to = servers.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how many tenants move at the same time, at least 1. Default: 1. They are fewer if a server's connections for
    /// maintenance do not suffice: a move takes up to three on the manager's own server.
    ///
    /// Each move with replication takes a replication slot and a WAL sender on the source, and as many more as tables are
    /// copied at a time (`max_sync_workers_per_subscription`, 2 by default); and as many workers on the target
    /// (`max_logical_replication_workers`, 4 by default). A tenant for which they do not suffice is copied while its
    /// requests wait, if that is [short enough](MoveOptions::max_pause).
    pub fn at_once(mut self, tenants: usize) -> Self {
        self.each = self.each.concurrency(tenants);
        self
    }

    /// Sets the number of failed moves after which no further one is begun, at least 1. Default: 3.
    pub fn max_failures(mut self, tenants: usize) -> Self {
        self.each = self.each.max_failures(tenants);
        self
    }

    /// Begins no further move once this future completes. Those that have begun are completed.
    pub fn stop_when(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.each = self.each.stop_when(signal);
        self
    }

    /// Sets the options of each move.
    pub fn moves(mut self, options: MoveOptions) -> Self {
        self.moves = options;
        self
    }
}

impl fmt::Debug for DrainOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainOptions")
            .field("to", &self.to)
            .field("moves", &self.moves)
            .field("each", &self.each)
            .finish()
    }
}

/// The tenants of a server, each with where it goes to.
struct Leaving {
    /// The server.
    from: Arc<str>,
    named: Vec<Named>,
    tenants: Vec<(TenantRecord, Result<Arc<str>, NoServer>)>,
}

impl Mover {
    /// Says where each tenant of a server would move, what prevents its move, and how long its requests would wait.
    /// Changes nothing.
    ///
    /// The report lists every tenant of the server; a suspended one is skipped. A plan with
    /// [obstacles](MovePlan::obstacles) is in the report as done.
    ///
    /// # Errors
    ///
    /// Like [`drain`](Self::drain).
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn plan_drain(
        &self,
        server: &str,
        options: &DrainOptions,
    ) -> Result<EachReport<MovePlan>, Error> {
        let leaving = self.leaving(server, options).await?;
        let plan =
            |id, to: Arc<str>| async move { self.plan::<TenantId>(id, &to, &options.moves).await };
        let each = self.within_budgets(&leaving, options.each.clone());
        Ok(self.each_of(&leaving, &each, plan).await)
    }

    /// Moves all tenants of a server to others, one after the other unless [`at_once`](DrainOptions::at_once) says
    /// otherwise. Each is moved as by [`move_tenant`](Self::move_tenant).
    ///
    /// The server must get no new tenants: set [`draining`](crate::ServerOptions::draining), or
    /// [exclude](crate::PlacementPolicy::except) it from the policy, in all processes.
    ///
    /// The report lists every tenant that the server had at the beginning: a failed move, which is undone, neither
    /// ends the run nor hides another one, until there are [too many](DrainOptions::max_failures). Suspended tenants
    /// are skipped; resume them to move them. So are those that another process has moved meanwhile. Calling it again
    /// moves what is left.
    ///
    /// # Errors
    ///
    /// [`Placement`](ErrorKind::Placement) if there is no such server, it still gets new tenants, or a named target
    /// does not exist or drains; [`Config`](ErrorKind::Config) if it is itself named as a target, or an option is
    /// invalid; and what listing the catalog returns. A tenant for which the policy has no other server is a failure
    /// in the report.
    ///
    /// # Cancel safety
    ///
    /// When dropped, the moves that have begun are undone or completed in the background, as for
    /// [`move_tenant`](Self::move_tenant). Use [`stop_when`](DrainOptions::stop_when) to stop between two moves.
    pub async fn drain(
        &self,
        server: &str,
        options: DrainOptions,
    ) -> Result<EachReport<MoveReport>, Error> {
        let leaving = self.leaving(server, &options).await?;
        let moves = &options.moves;
        let go = |id, to: Arc<str>| async move {
            self.move_tenant::<TenantId>(id, &to, moves.clone()).await
        };
        let each = self.within_budgets(&leaving, options.each.clone());
        Ok(self.each_of(&leaving, &each, go).await)
    }

    /// Lets no more tenants move at once than the servers have connections for maintenance: a move that compares rows takes
    /// two on its source, one on its target, and one on the manager's server, to record its stages and tell that it is
    /// alive.
    fn within_budgets(&self, leaving: &Leaving, each: EachOptions) -> EachOptions {
        let goes_to = |name: &str| {
            leaving.tenants.iter().any(|(_, to)| to.as_ref().is_ok_and(|to| **to == *name))
        };
        let most = self.fleet().servers().all().map(|(name, server)| {
            let of_source = if *name == *leaving.from { 2 } else { 0 };
            let needed = of_source + usize::from(goes_to(name)) + usize::from(*name == *MAIN);
            // Of a shared budget, the process has as much as it needs at the moment.
            let places = match server.shared_budget() {
                Some(_) => server.options().max_connections,
                None => server.places_for_upkeep(),
            };
            places.checked_div(needed).unwrap_or(usize::MAX)
        });
        let most = most.min().unwrap_or(1).max(1);
        let asked = each.concurrency;
        each.concurrency(asked.min(most))
    }

    /// Lists the tenants of a server, and chooses where each goes to.
    async fn leaving(&self, server: &str, options: &DrainOptions) -> Result<Leaving, Error> {
        let DrainOptions { to, moves, each } = options;
        each.check("draining a server", "at_once")?;
        moves.check()?;
        let fleet = self.fleet();
        let new_tenants = fleet.servers().new_tenants();
        let provisioner = Provisioner::new(fleet.clone());
        provisioner.check_known(server)?;
        if !new_tenants.never_go_to(server) {
            let how = match server {
                MAIN => "exclude it from the placement policy".to_owned(),
                _ => format!(
                    "mark it as `draining` in its options (`servers.{server}.draining` on the command line), or exclude it \
                     from the placement policy"
                ),
            };
            let attempted = format!("draining server {server}: it still gets new tenants; {how}");
            return Err(Error::new(ErrorKind::Placement, attempted));
        }
        for target in to {
            provisioner.check_server(target)?;
            if target == server {
                let attempted = format!("draining server {server}: it is among the targets");
                return Err(Error::new(ErrorKind::Config, attempted));
            }
        }
        let began = Instant::now();
        let (mut tenants, mut counts) = (Vec::new(), TenantsByServer::default());
        let mut listed = fleet.stream();
        while let Some(record) = listed.try_next().await? {
            counts.add(&record);
            if fleet.home_of(&record).is_ok_and(|home| home.server() == server) {
                tenants.push(record);
            }
        }
        new_tenants.set_count(counts, began.elapsed());
        let chosen = new_tenants.spread(&tenants, to, fastrand::f64);
        let named = tenants.iter().map(|record| Named::of(fleet, record)).collect();
        Ok(Leaving {
            from: server.into(),
            named,
            tenants: tenants.into_iter().zip(chosen).collect(),
        })
    }

    /// Works on each tenant that is not suspended, and is there still when its turn comes.
    async fn each_of<T, F, W>(
        &self,
        leaving: &Leaving,
        each: &EachOptions,
        work: F,
    ) -> EachReport<T>
    where
        F: Fn(TenantId, Arc<str>) -> W,
        W: Future<Output = Result<T, Error>>,
    {
        let fleet = self.fleet();
        let work = &work;
        let visit = |place: usize| async move {
            let (record, to) = &leaving.tenants[place];
            if record.state == TenantState::Suspended {
                return EachOutcome::Skipped;
            }
            if self.has_left(&record.id, &leaving.from).await {
                return EachOutcome::Skipped;
            }
            let done = match to {
                Ok(to) => work(record.id.clone(), Arc::clone(to)).await,
                Err(none) => Err(Provisioner::new(fleet.clone()).no_server(none)),
            };
            match done {
                Ok(value) => EachOutcome::Done { value },
                Err(error) => EachOutcome::Failed { error: EachFailure::of(error) },
            }
        };
        visit_each(fleet, each, &leaving.named, visit).await
    }

    /// Returns `true` if a tenant is on another server by now.
    async fn has_left(&self, id: &TenantId, server: &str) -> bool {
        let now = self.fleet().record(id).await;
        now.is_ok_and(|now| self.fleet().home_of(&now).is_ok_and(|home| home.server() != server))
    }
}

//! The environment of the attacks: the scratch tenants, over a pool of one or of several connections.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    finding::Stop,
    look::{Look, On},
    mark::Mark,
    options::ProofOptions,
    row_tenants::{OfRows, RowTenants},
};
use crate::{
    db::TenantDb,
    error::Error,
    fleet::Fleet,
    pool::Lease,
    rows::RowsReport,
    tenant::{TenantId, TenantRecord},
};

/// The timeout of a statement that would otherwise hang an attack.
pub(super) const BRIEFLY: Duration = Duration::from_secs(2);

/// The common context of all attacks.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    pub(super) fleet: Fleet,
    pub(super) mark: &'a Mark,
    pub(super) options: &'a ProofOptions,
    pub(super) seed: u64,
    /// The statement with which a tenant reads its own row.
    own_row: &'static str,
    /// How many connections the pool has.
    pub(super) connections: usize,
    pub(super) pids: &'a Mutex<BTreeSet<i32>>,
    pub(super) acme: TenantDb,
    pub(super) globex: TenantDb,
    /// The tenants that are kept apart by row, if the application has such.
    rows: Option<Rows<'a>>,
    /// Leaks to another tenant, regardless of how the attack ends.
    leaks: Mutex<Vec<String>>,
}

/// Tenants that are kept apart by row.
#[derive(Debug)]
struct Rows<'a> {
    tenants: Result<RowTenants, String>,
    of: &'a OfRows,
}

/// The server processes that have answered.
pub(super) type Pids = Arc<Mutex<BTreeSet<i32>>>;

impl<'a> Ground<'a> {
    pub(super) fn new(
        fleet: Fleet,
        mark: &'a Mark,
        options: &'a ProofOptions,
        seed: u64,
        pids: &'a Mutex<BTreeSet<i32>>,
        own_row: &'static str,
        rows: Option<&'a OfRows>,
    ) -> Result<Self, Error> {
        let connections = fleet.server().max_connections();
        let acme = handle(&fleet, mark, "acme")?;
        let globex = handle(&fleet, mark, "globex")?;
        let rows = rows.map(|of| Rows { tenants: of.tenants(&fleet, mark), of });
        Ok(Self {
            fleet,
            mark,
            options,
            seed,
            own_row,
            connections,
            pids,
            acme,
            globex,
            rows,
            leaks: Mutex::default(),
        })
    }

    /// Returns a handle of a scratch tenant, without asking the catalog.
    pub(super) fn tenant(&self, id: &str) -> Result<TenantDb, Error> {
        handle(&self.fleet, self.mark, id)
    }

    /// Returns the scratch tenants that are kept apart by row.
    pub(super) fn rows(&self) -> Result<&RowTenants, Stop> {
        self.rows.as_ref().ok_or_else(no_rows)?.tenants.as_ref().map_err(Stop::new)
    }

    /// Returns the verification of the application's own tables.
    pub(super) fn verified(&self) -> Result<&RowsReport, Stop> {
        self.rows.as_ref().ok_or_else(no_rows)?.of.verified.as_ref().map_err(Stop::new)
    }

    pub(super) async fn look(&self, db: &TenantDb, more: &'static str) -> Result<Look, Stop> {
        Look::take(On::Handle(db), self.own_row, more, self.pids).await
    }

    pub(super) async fn look_on(
        &self,
        lease: &mut Lease,
        more: &'static str,
    ) -> Result<Look, Stop> {
        Look::take(On::Lease(lease), self.own_row, more, self.pids).await
    }

    /// Records a leak to another tenant.
    pub(super) fn leak(&self, what: impl Into<String>) {
        self.leak_all([what.into()]);
    }

    pub(super) fn leak_all(&self, what: impl IntoIterator<Item = String>) {
        self.leaks.lock().extend(what);
    }

    pub(super) fn take_leaks(&self) -> Vec<String> {
        std::mem::take(&mut self.leaks.lock())
    }

    /// Returns random numbers that depend only on the seed and the purpose.
    pub(super) fn random(&self, purpose: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_add(purpose << 32))
    }

    /// Records which server process responded.
    pub(super) fn met(&self, pid: Option<i32>) {
        self.pids.lock().extend(pid);
    }
}

/// Why an attack on rows cannot be run.
fn no_rows() -> Stop {
    Stop::new("no tenant is isolated by row")
}

fn handle(fleet: &Fleet, mark: &Mark, id: &str) -> Result<TenantDb, Error> {
    let db = fleet.in_the_making(&TenantRecord::new(TenantId::parse(id)?), &mark.name(id)?)?;
    // Attacks hold several connections at once.
    db.occupant().let_nest();
    Ok(db)
}

//! Drift detection: finds tenants whose schemas differ from a reference.
//!
//! Two schemas are equal if PostgreSQL's `pg_dump` writes the same output for them, apart from their names. The
//! server computes a fingerprint of every schema, a few hundred per statement; only one schema of each group of equal
//! ones is read in full.
//!
//! ```text
//!   fingerprints of all schemas ─▶ groups of equal ones ─▶ details of one of each ─▶ compare ─▶ report
//!   (in the server, set-based)                             (not of the reference's)             clusters, findings
//! ```

mod besides;
mod diff;
mod matching;
mod reference;
mod report;
mod run;
mod text;
mod watch;

pub(crate) use besides::references_of;
pub use diff::ObjectDiff;
pub use matching::Matching;
pub use reference::Reference;
pub use report::{
    DriftCluster, DriftReport, DriftStatus, Hidden, ReferenceName, RowTables, TenantDrift,
};

use crate::{
    error::Error,
    fleet::{Fleet, while_alive},
    migrate::Schemas,
    reading,
    schema::{Repair, SchemaModel},
};

/// Compares tenants' schemas with a reference.
///
/// Created by [`TenantManager::drift`](crate::TenantManager::drift). It takes its connections from the manager's
/// budget: three at most. By default, it compares all tenants with the first that the catalog lists. Suspended
/// tenants are included. Cloning is cheap.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
/// let report = manager.drift().against_tenant("acme").run().await?;
/// println!("{report}");
/// for cluster in &report.clusters {
///     println!("{} tenants: {:?}", cluster.tenants.len(), cluster.findings);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is run"]
pub struct Drift {
    fleet: Fleet,
    schemas: Schemas,
    reference: Reference,
    include: Vec<Matching>,
    ignore: Vec<Matching>,
}

/// What Tenantry makes beside the migrations: records of seeds and of keys that were given up, and the triggers that keep
/// the rows of a tenant that has moved.
const OWN: [&str; 5] = [
    "_tenantry_seeds",
    "_tenantry_row_seeds",
    "_tenantry_retired_keys",
    "tenantry_fence_*",
    "~tenantry_fence_*",
];

impl Drift {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            schemas: Schemas::AllTenants,
            reference: Reference::First,
            include: Vec::new(),
            ignore: OWN.map(Matching::named).into(),
        }
    }

    /// Sets the reference of the comparison. Default: [`Reference::First`].
    pub fn against(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }

    /// Uses a tenant as the reference.
    pub fn against_tenant(self, tenant: impl AsRef<str>) -> Self {
        self.against(Reference::Tenant(tenant.as_ref().into()))
    }

    /// Sets which tenants are compared. Default: all.
    pub fn of(mut self, schemas: Schemas) -> Self {
        self.schemas = schemas;
        self
    }

    /// Compares only objects and attributes that match this rule. Can be called several times; one matching rule is
    /// enough.
    pub fn include(mut self, matching: Matching) -> Self {
        self.include.push(matching);
        self
    }

    /// Ignores objects and attributes that match this rule: differences, facts beyond the dump and references across
    /// tenants. The report states how many findings were hidden. Tenantry's own records, and the
    /// triggers of a tenant that has moved, are always ignored.
    pub fn ignore(mut self, matching: Matching) -> Self {
        self.ignore.push(matching);
        self
    }

    /// Runs the comparison, and reports on every tenant.
    ///
    /// # Errors
    ///
    /// If the reference is not available: the tenant is unknown, its schema cannot be read, or the migrations fail.
    /// Also if the tenants cannot be listed, the shared schema cannot be searched for references, or the database
    /// cannot be reached. A tenant that cannot be read is an entry of the report, not an error.
    ///
    /// # Cancel safety
    ///
    /// If dropped, a scratch schema in which migrations were being applied can be left behind. The next comparison
    /// with migrations removes it, as does [`fill_spares`](crate::provision::Provisioner::fill_spares).
    pub async fn run(&self) -> Result<DriftReport, Error> {
        run::run(self).await
    }

    /// Generates the SQL that makes a tenant equal to the reference while keeping its rows, without running it.
    /// Differences that the rules hide are not repaired.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run), and if the tenant is unknown or its schema cannot be read.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(manager: tenantry::TenantManager) -> Result<(), tenantry::Error> {
    /// let repair = manager.drift().against_tenant("acme").repair("globex").await?;
    /// for step in &repair.steps {
    ///     println!("{} {:?}", step.sql, step.hazards);
    /// }
    /// std::fs::write("repair.sql", repair.to_string()).expect("the disk has room");
    /// # Ok(()) }
    /// ```
    pub async fn repair(&self, tenant: impl AsRef<str>) -> Result<Repair, Error> {
        run::repair(self, &tenant.as_ref().into()).await
    }

    /// Reads everything in a tenant's schema.
    ///
    /// # Errors
    ///
    /// If the tenant is unknown, its schema cannot be read, or the database cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn introspect(&self, tenant: impl AsRef<str>) -> Result<SchemaModel, Error> {
        let (fleet, subject) = reading::subject_named(&self.fleet, &tenant.as_ref().into()).await?;
        while_alive(&fleet, reading::read(&fleet, &subject)).await
    }
}

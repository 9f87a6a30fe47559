//! Drift: finds tenants whose schemas are not what they should be.
//!
//! Two schemas are alike when PostgreSQL's `pg_dump` shows them alike, but for their names. The server computes a
//! fingerprint of every schema, a few hundred in a statement; only one schema of each group of equal ones is read
//! in full.
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
pub use report::{DriftCluster, DriftReport, DriftStatus, Hidden, ReferenceName, TenantDrift};

use crate::{
    error::Error,
    fleet::Fleet,
    migrate::Schemas,
    reading,
    schema::{Repair, SchemaModel},
};

/// Compares the schemas of tenants with a reference.
///
/// It is made by [`TenantManager::drift`](crate::TenantManager::drift) and takes its connections from the manager's
/// budget: three at most. Without other wishes it compares all tenants with the first that the catalog lists.
/// Suspended tenants are compared, too. Cloning is cheap.
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

impl Drift {
    pub(crate) fn new(fleet: Fleet) -> Self {
        Self {
            fleet,
            schemas: Schemas::AllTenants,
            reference: Reference::First,
            include: Vec::new(),
            // A tenant has it once something was seeded, which no migration says.
            ignore: vec![Matching::named("_tenantry_seeds")],
        }
    }

    /// Sets what the tenants are compared with. The default is [`Reference::First`].
    pub fn against(mut self, reference: Reference) -> Self {
        self.reference = reference;
        self
    }

    /// Compares with a tenant.
    pub fn against_tenant(self, tenant: impl AsRef<str>) -> Self {
        self.against(Reference::Tenant(tenant.as_ref().into()))
    }

    /// Sets which tenants are compared. The default is all.
    pub fn of(mut self, schemas: Schemas) -> Self {
        self.schemas = schemas;
        self
    }

    /// Looks at nothing but objects and attributes like these. May be called several times; one that matches is
    /// enough.
    pub fn include(mut self, matching: Matching) -> Self {
        self.include.push(matching);
        self
    }

    /// Looks away from objects and attributes like these, be it a difference, a fact beyond the dump or a reference
    /// across tenants. The report says how many findings that has hidden. The table in which Tenantry records seeds is
    /// always among them.
    pub fn ignore(mut self, matching: Matching) -> Self {
        self.ignore.push(matching);
        self
    }

    /// Compares, and reports on every tenant.
    ///
    /// # Errors
    ///
    /// When there is no reference: the tenant is not known, its schema cannot be read, the migrations fail. When
    /// the tenants cannot be listed, the shared schema cannot be searched for references, or the database cannot be
    /// reached. A tenant that cannot be read is an entry of the report.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a scratch schema in which migrations were being applied may be left. The next comparison
    /// with migrations removes it, as does [`fill_spares`](crate::provision::Provisioner::fill_spares).
    pub async fn run(&self) -> Result<DriftReport, Error> {
        run::run(self).await
    }

    /// Works out the SQL that brings a tenant to the reference with its rows kept, and runs none of it. What the rules
    /// hide stays as it is.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run), and when the tenant is not known or its schema cannot be read.
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

    /// Reads everything that the schema of a tenant holds.
    ///
    /// # Errors
    ///
    /// When the tenant is not known, its schema cannot be read, or the database cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// Safe.
    pub async fn introspect(&self, tenant: impl AsRef<str>) -> Result<SchemaModel, Error> {
        let subject = reading::subject_named(&self.fleet, &tenant.as_ref().into()).await?;
        reading::read(&self.fleet, &subject).await
    }
}

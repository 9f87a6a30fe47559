//! Creates a tenant from an archive.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    CreateOptions, Provisioner,
    archived::Archived,
    commit::roll_back,
    distributed::{distribute, keep_plain},
    new_tenant::New,
};
use crate::{
    catalog::Site,
    clone::{CloneOptions, Copied, Copying, Ends, Packed, Plan},
    db::TenantTransaction,
    error::{Error, ErrorKind},
    fleet::Fleet,
    migrate::Attempts,
    pool::grant,
    reading::subject_of,
    schema::read::Subject,
    sql::Sql,
    tenant::{IsolationKind, TenantId, TenantRecord},
};

/// A tenant that was created from an archive.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) site: Site,
    pub(crate) copied: Copied,
}

impl Provisioner {
    /// Creates a tenant with a schema from files. Hooks run; migrations and seeds do not. If this fails or is dropped,
    /// the tenant does not exist, or is not served until its creation is resumed or removed.
    pub(crate) async fn import(
        &self,
        id: &TenantId,
        packed: &Packed,
        create: CreateOptions,
        options: &CloneOptions,
    ) -> Result<Imported, Error> {
        let began = Instant::now();
        let imported = Box::pin(self.import_now(id, packed, create, options)).await;
        let outcome = if imported.is_ok() { "import" } else { "failed" };
        self.fleet.server().observer.meters.created(outcome, began.elapsed());
        // Cached lookups may say that the tenant does not exist.
        self.fleet.forget(id);
        imported.map_err(|error| error.with_tenant_unless_named(id))
    }

    async fn import_now(
        &self,
        id: &TenantId,
        packed: &Packed,
        create: CreateOptions,
        options: &CloneOptions,
    ) -> Result<Imported, Error> {
        let isolation = self.fleet.lookup().isolations().by_default().kind();
        let asked = (isolation != IsolationKind::Schema).then_some(IsolationKind::Schema);
        let create = CreateOptions { isolation: asked, ..create };
        let record = self.record_of_new(id, &create).await?;
        refuse_other_kinds(&self.fleet, &record)?;
        let site = self.site_of_new(&record, &create)?;
        if site.home.is_managers() {
            self.refuse_name_in_use(&site.schema).await?;
        }
        let there = self.at(&site.home);
        let role = there.fleet.role_of(&site).await?;
        self.at(&site.home.of_server()).refuse_missing_role(role.as_ref()).await?;
        let to = subject_of(&there.fleet, &site).await?;
        refuse_missing_role(packed, &to)?;
        let archived = Archived { packed, options, copied: Mutex::new(None) };
        let new = New {
            provisioner: self,
            record: &record,
            site: &site,
            role: role.as_ref(),
            options: &create,
            archived: Some(&archived),
        };
        if let Err(error) = new.import_with_retries().await {
            return Err(self.name_missing_right(error).await);
        }
        self.fleet.servers().new_tenants().count_created(&record);
        let copied = archived.copied.into_inner();
        let copied = copied.ok_or_else(|| {
            let attempted = "another process has completed its creation, from its own archive";
            Error::new(ErrorKind::TenantExists, attempted)
        })?;
        Ok(Imported { site, copied })
    }
}

/// Refuses a tenant that would not have a schema in the database of its server's URL.
fn refuse_other_kinds(fleet: &Fleet, record: &TenantRecord) -> Result<(), Error> {
    let kind = fleet.lookup().isolations().kind_of(record);
    if kind == IsolationKind::Schema {
        return Ok(());
    }
    let attempted = format!(
        "importing an archive: it becomes a tenant with a schema, and this one would be isolated by {kind}, as its tier or \
         the catalog says"
    );
    Err(Error::new(ErrorKind::Placement, attempted))
}

/// Refuses to create a tenant without a role from one that had one: privileges and ownership would get lost.
fn refuse_missing_role(packed: &Packed, to: &Subject) -> Result<(), Error> {
    if packed.model.role.is_none() || to.role.is_some() {
        return Ok(());
    }
    let attempted = "the archived tenant had its own role, which owns or uses its objects: name one with \
                     ImportOptions::role";
    Err(Error::new(ErrorKind::Config, attempted))
}

impl New<'_> {
    /// Creates the tenant, and retries after collisions with other transactions.
    async fn import_with_retries(&self) -> Result<(), Error> {
        let mut attempts = Attempts::default();
        loop {
            let made = match self.site.home.is_managers() {
                true => self.import_or_take_over().await,
                false => Box::pin(self.create_elsewhere()).await.map(drop),
            };
            if !attempts.go_on_after(&made).await {
                return made;
            }
        }
    }

    /// Creates the tenant where the catalog is. The remains of an interrupted creation are removed first.
    async fn import_or_take_over(&self) -> Result<(), Error> {
        match self.import_at_once().await {
            Err(error) if error.kind() == ErrorKind::TenantExists => {
                if !self.provisioner.remove_unfinished(&self.site.schema).await? {
                    return Err(error);
                }
                self.import_at_once().await
            }
            made => made,
        }
    }

    async fn import_at_once(&self) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        let made = async {
            self.unpack(&mut tx).await?;
            self.fill(&mut tx).await
        };
        match made.await {
            Ok(_) => self.provisioner.commit(tx).await,
            Err(error) => Err(roll_back(tx, error).await),
        }
    }

    /// Creates the schema in the open transaction.
    pub(super) async fn unpack(&self, tx: &mut TenantTransaction) -> Result<(), Error> {
        let Self { provisioner, site, role, archived, .. } = self;
        let Some(Archived { packed, options, copied }) = archived else { return Ok(()) };
        let there = provisioner.fleet.at(&site.home);
        keep_plain(&there, tx).await?;
        let to = subject_of(&there, site).await?;
        let plan = Plan::new(&packed.model, options, &site.schema, to.role.as_ref());
        let plan = plan.map_err(|wrong| {
            Error::new(ErrorKind::Archive, "planning the import").with_source(wrong)
        })?;
        let from = packed.subject()?;
        let ends = Ends { from: &from, model: &packed.model, to: &to };
        let done = Copying::new(ends, &plan, options, None).unpack(tx, packed).await?;
        if let Some(role) = role {
            let mut sql = Sql::default();
            grant(&mut sql, &site.schema, role);
            sqlx::raw_sql(sql.finish()).execute(&mut **tx).await?;
        }
        distribute(&there, tx, &site.schema).await?;
        *copied.lock() = Some(done);
        Ok(())
    }
}

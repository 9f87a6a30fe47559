use std::time::{Duration, Instant, SystemTime};

use tenantry::{
    ErrorKind, FixedCatalog, Ident, TenantId, TenantRecord, TenantState,
    clone::{CloneOptions, CloneReport},
    provision::{DropOptions, Provisioner},
};
use tokio::time::sleep;

use super::Scratch;
use crate::{context::Context, failure::Failure, output::Progress};

/// How long to wait for the name of a tenant that was just retired, and how often to retry.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Connections to the scratch database.
const CONNECTIONS: usize = 3;

/// Turns the contents of the scratch database into a tenant.
pub(super) struct Clone<'a> {
    pub(super) on: &'a Context,
    pub(super) scratch: &'a Scratch,
    pub(super) id: &'a TenantId,
    pub(super) schema: &'a Ident,
    pub(super) role: Option<&'a str>,
}

impl Clone<'_> {
    /// Creates the tenant, replacing an existing one: that one is renamed first, and dropped on success or renamed
    /// back on failure.
    pub(super) async fn make(
        &self,
        existing: Option<&TenantRecord>,
        progress: &Progress,
    ) -> Result<CloneReport, Failure> {
        let Some(old) = existing else {
            let clone = self.clone(None, progress);
            return self.on.interruptible("no tenant was created", clone).await;
        };
        let provisioner = self.on.manager()?.provisioner();
        let aside = aside()?;
        provisioner.rename(self.id.clone(), aside.clone()).await?;
        let clone = self.clone(Some(old), progress);
        let made = self.on.interruptible("the old tenant is unchanged", clone).await;
        let made = match made {
            Ok(made) => made,
            Err(failure) => return Err(self.put_back(&provisioner, &aside, failure).await),
        };
        if old.state == TenantState::Suspended {
            provisioner.suspend(self.id.clone()).await?;
        }
        progress.say("dropping the old tenant");
        let dropped =
            provisioner.drop_tenant(aside.clone(), aside.as_str(), DropOptions::default());
        if let Err(error) = dropped.await {
            self.on.output.warn(format_args!(
                "the old tenant remains as {aside}: {error}; drop it with `{} tenant drop {aside}`",
                self.on.program()
            ));
        }
        Ok(made)
    }

    async fn clone(
        &self,
        old: Option<&TenantRecord>,
        progress: &Progress,
    ) -> Result<CloneReport, Failure> {
        let record = TenantRecord::new(self.id.clone()).container(self.schema.clone());
        let source = self.on.settings.builder_at(&self.scratch.connection.url())?;
        let source =
            source.max_connections(CONNECTIONS).catalog(FixedCatalog::new([record])).build()?;
        let made = self.clone_from(&source.provisioner(), old, progress).await;
        source.close_within(Duration::from_secs(1)).await;
        made
    }

    async fn clone_from(
        &self,
        source: &Provisioner,
        old: Option<&TenantRecord>,
        progress: &Progress,
    ) -> Result<CloneReport, Failure> {
        let mut options = CloneOptions::default().data(true);
        if let Some(old) = old {
            options = options.attributes(old.attributes.clone());
        }
        let given = self.role.map(Ident::parse).transpose()?;
        if let Some(role) = given.or_else(|| old.and_then(|old| old.role.clone())) {
            options = options.role(role);
        }
        let shown = progress.clone();
        let options = options.on_progress(move |step| shown.say(&step.to_string()));
        let to = self.on.manager()?.provisioner();
        let began = Instant::now();
        loop {
            let clone =
                to.clone_tenant_from(source, self.id.clone(), self.id.clone(), options.clone());
            match clone.await {
                Err(error)
                    if error.kind() == ErrorKind::NameInUse && began.elapsed() < PATIENCE =>
                {
                    progress.say("waiting until the name is free");
                    sleep(PAUSE).await;
                }
                other => return Ok(other?),
            }
        }
    }

    async fn put_back(
        &self,
        provisioner: &Provisioner,
        aside: &TenantId,
        failure: Failure,
    ) -> Failure {
        let began = Instant::now();
        loop {
            match provisioner.rename(aside.clone(), self.id.clone()).await {
                Ok(()) => return failure,
                Err(error)
                    if error.kind() == ErrorKind::NameInUse && began.elapsed() < PATIENCE =>
                {
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    return Failure::new(format!(
                        "{failure}\nand the old tenant is still called {aside}: {error}"
                    ))
                    .hint(format!(
                        "run `{} tenant rename {aside} {}`",
                        self.on.program(),
                        self.id
                    ));
                }
            }
        }
    }
}

/// Returns an id for a tenant that is set aside.
fn aside() -> Result<TenantId, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(TenantId::parse(&format!("replaced-{}", now.as_millis()))?)
}

mod archived;
mod clone;
mod input;
mod report;
mod rows;
mod scratch;

use std::{path::PathBuf, time::Instant};

use clap::Args;
use tenantry::{ErrorKind, TenantId, TenantRecord, clone::CloneReport, outline::ServerOutline};

pub(super) use self::report::Restored;
use self::{clone::Clone, input::Input, report::RestoreReport, scratch::Scratch};
use super::{Ended, shell::parse};
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Confirm, Progress},
    own_schema::own_schema,
    postgres::Archive,
    settings::key,
};

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(
    after_help = "Restores the dump into a scratch database on the same server, and copies it from there into the new \
                        tenant in one transaction, under any id. The scratch database is always removed. The role must be \
                        allowed to create databases.\n\n\
                        The rows of a tenant that is isolated by row go into the tables of all tenants, in one \
                        transaction, without a scratch database."
)]
pub(crate) struct Restore {
    /// The tenant to create; its id can differ from the dumped one
    #[arg(value_name = "TENANT")]
    id: String,
    /// Dump file, as written by `tenantry dump`
    #[arg(long, short, value_name = "FILE")]
    input: PathBuf,
    /// Replace an existing tenant, which is dropped once the new one is complete; or all rows of one isolated by row
    #[arg(long)]
    replace: bool,
    /// Draw new ids where they are unique among all tenants; for rows beside those of the dumped tenant
    #[arg(long)]
    new_ids: bool,
    /// Key of a new tenant that is isolated by row [default: its id]
    #[arg(long)]
    key: Option<String>,
    /// Role of its sessions
    #[arg(long)]
    role: Option<String>,
    /// Make the connecting role the owner of all objects
    #[arg(long)]
    no_owner: bool,
    /// Omit privileges
    #[arg(long)]
    no_acl: bool,
    /// Do not copy the shared schema into the scratch database; for dumps that do not refer to it
    #[arg(long)]
    no_shared: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Restore {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let began = Instant::now();
        let id = parse(&self.id)?;
        if input::look(&self.input)? == Input::Rows {
            return self.restore_rows(on, &id).await;
        }
        if self.new_ids || self.key.is_some() {
            let what = format!("{} is the dump of a schema", self.input.display());
            return Err(Failure::new(what).hint("leave --new-ids and --key out: they are for rows"));
        }
        let archive = Archive::read(&self.input)?;
        let shared = on.settings.text(&key::SHARED_SCHEMA).unwrap_or_default();
        let schema = archived::schema(&archive, shared)?;
        let connection = on.upkeep_connection()?;
        let progress = on.output.progress("restore");
        progress.say("inspecting the server");
        let checked = self.check(on, &id, &archive);
        let (server, existing) = on.interruptible("nothing was restored", checked).await?;
        if existing.is_some() {
            let what = format!("replacing tenant {id} with all its data");
            self.confirm.typed(&what, id.as_str())?;
        }
        let created = Scratch::create(&connection);
        let scratch = on.interruptible("nothing was restored", created).await?;
        let clone =
            Clone { on, scratch: &scratch, id: &id, schema: &schema, role: self.role.as_deref() };
        let made = self.make(&clone, &archive, &server, existing.as_ref(), &progress).await;
        let removed = scratch.remove().await;
        drop(progress);
        let made = made?;
        if let Err(failure) = removed {
            on.output.warn(failure);
        }
        let replaced = existing.is_some();
        let report = RestoreReport::new(&archive, &schema, server, replaced, made, began);
        let ended = if report.has_remarks() { Exit::Warnings } else { Exit::Fine };
        let restored = Restored::Schema(report);
        on.output.report(&restored, || restored.text())?;
        Ok(ended)
    }

    /// Fills the scratch database, and turns its contents into the tenant.
    async fn make(
        &self,
        clone: &Clone<'_>,
        archive: &Archive,
        server: &ServerOutline,
        existing: Option<&TenantRecord>,
        progress: &Progress,
    ) -> Result<CloneReport, Failure> {
        let Clone { on, scratch, .. } = clone;
        let filled = async {
            let mut missed = None;
            if !self.no_shared {
                progress.say("copying the shared schema");
                missed = scratch.copy_shared(on, server).await?;
            }
            progress.say("restoring into a scratch database");
            let flags = [(self.no_owner, "--no-owner"), (self.no_acl, "--no-acl")];
            let ran = scratch.restore(archive, server, &flags, |table| progress.say(table)).await;
            ran.map_err(|failure| match missed {
                Some(missed) => Failure::new(format!(
                    "{failure}\n  the shared schema could not be copied completely: {missed}"
                )),
                None => failure,
            })
        };
        on.interruptible("no tenant was created", filled).await?;
        clone.make(existing, progress).await
    }

    /// Returns the server, and the tenant to be replaced.
    async fn check(
        &self,
        on: &Context,
        id: &TenantId,
        archive: &Archive,
    ) -> Result<(ServerOutline, Option<TenantRecord>), Failure> {
        let manager = on.manager()?;
        let server = manager.server_outline().await?;
        if archive.server_major > server.major() {
            return Err(Failure::new(format!(
                "{} is from PostgreSQL {}, but the server is PostgreSQL {}: a dump cannot be restored into an older version",
                archive.path.display(),
                archive.server_version,
                server.version
            )));
        }
        match manager.tenant_to_authorize(id).await {
            Err(error) if error.kind() == ErrorKind::UnknownTenant => Ok((server, None)),
            Err(error) => Err(error.into()),
            Ok(_) if !self.replace => Err(Failure::new(format!("tenant {id} already exists"))
                .hint("restore it under another id, or replace the tenant with --replace")),
            Ok(db) => {
                own_schema(db.tenant())?;
                let records = manager.tenants().await?;
                let record = records.into_iter().find(|record| record.id == *id);
                let gone = || Failure::new(format!("tenant {id} is no longer in the catalog"));
                Ok((server, Some(record.ok_or_else(gone)?)))
            }
        }
    }
}

use tenantry::{ErrorKind, Ident, TenantId, rows::RestoreOptions};

use super::{Restore, Restored};
use crate::{command::Ended, context::Context, exit::Exit, failure::Failure};

impl Restore {
    /// Restores the rows of a tenant into the tables of all tenants.
    pub(super) async fn restore_rows(&self, on: &Context, id: &TenantId) -> Ended {
        let manager = on.manager()?;
        let exists = async {
            match manager.tenant_to_authorize(id).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == ErrorKind::UnknownTenant => Ok(false),
                Err(error) => Err(error),
            }
        };
        if self.replace && on.interruptible("nothing was restored", exists).await? {
            let what = format!("replacing all rows of tenant {id}");
            self.confirm.typed(&what, id.as_str())?;
        }
        let progress = on.output.progress("restore");
        let shown = progress.clone();
        let mut options = RestoreOptions::default()
            .replace(self.replace)
            .new_ids(self.new_ids)
            .on_progress(move |step| shown.say(&step.to_string()));
        if let Some(key) = &self.key {
            options = options.key(key.as_str());
        }
        if let Some(role) = &self.role {
            options = options.role(Ident::parse(role)?);
        }
        let what = || format!("reading the dump {}", self.input.display());
        let file = tokio::fs::File::open(&self.input).await;
        let file = file.map_err(|error| Failure::while_doing(what(), &error))?;
        let restore = manager.provisioner();
        let restore = restore.restore_rows(id.clone(), file, options);
        let report = on.interruptible("nothing was restored", restore).await?;
        drop(progress);
        let restored = Restored::rows(&self.input, report);
        on.output.report(&restored, || restored.text())?;
        Ok(Exit::Fine)
    }
}

use clap::Args;

use super::state::TenantChanged;
use crate::{command::Ended, context::Context, exit::Exit, output::Confirm};

/// Arguments of `tenant rename`.
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The tenant
    from: String,
    /// Its new id
    to: String,
    #[command(flatten)]
    confirm: Confirm,
}

impl Rename {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let provisioner = on.provisioner()?;
        self.confirm.typed(&format!("renaming {} to {}", self.from, self.to), &self.from)?;
        let rename = provisioner.rename(&*self.from, &*self.to);
        on.interruptible("the tenant may or may not be renamed", rename).await?;
        let report = TenantChanged { tenant_id: &self.to, done: "renamed", from: Some(&self.from) };
        on.output.report(&report, || format!("renamed tenant {} to {}", self.from, self.to))?;
        Ok(Exit::Fine)
    }
}

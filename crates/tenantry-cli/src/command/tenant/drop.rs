use clap::Args;
use tenantry::provision::DropOptions;

use crate::{command::Ended, context::Context, exit::Exit, output::Confirm};

/// Arguments of `tenant drop`.
#[derive(Debug, Args)]
pub(crate) struct Drop {
    /// The tenant
    id: String,
    /// Show what would be dropped, and drop nothing
    #[arg(long)]
    dry_run: bool,
    /// Also drop objects outside its schema that depend on it
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl Drop {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let provisioner = on.manager()?.provisioner();
        if !self.dry_run {
            self.confirm
                .typed(&format!("dropping tenant {} with all its data", self.id), &self.id)?;
        }
        let options = DropOptions::default().dry_run(self.dry_run).cascade(self.cascade);
        let progress = on.output.progress("drop");
        progress.say(&self.id);
        let not_done = "the tenant may be missing from the catalog while part of its schema remains: drop it again";
        let dropped = provisioner.drop_tenant(&*self.id, &self.id, options);
        let report = on.interruptible(not_done, dropped).await?;
        std::mem::drop(progress);
        on.output.report(&report, || {
            let objects =
                report.objects.iter().map(|object| format!("\n  {object}")).collect::<String>();
            format!("{report}{}", if self.dry_run { objects } else { String::new() })
        })?;
        Ok(Exit::Fine)
    }
}

use std::path::PathBuf;

use clap::Args;
use tenantry::archive::ExportOptions;

use crate::{command::Ended, context::Context, exit::Exit};

/// Arguments of `archive export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The tenant; it may be suspended
    tenant: String,
    /// Folder to create; its parent must exist
    folder: PathBuf,
}

impl Export {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let archiver = on.manager()?.archiver();
        let progress = on.output.progress("export");
        progress.say("looking up the tenant");
        let shown = progress.clone();
        let options =
            ExportOptions::default().on_progress(move |step| shown.say(&step.to_string()));
        let export = archiver.export(&*self.tenant, &self.folder, options);
        let report = on.interruptible("no archive was written", export).await?;
        drop(progress);
        on.output.report(&report, || report.to_string())?;
        Ok(if report.manifest.remarks.is_empty() { Exit::Fine } else { Exit::Warnings })
    }
}

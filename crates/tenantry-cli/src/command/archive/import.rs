use std::path::PathBuf;

use clap::Args;
use tenantry::archive::ImportOptions;

use crate::{
    command::{
        Ended,
        tenant::{attributes, ident},
    },
    context::Context,
    exit::Exit,
    failure::Failure,
    output::Progress,
};

/// Arguments of `archive import`.
#[derive(Debug, Args)]
#[command(
    after_help = "The statements of an archive run with the privileges of the maintenance role: import only archives \
                        whose origin you trust."
)]
pub(crate) struct Import {
    /// The folder of the archive
    folder: PathBuf,
    /// The id of the new tenant
    tenant: String,
    /// Its server, by its name in the configuration [default: as for a new tenant]
    #[arg(long, value_name = "SERVER")]
    server: Option<String>,
    /// Name of its schema [default: from the template]
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
    /// Role of its sessions, which takes the place of the archived tenant's
    #[arg(long)]
    role: Option<String>,
    /// Attributes to store in the catalog: `name=value`, or a JSON object
    #[arg(long, value_name = "ATTRIBUTES")]
    attributes: Vec<String>,
}

impl Import {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let progress = on.output.progress("import");
        progress.say("checking the files");
        let options = self.options(on, progress.clone())?;
        let archiver = on.manager()?.archiver();
        let import = archiver.import(&self.folder, &*self.tenant, options);
        let not_done = "the tenant may be incomplete, and is not served: import it again";
        let report = on.interruptible(not_done, import).await?;
        drop(progress);
        on.output.report(&report, || report.to_string())?;
        Ok(if report.remarks.is_empty() { Exit::Fine } else { Exit::Warnings })
    }

    fn options(&self, on: &Context, progress: Progress) -> Result<ImportOptions, Failure> {
        let mut options = ImportOptions::default()
            .attributes(attributes::read(on, &self.attributes)?)
            .on_progress(move |step| progress.say(&step.to_string()));
        if let Some(server) = &self.server {
            options = options.server(server.as_str());
        }
        if let Some(schema) = &self.schema {
            options = options.container(ident("--schema", schema)?);
        }
        if let Some(role) = &self.role {
            options = options.role(ident("--role", role)?);
        }
        Ok(options)
    }
}

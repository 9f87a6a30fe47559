use clap::Args;
use serde_json::Value;
use tenantry::provision::{Adopt as Options, AdoptReport};

use super::attributes;
use crate::{command::Ended, context::Context, exit::Exit, output::Confirm};

/// Arguments of `tenant adopt`.
#[derive(Debug, Args)]
pub(crate) struct Adopt {
    /// The new tenant
    id: String,
    #[command(flatten)]
    how: How,
    /// Attributes to store in the catalog: `name=value`, or a JSON object; can be repeated
    #[arg(long, value_name = "JSON|NAME=VALUE")]
    attributes: Vec<String>,
}

/// Arguments of `tenant release`.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// The tenant
    id: String,
    #[command(flatten)]
    how: How,
}

/// What both take: a release undoes an adoption with the same arguments.
#[derive(Debug, Args)]
struct How {
    /// The schema that holds the tables when it is no tenant's, such as `public` [default: the one that has the tenant's
    /// name]
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
    /// Tables, views and sequences that all tenants share: `a,b` or several times
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    keep_shared: Vec<String>,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirm: Confirm,
}

impl How {
    fn options(&self) -> Options {
        let options = self.schema.as_ref().map_or_else(Options::in_place, Options::schema);
        options.keep_shared(&self.keep_shared).dry_run(self.dry_run)
    }

    fn from(&self) -> String {
        self.schema
            .as_ref()
            .map_or_else(|| "its schema".to_owned(), |name| format!("the schema {name}"))
    }

    fn confirm(&self, what: &str, id: &str) -> Result<(), crate::failure::Failure> {
        if self.dry_run { Ok(()) } else { self.confirm.typed(what, id) }
    }
}

impl Adopt {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let attributes = match self.attributes.is_empty() {
            true => Value::Null,
            false => attributes::read(on, &self.attributes)?,
        };
        let provisioner = on.provisioner()?;
        let what = format!("making {} that of tenant {}", self.how.from(), self.id);
        self.how.confirm(&what, &self.id)?;
        let options = self.how.options().attributes(attributes);
        let adopt = provisioner.adopt(&*self.id, options);
        let report = on.interruptible("the schema may or may not be adopted", adopt).await?;
        ended(on, &report)
    }
}

impl Release {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let provisioner = on.provisioner()?;
        let what = format!("making {} of tenant {} again", self.how.from(), self.id);
        self.how.confirm(&what, &self.id)?;
        let release = provisioner.release(&*self.id, self.how.options());
        let report = on.interruptible("the tenant may or may not be released", release).await?;
        ended(on, &report)
    }
}

fn ended(on: &Context, report: &AdoptReport) -> Ended {
    on.output.report(report, || report.to_string().trim_end().to_owned())?;
    Ok(match report.is_possible() {
        false => Exit::Problems,
        true if report.warnings.is_empty() => Exit::Fine,
        true => Exit::Warnings,
    })
}

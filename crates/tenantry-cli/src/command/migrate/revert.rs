use clap::Args;
use tenantry::migrate::Schemas;

use super::{ended, migrator_of, schemas, watched};
use crate::{command::Ended, context::Context, output::Confirm, selection::Selection};

/// Arguments of `migrate revert`.
#[derive(Debug, Args)]
pub(crate) struct Revert {
    #[command(flatten)]
    selection: Selection,
    /// The shared schema
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants"])]
    shared: bool,
    /// Version to keep: everything above it is reverted, the latest first; 0 reverts everything
    #[arg(long, value_name = "VERSION")]
    to: i64,
    #[command(flatten)]
    confirm: Confirm,
}

impl Revert {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let schemas = schemas(self.shared, &self.selection)?;
        let migrator = migrator_of(on, &schemas).await?;
        let what = format!("taking back everything above version {}", self.to);
        self.confirm.typed(&what, word(&schemas))?;
        let options = watched(on, "revert", on.settings.migrate_options());
        let report = migrator.revert(schemas, self.to, options).await?;
        ended(on, &report)
    }
}

/// Returns the word that the user must type: the tenant, if there is only one.
pub(super) fn word(schemas: &Schemas) -> &str {
    match schemas {
        Schemas::Tenants(tenants) if tenants.len() == 1 => {
            tenants.first().map_or("yes", |only| only)
        }
        Schemas::Shared => "shared",
        _ => "all",
    }
}

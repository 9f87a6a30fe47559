use clap::Args;

use super::{ended, migrator_of, revert::word, schemas, watched};
use crate::{command::Ended, context::Context, output::Confirm, selection::Selection};

/// Arguments of `migrate mark`.
#[derive(Debug, Args)]
pub(crate) struct Mark {
    #[command(flatten)]
    selection: Selection,
    /// The shared schema
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants"])]
    shared: bool,
    /// Last version to record [default: all]
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    #[command(flatten)]
    confirm: Confirm,
}

impl Mark {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let schemas = schemas(self.shared, &self.selection)?;
        let migrator = migrator_of(on, &schemas).await?;
        self.confirm.typed("recording migrations as applied", word(&schemas))?;
        let options = watched(on, "mark", on.settings.migrate_options());
        let report = migrator.mark_applied(schemas, self.to, options).await?;
        ended(on, &report)
    }
}

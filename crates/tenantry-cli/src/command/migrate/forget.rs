use clap::Args;

use super::{ended, migrator_of, revert::word, schemas, watched};
use crate::{command::Ended, context::Context, output::Confirm, selection::Selection};

/// Arguments of `migrate forget`.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    #[command(flatten)]
    selection: Selection,
    /// The shared schema
    #[arg(long, conflicts_with_all = ["all", "tenant", "tenants"])]
    shared: bool,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Records of migrations without a file; the objects that they created stay
    #[arg(long)]
    orphans: bool,
    /// Failures of files outside a transaction: the next run continues with the failed statement
    #[arg(long)]
    dirty: bool,
    /// Like --dirty, but the next run restarts such a file with its first statement
    #[arg(long)]
    restart: bool,
}

impl Forget {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let schemas = schemas(self.shared, &self.selection)?;
        let migrator = migrator_of(on, &schemas).await?;
        self.confirm.typed("deleting records of migrations", word(&schemas))?;
        let options = watched(on, "forget", on.settings.migrate_options());
        let report = match self.what {
            What { orphans: true, .. } => migrator.forget_orphans(schemas, options).await,
            What { dirty: true, .. } => migrator.forget_dirty(schemas, options).await,
            What { .. } => migrator.restart_dirty(schemas, options).await,
        }?;
        ended(on, &report)
    }
}

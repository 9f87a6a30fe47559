mod export;
mod lint;

use clap::Subcommand;

use super::Ended;
use crate::context::Context;

/// Commands about a tenant's schema.
#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// Export a tenant's schema: as a model for `drift --model`, JSON Schema, SQL, or a diagram
    Export(export::Export),
    /// Check a tenant's schema for common mistakes
    Lint(lint::LintSchema),
}

impl Schema {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        match self {
            Self::Export(command) => command.run(on).await,
            Self::Lint(command) => command.run(on).await,
        }
    }
}

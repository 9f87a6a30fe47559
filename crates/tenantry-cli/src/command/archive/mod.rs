mod check;
mod export;
mod import;

use clap::Subcommand;

pub(super) use self::check::ArchiveCheck;
use super::Ended;
use crate::context::Context;

/// Commands about archives.
#[derive(Debug, Subcommand)]
pub(crate) enum Archive {
    /// Write a tenant's schema, rows and catalog entry to a folder, as of one moment
    Export(export::Export),
    /// Create a tenant from an archive, under any id and on any server
    Import(import::Import),
    /// Check that all files of an archive are as they were written
    Verify(check::Verify),
    /// Show what an archive contains, without checking its files
    Show(check::Show),
}

impl Archive {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        match self {
            Self::Export(command) => command.run(on).await,
            Self::Import(command) => command.run(on).await,
            Self::Verify(command) => command.run(on).await,
            Self::Show(command) => command.run(on).await,
        }
    }
}

mod adopt;
pub(super) mod attributes;
mod clone;
mod create;
mod drop;
mod list;
mod rename;
mod show;
mod state;
mod view;

use clap::Subcommand;

pub(super) use self::create::ident;
pub(super) use self::{show::TenantReport, state::TenantChanged, view::TenantView};
use super::Ended;
use crate::context::Context;

/// Commands about tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// List the tenants of the catalog
    List(list::List),
    /// Show one tenant
    Show(show::Show),
    /// Create a tenant: schema, migrations, seeds and catalog entry
    Create(create::Create),
    /// Copy a tenant, optionally with its rows, and with personal data masked
    Clone(clone::Clone),
    /// Reject a tenant's requests, and keep its data
    Suspend(state::Suspend),
    /// Serve a suspended tenant again
    Resume(state::Resume),
    /// Change a tenant's id, and rename its schema accordingly
    Rename(rename::Rename),
    /// Turn an existing schema into a tenant
    Adopt(adopt::Adopt),
    /// Undo an adoption: restore the schema's old name, and remove the tenant from the catalog
    Release(adopt::Release),
    /// Drop a tenant with its schema and all data
    Drop(drop::Drop),
}

impl Tenant {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        match self {
            Self::List(command) => command.run(on).await,
            Self::Show(command) => command.run(on).await,
            Self::Create(command) => command.run(on).await,
            Self::Clone(command) => command.run(on).await,
            Self::Suspend(command) => command.run(on).await,
            Self::Resume(command) => command.run(on).await,
            Self::Rename(command) => command.run(on).await,
            Self::Adopt(command) => command.run(on).await,
            Self::Release(command) => command.run(on).await,
            Self::Drop(command) => command.run(on).await,
        }
    }
}

mod adopt;
mod attributes;
mod clone;
mod create;
mod drop;
mod list;
mod rename;
mod show;
mod state;
mod view;

use clap::Subcommand;

pub(super) use self::{show::TenantReport, state::TenantChanged, view::TenantView};
use super::Ended;
use crate::context::Context;

/// Commands about tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum Tenant {
    /// List the tenants of the catalog
    List(list::List),
    /// Show what is known of a tenant
    Show(show::Show),
    /// Create a tenant: its schema, the migrations, seeds and the catalog's row
    Create(create::Create),
    /// Copy a tenant, with or without its rows, and with personal data masked if wanted
    Clone(clone::Clone),
    /// Refuse a tenant's requests, and keep its data
    Suspend(state::Suspend),
    /// Serve a suspended tenant again
    Resume(state::Resume),
    /// Give a tenant another id, and its schema the name that follows from it
    Rename(rename::Rename),
    /// Make a schema that exists that of a new tenant
    Adopt(adopt::Adopt),
    /// Undo an adoption: the schema gets the name back that it had, and the tenant is not listed any more
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

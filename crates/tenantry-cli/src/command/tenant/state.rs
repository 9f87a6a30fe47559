use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{command::Ended, context::Context, exit::Exit};

/// Arguments of `tenant suspend`.
#[derive(Debug, Args)]
pub(crate) struct Suspend {
    /// The tenant
    id: String,
}

/// Arguments of `tenant resume`.
#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// The tenant
    id: String,
}

/// What was done to a tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantChanged<'a> {
    /// The tenant, under its new id where that has changed.
    pub(crate) tenant_id: &'a str,
    /// `suspended`, `resumed`, `renamed`, or `cancelled` for its move.
    pub(crate) done: &'static str,
    /// The id that it had before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<&'a str>,
}

impl Suspend {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let provisioner = on.manager()?.provisioner();
        on.interruptible("the tenant may or may not be suspended", provisioner.suspend(&*self.id))
            .await?;
        changed(on, &self.id, "suspended")
    }
}

impl Resume {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let provisioner = on.manager()?.provisioner();
        on.interruptible("the tenant may or may not be resumed", provisioner.resume(&*self.id))
            .await?;
        changed(on, &self.id, "resumed")
    }
}

fn changed(on: &Context, tenant_id: &str, done: &'static str) -> Ended {
    let report = TenantChanged { tenant_id, done, from: None };
    on.output.report(&report, || format!("{done} tenant {tenant_id}"))?;
    Ok(Exit::Fine)
}

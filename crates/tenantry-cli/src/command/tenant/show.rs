use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    TenantId,
    migrate::{SchemaStatus, Schemas},
};

use super::view::TenantView;
use crate::{command::Ended, context::Context, exit::Exit, failure::Failure};

/// Arguments of `tenant show`.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The tenant
    id: String,
}

/// What is known of a tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantReport {
    tenant: TenantView,
    /// How its schema compares with the migrations; null without migrations.
    migrations: Option<SchemaStatus>,
}

impl Show {
    pub(super) async fn run(self, on: &Context) -> Ended {
        let id = TenantId::parse(&self.id)
            .map_err(|error| Failure::while_doing(format_args!("{:?}", self.id), &error))?;
        let report = on.interruptible("nothing was read", TenantReport::read(on, &id)).await?;
        on.output.report(&report, || report.text())?;
        Ok(Exit::Fine)
    }
}

impl TenantReport {
    async fn read(on: &Context, id: &TenantId) -> Result<Self, Failure> {
        let manager = on.manager()?;
        let record = manager.tenants().await?.into_iter().find(|record| record.id == *id);
        let Some(record) = record else {
            return Err(Failure::new(format!("there is no tenant {id}"))
                .hint("`tenantry tenant list` lists all"));
        };
        let migrations = match on.tenant_migrations()? {
            Some(_) => {
                let options = on.settings.migrate_options();
                let plan = on.migrator()?.plan(Schemas::tenants([id]), &options).await?;
                plan.tenants.into_iter().next()
            }
            None => None,
        };
        Ok(Self { tenant: TenantView::new(manager, record), migrations })
    }

    fn text(&self) -> String {
        let lines = self.lines();
        let lines =
            lines.iter().map(|(name, value)| format!("{name:<12}{}", crate::output::plain(value)));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Returns names and values. A value without a name belongs to the one before it.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let Self { tenant, migrations } = self;
        let mut lines = vec![("tenant", tenant.record.id.to_string())];
        if let Some(place) = &tenant.placement {
            lines.push(("isolation", place.isolation.to_string()));
            lines.push(("server", place.server.clone()));
            lines.extend(place.database.iter().map(|database| ("database", database.clone())));
        }
        lines.push(("schema", tenant.schema().to_owned()));
        if let Some(place) = &tenant.placement {
            lines.extend(place.key.iter().map(|key| ("key", key.clone())));
            lines.push(("epoch", place.epoch.to_string()));
        }
        lines.extend([
            ("state", tenant.state().to_owned()),
            ("created", tenant.created()),
            ("attributes", tenant.attributes()),
        ]);
        lines.extend(tenant.record.role.iter().map(|role| ("role", role.to_string())));
        lines.extend(tenant.record.step.iter().map(|step| ("step", step.to_string())));
        if let Some(status) = migrations {
            let word = status.state.as_str().replace('_', " ");
            lines.push((
                "migrations",
                format!("{word}, {} applied, {} pending", status.applied, status.pending.len()),
            ));
            lines.extend(status.problems.iter().map(|problem| ("", problem.to_string())));
            lines.extend(status.error.iter().map(|error| ("", error.to_string())));
        }
        lines
    }
}

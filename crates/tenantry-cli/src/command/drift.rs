use std::{fs, path::PathBuf, sync::Arc};

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{
    drift::{Drift as Comparison, DriftReport, DriftStatus, Matching, Reference},
    schema::{Repair, SchemaModel},
};

use super::Ended;
use crate::{
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Annotation, Format},
    selection::Selection,
    settings::key,
};

/// Arguments of `drift`.
#[derive(Debug, Args)]
pub(crate) struct Drift {
    #[command(flatten)]
    selection: Selection,
    /// Tenant to compare with [default: the first]
    #[arg(long, value_name = "ID", conflicts_with_all = ["migrations", "recorded", "model"])]
    reference: Option<String>,
    /// Compare with the result of the migrations
    #[arg(long, conflicts_with_all = ["recorded", "model"])]
    migrations: bool,
    /// Compare each tenant with the migrations up to its recorded version
    #[arg(long, conflicts_with = "model")]
    recorded: bool,
    /// Compare with a model file, as written by `schema export`
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Objects whose differences to ignore; `*` matches anything
    #[arg(long, value_name = "NAME")]
    ignore: Vec<String>,
    /// Print the SQL that repairs each drifted tenant, without running it
    #[arg(long)]
    repair: bool,
    /// How findings are printed
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "repair")]
    format: Format,
}

/// What repairs a tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TenantRepair {
    tenant_id: Arc<str>,
    repair: Repair,
}

impl Drift {
    pub(crate) async fn run(self, on: &Context) -> Ended {
        let drift = self.comparison(on)?;
        let progress = on.output.progress("drift");
        progress.say("reading and comparing schemas");
        let report = on.interruptible("the comparison did not finish", drift.run()).await?;
        if self.repair {
            let repairs = repairs(on, &drift, &report).await;
            drop(progress);
            let repairs = repairs?;
            on.output.report(&repairs, || {
                repairs
                    .iter()
                    .map(|repair| repair.repair.to_string())
                    .collect::<Vec<_>>()
                    .join("\n")
            })?;
        } else {
            drop(progress);
            match self.format {
                Format::Github => on.output.annotate(&annotations(&report))?,
                Format::Text => on.output.report(&report, || report.to_string())?,
            }
        }
        Ok(Exit::fine_if(report.is_clean()))
    }

    fn comparison(&self, on: &Context) -> Result<Comparison, Failure> {
        let mut drift =
            on.manager()?.drift().of(self.selection.schemas()?).against(self.reference(on)?);
        for name in self.ignore.iter().chain(on.settings.list(&key::DRIFT_IGNORE)) {
            drift = drift.ignore(Matching::named(name));
        }
        Ok(drift)
    }

    fn reference(&self, on: &Context) -> Result<Reference, Failure> {
        if let Some(tenant) = &self.reference {
            return Ok(Reference::Tenant(tenant.as_str().into()));
        }
        if self.migrations {
            return Ok(Reference::Migrations(on.needed_migrations()?));
        }
        if self.recorded {
            return Ok(Reference::Recorded(on.needed_migrations()?));
        }
        if let Some(path) = self.model.clone().or_else(|| on.settings.path(&key::DRIFT_MODEL)) {
            let what = format!("reading the model {}", path.display());
            let text =
                fs::read_to_string(&path).map_err(|error| Failure::while_doing(&what, &error))?;
            let model = SchemaModel::from_json(&text).map_err(|error| {
                Failure::while_doing(what, &error)
                    .hint("`tenantry schema export TENANT --output FILE` writes one")
            })?;
            return Ok(Reference::Model(Arc::new(model)));
        }
        let reference = on.settings.text(&key::DRIFT_REFERENCE);
        Ok(reference.map_or(Reference::First, |tenant| Reference::Tenant(tenant.into())))
    }
}

async fn repairs(
    on: &Context,
    drift: &Comparison,
    report: &DriftReport,
) -> Result<Vec<TenantRepair>, Failure> {
    let mut repairs = Vec::new();
    for tenant in report.details.iter().filter(|tenant| tenant.status == DriftStatus::Drifted) {
        let repair = on
            .interruptible("not every repair was generated", drift.repair(&tenant.tenant_id))
            .await?;
        repairs.push(TenantRepair { tenant_id: Arc::clone(&tenant.tenant_id), repair });
    }
    Ok(repairs)
}

fn annotations(report: &DriftReport) -> Vec<Annotation> {
    let drifted = report.details.iter().filter(|tenant| tenant.status == DriftStatus::Drifted).map(
        |tenant| {
            let findings: Vec<_> = tenant.findings.iter().map(ToString::to_string).collect();
            Annotation::error(format!("{} has drifted", tenant.tenant_id), findings.join("\n"))
        },
    );
    let failed = report.details.iter().filter_map(|tenant| {
        let error = tenant.error.clone()?;
        Some(Annotation::error(format!("{} could not be read", tenant.tenant_id), error))
    });
    drifted.chain(failed).collect()
}

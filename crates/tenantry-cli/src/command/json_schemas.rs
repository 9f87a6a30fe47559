//! The JSON Schemas of the commands' `--json` output.

use std::collections::BTreeMap;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use tenantry::{
    HealthReport,
    archive::{DiffReport, ExportReport, ImportReport, Manifest, MergeReport},
    baseline::BaselineReport,
    clone::CloneReport,
    doctor::{DoctorReport, FixReport},
    drift::DriftReport,
    each::EachReport,
    migrate::{MigrateReport, MigrationPlan},
    moves::{MovePlan, MoveRecord, MoveReport, NodeMoveReport, Swept},
    proof::IsolationProof,
    provision::{AdoptReport, Created, DropReport},
    schema::{LintFinding, SchemaModel},
};

use super::{
    archive::ArchiveCheck,
    config::ConfigReport,
    drift::TenantRepair,
    dump::DumpReport,
    init::InitReport,
    metrics::MetricsReport,
    migrate::{LintReports, RuleView},
    move_tenant::TakenOverView,
    prepare::PrepareReport,
    restore::Restored,
    seed::SeedReports,
    sql::SqlReport,
    status::StatusReport,
    tenant::{TenantChanged, TenantReport, TenantView},
};

/// Returns the JSON Schema of each command's report, by the name of its file in `docs/schemas`.
///
/// Commands that print the same report share a schema: `migrate revert`, `mark` and `forget` that of `migrate`,
/// `tenant suspend`, `resume`, `rename` and `move --cancel` that of `tenant-changed`, `tenant release` that of `tenant-adopt`.
pub(crate) fn json_schemas() -> BTreeMap<&'static str, Value> {
    [
        ("archive-export", of::<ExportReport>()),
        ("archive-import", of::<ImportReport>()),
        ("archive-show", of::<Manifest>()),
        ("archive-verify", of::<ArchiveCheck>()),
        ("config", of::<ConfigReport>()),
        ("diff", of::<DiffReport>()),
        ("doctor", of::<DoctorReport>()),
        ("doctor-fix", of::<FixReport>()),
        ("doctor-list", of::<BTreeMap<String, String>>()),
        ("doctor-prove-isolation", of::<IsolationProof>()),
        ("drift", of::<DriftReport>()),
        ("drift-repair", of::<Vec<TenantRepair>>()),
        ("dump", of::<DumpReport>()),
        ("health", of::<HealthReport>()),
        ("init", of::<InitReport>()),
        ("metrics", of::<MetricsReport>()),
        ("merge", of::<MergeReport>()),
        ("migrate", of::<MigrateReport>()),
        ("migrate-baseline", of::<BaselineReport>()),
        ("migrate-dry-run", of::<MigrationPlan>()),
        ("migrate-lint", of::<LintReports>()),
        ("migrate-lint-rules", of::<Vec<RuleView>>()),
        ("move", of::<MoveReport>()),
        ("move-dry-run", of::<MovePlan>()),
        ("move-drain", of::<EachReport<MoveReport>>()),
        ("move-drain-dry-run", of::<EachReport<MovePlan>>()),
        ("move-list", of::<Vec<MoveRecord>>()),
        ("move-node", of::<NodeMoveReport>()),
        ("move-sweep", of::<Vec<Swept>>()),
        ("move-take-over", of::<Vec<TakenOverView>>()),
        ("prepare", of::<PrepareReport>()),
        ("restore", of::<Restored>()),
        ("schema-export", of::<SchemaModel>()),
        ("schema-lint", of::<Vec<LintFinding>>()),
        ("seed", of::<SeedReports>()),
        ("seed-list", of::<Vec<String>>()),
        ("sql", of::<SqlReport>()),
        ("status", of::<StatusReport>()),
        ("tenant-adopt", of::<AdoptReport>()),
        ("tenant-changed", of::<TenantChanged<'_>>()),
        ("tenant-clone", of::<CloneReport>()),
        ("tenant-create", of::<Created>()),
        ("tenant-drop", of::<DropReport>()),
        ("tenant-list", of::<Vec<TenantView>>()),
        ("tenant-show", of::<TenantReport>()),
    ]
    .into()
}

fn of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

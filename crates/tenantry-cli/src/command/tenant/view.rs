use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{TenantManager, TenantRecord, TenantState};

/// A tenant, as the catalog has it on record.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TenantView")]
pub(crate) struct TenantView {
    #[serde(flatten)]
    pub(super) record: TenantRecord,
    /// Its schema, also where the catalog leaves that to the name template; null when that makes no name of the id.
    pub(super) schema_name: Option<String>,
}

impl TenantView {
    pub(super) fn new(manager: &TenantManager, record: TenantRecord) -> Self {
        let placement = manager.placement(&record).ok();
        let schema_name = placement.map(|placement| placement.container().to_string());
        Self { record, schema_name }
    }

    pub(super) fn schema(&self) -> &str {
        self.schema_name.as_deref().unwrap_or("-")
    }

    /// Returns the state as a word.
    pub(super) fn state(&self) -> &'static str {
        match (&self.record.step, self.record.state) {
            (Some(_), _) => "in the making",
            (None, TenantState::Active) => "active",
            (None, TenantState::Suspended) => "suspended",
            (None, _) => "unknown",
        }
    }

    /// Returns when it was created, to the second.
    pub(super) fn created(&self) -> String {
        let created = self.record.created_at.and_then(|at| jiff::Timestamp::try_from(at).ok());
        created.map_or_else(|| "-".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    pub(super) fn attributes(&self) -> String {
        match &self.record.attributes {
            serde_json::Value::Null => "-".to_owned(),
            serde_json::Value::Object(fields) if fields.is_empty() => "-".to_owned(),
            other => other.to_string(),
        }
    }
}

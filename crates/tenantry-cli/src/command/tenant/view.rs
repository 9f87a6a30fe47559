use schemars::JsonSchema;
use serde::Serialize;
use tenantry::{IsolationKind, Placement, TenantManager, TenantRecord};

/// A tenant, as the catalog has it on record.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TenantView")]
pub(crate) struct TenantView {
    #[serde(flatten)]
    pub(super) record: TenantRecord,
    /// Its schema, also where the catalog leaves that to the name template; null when that makes no name of the id.
    pub(super) schema_name: Option<String>,
    /// Where its data is, also where the catalog leaves that to the configuration; null when that makes no name of
    /// the id.
    pub(super) placement: Option<PlacementView>,
}

/// Where a tenant's data is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "PlacementView")]
pub(crate) struct PlacementView {
    /// How its data is kept apart.
    pub(super) isolation: IsolationKind,
    /// Its server: `main`, or another one of the configuration.
    pub(super) server: String,
    /// Its database, if it has a separate one.
    pub(super) database: Option<String>,
    /// Its key in the tables of all tenants, if it has rows of these.
    pub(super) key: Option<String>,
    /// The number of the placement, which increases whenever the tenant moves.
    pub(super) epoch: u64,
}

impl PlacementView {
    fn new(placement: &Placement) -> Self {
        Self {
            isolation: placement.isolation(),
            server: placement.server().to_owned(),
            database: placement.database().map(ToString::to_string),
            key: placement.key().map(str::to_owned),
            epoch: placement.epoch(),
        }
    }

    /// Returns `true` for a schema in the database of the configuration from the beginning.
    pub(super) fn is_usual(&self) -> bool {
        self.isolation == IsolationKind::Schema && self.server == "main" && self.epoch == 1
    }

    /// Returns its isolation, server, database and epoch.
    pub(super) fn cells(view: Option<&Self>) -> [String; 4] {
        let none = || "-".to_owned();
        view.map_or_else(
            || [none(), none(), none(), none()],
            |Self { isolation, server, database, epoch, .. }| {
                let database = database.clone().unwrap_or_else(none);
                [isolation.to_string(), server.clone(), database, epoch.to_string()]
            },
        )
    }
}

impl TenantView {
    pub(super) fn new(manager: &TenantManager, record: TenantRecord) -> Self {
        let placement = manager.placement(&record).ok();
        let schema_name = placement.as_ref().map(|placement| placement.container().to_string());
        let placement = placement.as_ref().map(PlacementView::new);
        Self { record, schema_name, placement }
    }

    pub(super) fn schema(&self) -> &str {
        self.schema_name.as_deref().unwrap_or("-")
    }

    /// Returns the state as a word.
    pub(super) fn state(&self) -> &'static str {
        match (&self.record.step, self.record.state) {
            (Some(_), _) => "in the making",
            (None, state) => state.as_str(),
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

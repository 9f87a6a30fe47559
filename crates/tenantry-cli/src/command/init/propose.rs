//! Proposes the contents of a new file, with reasons. It asks no questions.

use std::path::Path;

use tenantry::outline::{DatabaseOutline, Naming};

use super::Look;
use crate::settings::{Key, Settings, Source, Value, key};

/// A setting for the new file.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) key: &'static Key,
    pub(super) value: Value,
    pub(super) why: String,
}

/// The settings for the new file, and additional observations.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    pub(super) settings: Vec<Proposal>,
    pub(super) remarks: Vec<String>,
}

/// Folders in which tenants' migrations are searched; the first existing one is used.
const TENANT_FOLDERS: [&str; 10] = [
    "migrations/tenants",
    "migrations/tenant",
    "db/migrations/tenants",
    "db/migrations/tenant",
    "db/migrations",
    "db/migrate",
    "sql/migrations",
    "drizzle/tenant-migrations",
    "drizzle/tenant",
    "migrations",
];

/// Folders in which the shared schema's migrations are searched.
const SHARED_FOLDERS: [&str; 4] =
    ["migrations/shared", "migrations/public", "drizzle/shared-migrations", "drizzle/shared"];

/// A budget that is worth having, if the server has room for it.
const BUDGET: usize = 20;

impl Proposals {
    /// Creates proposals from existing settings, the database, and existing folders.
    pub(super) fn new(settings: &Settings, look: &Look, folder: &Path, table: bool) -> Self {
        let mut proposals = Self::default();
        if let Some(outline) = look.outline() {
            proposals.of_schemas(outline);
            proposals.of_connections(outline, settings.count(&key::INSTANCES).unwrap_or(1));
        }
        if table {
            let why = "--create-table creates it".to_owned();
            proposals.add(Proposal { key: &key::CATALOG, value: text("table"), why });
        }
        for (key, folders) in [
            (&key::TENANT_MIGRATIONS, &TENANT_FOLDERS[..]),
            (&key::SHARED_MIGRATIONS, &SHARED_FOLDERS),
        ] {
            let found = folders.iter().find(|name| has_sql(&folder.join(name)));
            if let Some(found) = found {
                let why = "the folder contains .sql files".to_owned();
                proposals.add(Proposal { key, value: text(found), why });
            }
        }
        proposals.of_settings(settings);
        proposals
    }

    /// Adds a proposal, replacing an earlier one for the same key.
    pub(super) fn add(&mut self, proposal: Proposal) {
        self.settings.retain(|known| known.key.name != proposal.key.name);
        self.settings.push(proposal);
    }

    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Proposal> {
        self.settings.iter().find(|proposal| proposal.key.name == key.name)
    }

    /// Settings that were given outside the file are kept, except for the database.
    fn of_settings(&mut self, settings: &Settings) {
        for key in key::ALL.iter().copied().filter(|key| key.name != key::DATABASE_URL.name) {
            if let Some((value, source @ (Source::Flag(_) | Source::Variable(_)))) =
                settings.get(key)
            {
                let why = format!("set by {source}");
                self.add(Proposal { key, value: value.clone(), why });
            }
        }
    }

    fn of_schemas(&mut self, outline: &DatabaseOutline) {
        let namings = outline.namings();
        let of_tenants = namings.first();
        if let Some(naming) = of_tenants {
            let why = format!(
                "{} of {} schemas match this template, such as {}",
                naming.schemas,
                outline.schemas.len(),
                naming.examples.join(", ")
            );
            self.add(Proposal { key: &key::SCHEMA, value: text(&naming.template), why });
            if let Some(next) = namings.get(1).filter(|next| next.schemas * 2 > naming.schemas) {
                self.remark(format!("{} schemas are named {}", next.schemas, next.template));
            }
        }
        let shared = shared_schema(outline, of_tenants);
        if let Some((schema, why)) = &shared {
            self.add(Proposal { key: &key::SHARED_SCHEMA, value: text(schema), why: why.clone() });
        }
        let shared = shared.map_or_else(|| "public".to_owned(), |(schema, _)| schema);
        let in_shared = |table: &&tenantry::outline::TableOutline| table.schema == shared;
        if let Some(table) = outline.catalog_tables.iter().find(in_shared) {
            let why = format!("{}.{} has the columns of a catalog", table.schema, table.table);
            self.add(Proposal { key: &key::CATALOG, value: text("table"), why: why.clone() });
            self.add(Proposal { key: &key::TABLE, value: text(&table.table), why });
        }
        self.of_extensions(outline, &shared);
    }

    fn of_extensions(&mut self, outline: &DatabaseOutline, shared: &str) {
        let mut schemas = Vec::new();
        let mut found = Vec::new();
        for extension in &outline.extensions {
            let has_tables =
                outline.schema(&extension.schema).is_some_and(|schema| schema.tables > 0);
            if has_tables || extension.schema == shared {
                self.remark(format!(
                    "extension {} is in {}, next to tables, where tenants do not find it: move it with `alter \
                     extension … set schema`, or set tenants.see_shared",
                    extension.name, extension.schema
                ));
                continue;
            }
            found.push(format!("{} is in {}", extension.name, extension.schema));
            if !schemas.contains(&extension.schema) {
                schemas.push(extension.schema.clone());
            }
        }
        if !schemas.is_empty() {
            let value = Value::List(schemas);
            self.add(Proposal { key: &key::EXTENSION_SCHEMAS, value, why: found.join(", ") });
        }
    }

    fn of_connections(&mut self, outline: &DatabaseOutline, instances: usize) {
        let server = &outline.server;
        let room = server.max_connections.saturating_sub(server.reserved_connections);
        let most = (room / instances.max(1)).clamp(1, BUDGET);
        let why = format!(
            "the server has room for {} connections, {} of them reserved; instances: {instances}",
            server.max_connections, server.reserved_connections
        );
        self.add(Proposal { key: &key::MAX_CONNECTIONS, value: Value::Count(most), why });
    }
}

/// Finds the shared schema: `public` if it has tables, otherwise the schema with the most tables that is not a
/// tenant's.
fn shared_schema(outline: &DatabaseOutline, naming: Option<&Naming>) -> Option<(String, String)> {
    // A single tenant is not enough to detect the naming, so the default is used.
    let template = naming.map_or("tenant_{id}", |naming| &naming.template);
    let template = tenantry::NameTemplate::parse(template).ok();
    let has_such_a_name =
        |name: &str| template.as_ref().is_some_and(|template| template.id_of(name).is_some());
    let others = outline.schemas.iter().filter(|schema| !has_such_a_name(&schema.name));
    let candidates: Vec<_> = others.filter(|schema| schema.tables > 0).collect();
    let public = candidates.iter().find(|schema| schema.name == "public");
    let found = public.or_else(|| candidates.iter().max_by_key(|schema| schema.tables))?;
    let why = format!("it has {} tables and is not named as tenants' schemas are", found.tables);
    Some((found.name.clone(), why))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn has_sql(folder: &Path) -> bool {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|e| e == "sql"))
}

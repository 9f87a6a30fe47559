//! Where a tenant's data is, according to its record.

use std::sync::Arc;

use crate::{
    error::{Error, ErrorKind},
    tenant::{
        Ident, IdentError, Isolation, IsolationKind, NameTemplate, Placement, RowKey, Rows,
        TemplateError, TenantId, TenantRecord,
    },
};

/// How tenants are kept apart: the default, and the settings of every kind that a record may name.
#[derive(Debug, Clone)]
pub(crate) struct Isolations {
    kinds: [Isolation; 3],
    default: IsolationKind,
    /// `true` if rows were configured, whether or not by default.
    has_rows: bool,
}

impl Isolations {
    /// Creates one. Kinds without settings have their defaults.
    pub(crate) fn new(default: Isolation, others: Vec<Isolation>) -> Self {
        let kind = default.kind();
        let kinds = [IsolationKind::Schema, IsolationKind::Row, IsolationKind::Database];
        let configured: Vec<_> = others.into_iter().chain([default]).collect();
        let has_rows = configured.iter().any(|of| of.kind() == IsolationKind::Row);
        let kinds = kinds.map(|kind| {
            let last = configured.iter().rev().find(|isolation| isolation.kind() == kind);
            last.cloned().unwrap_or_else(|| Isolation::of_kind(kind))
        });
        Self { kinds, default: kind, has_rows }
    }

    /// Returns the kind that applies to tenants whose record names none.
    pub(crate) fn by_default(&self) -> &Isolation {
        self.of(self.default)
    }

    /// Returns the kind of a tenant.
    pub(crate) fn kind_of(&self, record: &TenantRecord) -> IsolationKind {
        record.isolation.unwrap_or(self.default)
    }

    fn of(&self, kind: IsolationKind) -> &Isolation {
        let [schema, row, database] = &self.kinds;
        match kind {
            IsolationKind::Schema => schema,
            IsolationKind::Row => row,
            IsolationKind::Database => database,
        }
    }

    /// Returns `true` if rows were configured, whether or not by default.
    pub(crate) fn has_rows(&self) -> bool {
        self.has_rows
    }

    /// Returns the template of schemas' names, if tenants have schemas of their own by default.
    pub(crate) fn template_of_schemas(&self) -> Option<&NameTemplate> {
        self.by_default().of_schemas()
    }

    /// Returns the settings of rows.
    pub(crate) fn rows(&self) -> &Rows {
        match self.of(IsolationKind::Row) {
            Isolation::Row(rows) => rows,
            other => unreachable!("{other:?} is not the settings of rows"),
        }
    }

    /// Returns the schema that holds the rows of all tenants.
    pub(crate) fn schema_of_rows<'s>(&'s self, shared_schema: &'s Ident) -> &'s Ident {
        self.rows().tables_schema().unwrap_or(shared_schema)
    }

    /// Returns the key that the sessions of a tenant have. If rows were configured, those of tenants in schemas and
    /// databases have one as well, so that the same tables, defaults and policies work in all kinds.
    pub(crate) fn key(&self, record: &TenantRecord) -> Option<RowKey> {
        let rows = self.rows();
        let applies = self.has_rows || self.kind_of(record) == IsolationKind::Row;
        let value = applies.then(|| key_of(record, rows)).flatten()?;
        Some(RowKey { setting: rows.key_setting().clone(), value })
    }

    /// Returns where a tenant's data is.
    ///
    /// # Errors
    ///
    /// [`InvalidTenantId`](ErrorKind::InvalidTenantId) when the id leaves no room for the rest of a
    /// name, [`Placement`](ErrorKind::Placement) when the record does not say where, or says it
    /// wrongly.
    pub(crate) fn place(
        &self,
        record: &TenantRecord,
        shared_schema: &Ident,
    ) -> Result<Placement, Error> {
        let placement = match self.of(self.kind_of(record)) {
            Isolation::Schema(template) => {
                Placement::in_schema(named(record.container.as_ref(), template, &record.id)?)
            }
            Isolation::Row(rows) => {
                let schema = self.schema_of_rows(shared_schema).clone();
                let key = key_of(record, rows).ok_or_else(|| wrong_key(record, rows))?;
                Placement::in_rows(schema, key)
            }
            Isolation::Database(template) => {
                let database = named(record.database.as_ref(), template, &record.id)?;
                let public = || Ident::parse("public").expect("the name is an identifier");
                Placement::in_database(database, record.container.clone().unwrap_or_else(public))
            }
        };
        Ok(placement.on(record.server.as_ref()).at_epoch(record.epoch))
    }
}

/// Returns the recorded name, or that of the template.
fn named(recorded: Option<&Ident>, template: &NameTemplate, id: &TenantId) -> Result<Ident, Error> {
    match recorded {
        Some(name) => Ok(name.clone()),
        None => template.container(id).map_err(|error| {
            // An id that leaves no room for the rest of the name is an invalid id, not an invalid
            // catalog.
            let kind = match error {
                TemplateError::Ident(IdentError::TooLong { .. }) => ErrorKind::InvalidTenantId,
                _ => ErrorKind::Placement,
            };
            Error::new(kind, error.to_string()).with_tenant(id).with_source(error)
        }),
    }
}

/// Returns the recorded key, or the id, if it has the type of keys.
fn key_of(record: &TenantRecord, rows: &Rows) -> Option<Arc<str>> {
    rows.key_type().parse(record.key.as_deref().unwrap_or(record.id.as_str()))
}

fn wrong_key(record: &TenantRecord, rows: &Rows) -> Error {
    let of = rows.key_type().as_str();
    let attempted = match &record.key {
        Some(_) => format!("the key of its record is not a {of}"),
        None => format!("its id is not a {of}, and its record has no key"),
    };
    Error::new(ErrorKind::Placement, attempted).with_tenant(&record.id)
}

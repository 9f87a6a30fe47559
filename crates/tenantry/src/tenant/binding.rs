use std::sync::Arc;

use super::{Ident, Placement, Rows, SearchPath, Setting, TenantRecord};

/// The session state that makes a session a tenant's: search path, role and settings.
///
/// The pool knows tenants only by their binding. It does not depend on schemas or rows, so another
/// kind of isolation is just another way to build a binding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Binding {
    /// The schemas in which unqualified names are looked up, in this order.
    ///
    /// Never contains `"$user"`: the search path depends only on the tenant.
    pub(crate) search_path: SearchPath,
    /// Number of schemas at the start of `search_path` that belong only to this tenant. Narrow, like
    /// the next one, because there is a binding for every known tenant.
    pub(crate) own_schemas: u16,
    /// Number of schemas at the end of `search_path` that contain only extensions.
    pub(crate) extension_schemas: u32,
    /// `None` if there is nothing in it.
    further: Option<Box<Further>>,
    /// `true` if a statement fails instead of silently skipping rows that a policy hides from the
    /// role.
    pub(crate) fails_under_policies: bool,
    /// `true` if the library itself uses it, and not the application.
    pub(crate) is_librarys: bool,
}

/// What the session of few tenants has, so that the others take no memory for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Further {
    role: Option<Ident>,
    settings: Box<[(String, String)]>,
    key: Option<RowKey>,
}

/// The key of a tenant in tables of all tenants, in the setting that the policies compare with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RowKey {
    pub(crate) setting: Setting,
    pub(crate) value: Arc<str>,
}

impl Binding {
    /// Returns the binding of the library's own statements: only PostgreSQL's own names, so they
    /// never resolve to an object of a tenant or an application. These statements qualify every
    /// schema.
    ///
    /// `pg_temp` is last, because it would be searched first if omitted.
    pub(crate) fn library() -> Self {
        let name = |name| Ident::parse(name).expect("the name is an identifier");
        let search_path = ["pg_catalog", "pg_temp"].map(name).into_iter().collect();
        Self { search_path, is_librarys: true, ..Self::default() }
    }

    /// Returns the binding of the shared schema.
    pub(crate) fn shared(schema: &Ident) -> Self {
        Self { search_path: SearchPath::One(schema.clone()), ..Self::default() }
    }

    /// Returns the binding of a tenant, followed by the shared schema if `shared` is given.
    pub(crate) fn tenant(
        record: &TenantRecord,
        placement: &Placement,
        shared: Option<&Ident>,
    ) -> Self {
        Self {
            search_path: std::iter::once(placement.container()).chain(shared).cloned().collect(),
            own_schemas: 1,
            ..Self::default()
        }
        .with_role(record.role.as_ref())
        .with_settings(&record.settings)
    }

    /// Returns the binding of a tenant in tables of all tenants, followed by the shared schema if
    /// `shared` is given. It owns no schema.
    pub(crate) fn rows(
        record: &TenantRecord,
        rows: &Rows,
        placement: &Placement,
        shared: Option<&Ident>,
    ) -> Self {
        let schema = placement.container();
        let shared = shared.filter(|shared| *shared != schema);
        let role = record.role.as_ref().or(rows.sessions_role());
        Self {
            search_path: std::iter::once(schema).chain(shared).cloned().collect(),
            ..Self::default()
        }
        .with_role(role)
        .with_settings(&record.settings)
    }

    /// Returns the binding of the library's own work on a schema, followed by the shared schema if
    /// `shared` is given. It has no role and no settings: it works as the login role. It owns no
    /// schema, so prepared statements are never kept for it.
    pub(crate) fn upkeep(schema: &Ident, shared: Option<&Ident>) -> Self {
        let search_path = std::iter::once(schema).chain(shared).cloned().collect();
        Self { search_path, is_librarys: true, ..Self::default() }
    }

    /// Lets the session take on a role.
    pub(crate) fn with_role(self, role: Option<&Ident>) -> Self {
        self.with(role, |further, role| further.role = Some(role.clone()))
    }

    /// Gives the session these settings.
    pub(crate) fn with_settings(self, settings: &[(String, String)]) -> Self {
        let settings = (!settings.is_empty()).then_some(settings);
        self.with(settings, |further, settings| further.settings = settings.into())
    }

    /// Confines statements to the rows with this key, as far as policies apply to the session's role.
    pub(crate) fn confined_to(self, key: Option<RowKey>) -> Self {
        self.with(key, |further, key| further.key = Some(key))
    }

    fn with<T>(mut self, value: Option<T>, set: impl FnOnce(&mut Further, T)) -> Self {
        if let Some(value) = value {
            set(self.further.get_or_insert_default(), value);
        }
        self
    }

    /// Returns the role that the session takes on, if any.
    pub(crate) fn role(&self) -> Option<&Ident> {
        self.further.as_ref()?.role.as_ref()
    }

    /// Returns settings of the session by name, applied after everything else was reset.
    pub(crate) fn settings(&self) -> &[(String, String)] {
        self.further.as_ref().map_or(&[], |further| &further.settings)
    }

    /// Returns the tenant's key in tables of all tenants; `None` if it has tables of its own.
    pub(crate) fn key(&self) -> Option<&RowKey> {
        self.further.as_ref()?.key.as_ref()
    }

    /// Makes statements fail where policies apply, if `fails`, unless they are confined to a key.
    pub(crate) fn failing_under_policies(self, fails: bool) -> Self {
        Self { fails_under_policies: fails && self.key().is_none(), ..self }
    }

    /// Appends extension schemas to the search path.
    pub(crate) fn reaching(mut self, extensions: &[Ident]) -> Self {
        let mut search_path = self.search_path.to_vec();
        for schema in extensions {
            if !search_path.contains(schema) {
                search_path.push(schema.clone());
                self.extension_schemas += 1;
            }
        }
        Self { search_path: search_path.into_iter().collect(), ..self }
    }

    /// Returns a setting that would defeat the binding, if there is one.
    pub(crate) fn forbidden_setting(&self) -> Option<&str> {
        let forbidden = ["search_path", "role", "session_authorization", "row_security"];
        let is_key = |name| self.key().is_some_and(|key| key.setting.is(name));
        let names = self.settings().iter().map(|(name, _)| name.as_str());
        names
            .into_iter()
            .find(|name| forbidden.iter().any(|no| no.eq_ignore_ascii_case(name)) || is_key(name))
    }

    /// Returns the schemas that belong only to this tenant.
    pub(crate) fn own(&self) -> &[Ident] {
        self.search_path.get(..self.own_schemas.into()).unwrap_or(&self.search_path)
    }

    /// Returns the schemas in which tables are looked up: all except the extension schemas.
    pub(crate) fn of_tables(&self) -> &[Ident] {
        let tables = self.search_path.len().saturating_sub(self.extension_schemas as usize);
        self.search_path.get(..tables).unwrap_or(&self.search_path)
    }

    /// Returns the extension schemas.
    pub(crate) fn of_extensions(&self) -> &[Ident] {
        self.search_path.get(self.of_tables().len()..).unwrap_or_default()
    }
}

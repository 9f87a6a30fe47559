use super::{Ident, Placement, TenantRecord};

/// What makes a session a tenant's: search path, role and settings.
///
/// The pool knows tenants by their binding alone. It never speaks of schemas or rows, so another
/// kind of isolation is another way to fill a binding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Binding {
    /// The schemas in which unqualified names are looked up, in this order.
    ///
    /// Never `"$user"`: the search path of a tenant depends on the tenant alone.
    pub(crate) search_path: Vec<Ident>,
    /// How many schemas at the start of `search_path` belong to this tenant alone.
    pub(crate) own_schemas: usize,
    /// How many schemas at the end of `search_path` hold extensions and nothing else.
    pub(crate) extension_schemas: usize,
    /// The role that the session takes on, none by default.
    pub(crate) role: Option<Ident>,
    /// Settings of the session, by name, set after everything else was reset.
    pub(crate) settings: Vec<(String, String)>,
    /// Whether the library itself works with it, and not the application.
    pub(crate) is_librarys: bool,
}

impl Binding {
    /// Returns the binding of the library's own statements: PostgreSQL's own names and nothing else, so
    /// nothing that a tenant or an application has created is ever found in their stead. They name every
    /// schema.
    ///
    /// `pg_temp` stands at the end because it would be searched first where it is left out.
    pub(crate) fn library() -> Self {
        let name = |name| Ident::parse(name).expect("the name is an identifier");
        let search_path = vec![name("pg_catalog"), name("pg_temp")];
        Self { search_path, is_librarys: true, ..Self::default() }
    }

    /// Returns the binding of the shared schema.
    pub(crate) fn shared(schema: &Ident) -> Self {
        Self { search_path: vec![schema.clone()], ..Self::default() }
    }

    /// Returns the binding of a tenant, with the shared schema behind its own when `shared` is given.
    pub(crate) fn tenant(
        record: &TenantRecord,
        placement: &Placement,
        shared: Option<&Ident>,
    ) -> Self {
        Self {
            search_path: std::iter::once(placement.container()).chain(shared).cloned().collect(),
            own_schemas: 1,
            role: record.role.clone(),
            settings: record.settings.clone(),
            ..Self::default()
        }
    }

    /// Returns the binding of the library's own work on a schema, with the shared schema behind it when
    /// `shared` is given. No role and no settings: it works as whoever connects. It owns no schema, so
    /// prepared statements are never kept for it.
    pub(crate) fn upkeep(schema: &Ident, shared: Option<&Ident>) -> Self {
        let search_path = std::iter::once(schema).chain(shared).cloned().collect();
        Self { search_path, is_librarys: true, ..Self::default() }
    }

    /// Puts schemas of extensions behind all others.
    pub(crate) fn reaching(mut self, extensions: &[Ident]) -> Self {
        for schema in extensions {
            if !self.search_path.contains(schema) {
                self.search_path.push(schema.clone());
                self.extension_schemas += 1;
            }
        }
        self
    }

    /// Finds a setting that would undo what the binding is for.
    pub(crate) fn forbidden_setting(&self) -> Option<&str> {
        let forbidden = ["search_path", "role", "session_authorization"];
        let names = self.settings.iter().map(|(name, _)| name.as_str());
        names.into_iter().find(|name| forbidden.iter().any(|no| no.eq_ignore_ascii_case(name)))
    }

    /// Returns the schemas that belong to this tenant alone.
    pub(crate) fn own(&self) -> &[Ident] {
        self.search_path.get(..self.own_schemas).unwrap_or(&self.search_path)
    }

    /// Returns the schemas in which tables are looked up: all but those of extensions.
    pub(crate) fn of_tables(&self) -> &[Ident] {
        let tables = self.search_path.len().saturating_sub(self.extension_schemas);
        self.search_path.get(..tables).unwrap_or(&self.search_path)
    }

    /// Returns the schemas of extensions.
    pub(crate) fn of_extensions(&self) -> &[Ident] {
        self.search_path.get(self.of_tables().len()..).unwrap_or_default()
    }
}

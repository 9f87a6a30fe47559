use std::{fmt, sync::Arc};

use super::{Ident, IdentError};

/// Rows of all tenants in the same tables, kept apart by row-level security: see
/// [`Isolation::row`](super::Isolation::row).
///
/// Each session of a tenant has the tenant's key in a setting. The policies of the tables compare
/// it with a column, so a statement sees the tenant's rows only, and writes no others. The tables are in
/// one schema, by default the shared one, and [`RowTables`](crate::rows::RowTables) writes the policies.
///
/// # Examples
///
/// ```
/// use tenantry::{Isolation, KeyType, Rows};
///
/// let rows = Rows::new().key(KeyType::Uuid).column("org_id")?.role("app")?;
/// let isolation = Isolation::rows(rows);
/// # Ok::<(), tenantry::IdentError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Rows {
    key: KeyType,
    column: Ident,
    setting: Setting,
    role: Option<Ident>,
    schema: Option<Ident>,
    shared: Vec<Ident>,
    allowed: Vec<Arc<str>>,
}

/// The type of a tenant's key in the tables of all tenants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum KeyType {
    /// `uuid`.
    Uuid,
    /// `bigint`.
    BigInt,
    /// `text`.
    #[default]
    Text,
}

impl KeyType {
    /// Returns the type as SQL spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Uuid => "uuid",
            Self::BigInt => "bigint",
            Self::Text => "text",
        }
    }

    /// Returns a key in the form in which PostgreSQL prints it; `None` if it is not of this type.
    pub(crate) fn parse(self, key: &str) -> Option<Arc<str>> {
        match self {
            Self::Uuid => uuid(key).map(Into::into),
            Self::BigInt => key.parse().ok().map(|key: i64| key.to_string().into()),
            Self::Text => (!key.is_empty() && !key.contains('\0')).then(|| key.into()),
        }
    }
}

/// Returns a UUID in PostgreSQL's form, if it is one. Accepts hyphens in their usual places or none.
fn uuid(text: &str) -> Option<String> {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    if !matches!(*parts, [32] | [8, 4, 4, 4, 12]) {
        return None;
    }
    let mut digits: String = text.chars().filter(|c| *c != '-').collect();
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    digits.make_ascii_lowercase();
    for place in [20, 16, 12, 8] {
        digits.insert(place, '-');
    }
    Some(digits)
}

impl Rows {
    /// Compares the column `tenant_id`, of the type `text`, with the setting `tenantry.tenant`. The
    /// tables are in the shared schema, and sessions keep the role of their login.
    pub fn new() -> Self {
        Self {
            key: KeyType::default(),
            column: Ident::parse("tenant_id").expect("the name is an identifier"),
            setting: Setting::parse("tenantry.tenant").expect("the name is that of a setting"),
            role: None,
            schema: None,
            shared: Vec::new(),
            allowed: Vec::new(),
        }
    }

    /// Sets the type of the key. Default: [`KeyType::Text`].
    ///
    /// A tenant's key is that of its [record](crate::TenantRecord::key), or its id.
    pub fn key(self, key: KeyType) -> Self {
        Self { key, ..self }
    }

    /// Sets the column of the key, which has the same name in all tables. Default: `tenant_id`.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is not a valid identifier.
    pub fn column(self, column: &str) -> Result<Self, IdentError> {
        Ok(Self { column: Ident::parse(column)?, ..self })
    }

    /// Sets the name of the setting that holds the key in a session: two words joined by a dot.
    /// Default: `tenantry.tenant`.
    ///
    /// Set the name that existing policies compare with. The record of a tenant cannot set it.
    ///
    /// # Errors
    ///
    /// [`SettingError`] when PostgreSQL would refuse the name, see
    /// [Customized Options](https://www.postgresql.org/docs/current/runtime-config-custom.html).
    pub fn setting(self, setting: &str) -> Result<Self, SettingError> {
        Ok(Self { setting: Setting::parse(setting)?, ..self })
    }

    /// Sets the role that the sessions of all these tenants take on, as `SET ROLE` does. Default:
    /// none; they keep the role of their login. The [record](crate::TenantRecord::role) of a tenant
    /// may name another one.
    ///
    /// Policies do not apply to the owner of a table without `FORCE`, to superusers, and to roles
    /// with `BYPASSRLS`, so the role must be none of these.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is not a valid identifier.
    pub fn role(self, role: &str) -> Result<Self, IdentError> {
        Ok(Self { role: Some(Ident::parse(role)?), ..self })
    }

    /// Sets the schema of the tables. Default: the shared schema.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is not a valid identifier.
    pub fn schema(self, schema: &str) -> Result<Self, IdentError> {
        Ok(Self { schema: Some(Ident::parse(schema)?), ..self })
    }

    /// Sets the schema of the tables.
    pub(crate) fn in_schema(self, schema: Ident) -> Self {
        Self { schema: Some(schema), ..self }
    }

    /// Sets the tables of that schema which belong to no tenant, such as `plans`. Default: none.
    ///
    /// [`verify_rows`](crate::TenantManager::verify_rows) reports every other table that has no
    /// tenant column, and does not look at these, nor at the library's tables and
    /// [that of the catalog](crate::Catalog::table_in_shared_schema).
    ///
    /// # Errors
    ///
    /// [`IdentError`] when a name is not a valid identifier.
    pub fn shared_tables<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, IdentError> {
        let shared = names.into_iter().map(Ident::parse).collect::<Result<_, _>>()?;
        Ok(Self { shared, ..self })
    }

    /// Sets objects that may go around the policies, by name: views, materialized views, `security
    /// definer` functions, unique indexes and foreign keys. Default: none.
    ///
    /// [`verify_rows`](crate::TenantManager::verify_rows) does not report these. Write an object of
    /// another schema as `schema.name`.
    pub fn allow<'a>(self, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self { allowed: names.into_iter().map(Arc::from).collect(), ..self }
    }

    pub(crate) fn shared_names(&self) -> &[Ident] {
        &self.shared
    }

    pub(crate) fn allows(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| **allowed == *name)
    }

    pub(crate) fn key_type(&self) -> KeyType {
        self.key
    }

    pub(crate) fn key_column(&self) -> &Ident {
        &self.column
    }

    pub(crate) fn key_setting(&self) -> &Setting {
        &self.setting
    }

    pub(crate) fn sessions_role(&self) -> Option<&Ident> {
        self.role.as_ref()
    }

    /// Returns the schema of the tables, if it is not the shared one.
    pub(crate) fn tables_schema(&self) -> Option<&Ident> {
        self.schema.as_ref()
    }
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of a setting that is not PostgreSQL's own: a class and a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Setting {
    pub(crate) class: Ident,
    pub(crate) name: Ident,
}

impl Setting {
    /// Parses two words that are joined by a dot.
    fn parse(text: &str) -> Result<Self, SettingError> {
        let wrong = || SettingError { setting: text.chars().take(80).collect() };
        let part = |part: &str| {
            let starts = part.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
            let goes_on = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let name = Ident::parse(part).ok().filter(|_| starts && part.chars().all(goes_on));
            name.ok_or_else(wrong)
        };
        let (class, name) = text.split_once('.').ok_or_else(wrong)?;
        Ok(Self { class: part(class)?, name: part(name)? })
    }

    /// Returns `true` if this is its name, which the server compares regardless of case.
    pub(crate) fn is(&self, name: &str) -> bool {
        name.split_once('.').is_some_and(|(class, name)| {
            self.class.as_str().eq_ignore_ascii_case(class)
                && self.name.as_str().eq_ignore_ascii_case(name)
        })
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.class.as_str(), self.name.as_str())
    }
}

/// A text is not the name of a setting for [`Rows::setting`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{setting:?} is not the name of a setting: expected two words of lower-case letters, digits and underscores, \
     joined by a dot, such as tenantry.tenant"
)]
pub struct SettingError {
    /// The text, shortened.
    setting: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_form_that_the_server_prints() {
        let uuid = "0188e3a5-6c1b-7b3e-9d4f-0a1b2c3d4e5f";
        for (of, key, parsed) in [
            (KeyType::Text, "acme", Some("acme")),
            (KeyType::Text, "O'Hara \\", Some("O'Hara \\")),
            (KeyType::Text, "", None),
            (KeyType::Text, "a\0", None),
            (KeyType::BigInt, "42", Some("42")),
            (KeyType::BigInt, "-7", Some("-7")),
            (KeyType::BigInt, "+042", Some("42")),
            (KeyType::BigInt, "9223372036854775808", None),
            (KeyType::BigInt, "acme", None),
            (KeyType::BigInt, "", None),
            (KeyType::Uuid, uuid, Some(uuid)),
            (KeyType::Uuid, "0188E3A56C1B7B3E9D4F0A1B2C3D4E5F", Some(uuid)),
            (KeyType::Uuid, "0188e3a5-6c1b7b3e-9d4f-0a1b-2c3d4e5f", None),
            (KeyType::Uuid, "0188e3a56c1b7b3e9d4f0a1b2c3d4eég", None),
            (KeyType::Uuid, "acme", None),
        ] {
            assert_eq!(of.parse(key).as_deref(), parsed, "{of:?} {key}");
        }
    }

    #[test]
    fn names_of_settings_are_two_words() {
        let setting = Setting::parse("app.tenant_1").unwrap();
        assert_eq!(setting.to_string(), "app.tenant_1");
        assert!(setting.is("App.Tenant_1") && !setting.is("app.tenant") && !setting.is("app"));
        for wrong in ["", "app", "app.", ".tenant", "a.b.c", "App.tenant", "app.1", "a-b.c", "a.b;"]
        {
            assert!(Setting::parse(wrong).is_err(), "{wrong}");
        }
    }
}

use std::{fmt, sync::Arc};

use super::{
    Ident, IdentError, TenantId,
    ident::{MOVED, PROVISIONAL, SCRATCH},
};

/// Derives the name of a container from a tenant id.
///
/// It is either a text that contains `{id}`, or a closure. A text maps different ids to different
/// names by construction and can be reversed, so schemas can be listed by it. A closure can do
/// neither [without its inverse](Self::with_inverse): its names are checked one by one, and when
/// two ids map to the same container, the second one is refused when it is resolved.
#[derive(Clone)]
pub struct NameTemplate(Kind);

#[derive(Clone)]
enum Kind {
    Text(Arc<str>),
    Closure { name: Arc<Name>, id_of: Option<Arc<IdOf>> },
}

type Name = dyn Fn(&TenantId) -> String + Send + Sync;

type IdOf = dyn Fn(&str) -> Option<TenantId> + Send + Sync;

const PLACEHOLDER: &str = "{id}";

impl NameTemplate {
    /// Parses a text with exactly one `{id}` in it, such as `tenant_{id}`.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] when `{id}` is missing or occurs twice, when the resulting names would be
    /// reserved by PostgreSQL, or when the text leaves no room for an id within 63 bytes.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let template = Self::unchecked(text);
        template.check()?;
        Ok(template)
    }

    /// Creates a template from a closure.
    ///
    /// The closure must return different names for different ids. Every returned name is checked to
    /// be an identifier that PostgreSQL does not reserve.
    pub fn from_fn<F, N>(name: F) -> Self
    where
        F: Fn(&TenantId) -> N + Send + Sync + 'static,
        N: Into<String>,
    {
        Self(Kind::Closure { name: Arc::new(move |id| name(id).into()), id_of: None })
    }

    /// Creates a template from a closure and its inverse, so that
    /// [schemas can be listed](crate::SchemaDiscovery) by it.
    ///
    /// The inverse is called for every schema name, and its result counts only if the first closure
    /// maps that id back to the same name; any other schema does not belong to a tenant.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{NameTemplate, TenantId};
    ///
    /// // The tenant `north-sea` is in the schema `north_sea_db`.
    /// let template = NameTemplate::with_inverse(
    ///     |id| format!("{}_db", id.as_str().replace('-', "_")),
    ///     |name| TenantId::parse(&name.strip_suffix("_db")?.replace('_', "-")).ok(),
    /// );
    /// let id = TenantId::parse("north-sea")?;
    /// assert_eq!(template.id_of("north_sea_db"), Some(id));
    /// assert_eq!(template.id_of("audit"), None);
    /// # Ok::<(), tenantry::ParseTenantIdError>(())
    /// ```
    pub fn with_inverse<F, N, I>(name: F, id_of: I) -> Self
    where
        F: Fn(&TenantId) -> N + Send + Sync + 'static,
        N: Into<String>,
        I: Fn(&str) -> Option<TenantId> + Send + Sync + 'static,
    {
        let name = Arc::new(move |id: &TenantId| name(id).into());
        Self(Kind::Closure { name, id_of: Some(Arc::new(id_of)) })
    }

    pub(super) fn unchecked(text: &str) -> Self {
        Self(Kind::Text(text.into()))
    }

    pub(super) fn check(&self) -> Result<(), TemplateError> {
        let Kind::Text(text) = &self.0 else {
            return Ok(());
        };
        if text.matches(PLACEHOLDER).count() != 1 {
            return Err(TemplateError::Placeholder { template: text.to_string() });
        }
        Ident::parse(&text.replace(PLACEHOLDER, "x"))?;
        if text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pg_")) {
            return Err(TemplateError::Reserved { container: text.to_string() });
        }
        Ok(())
    }

    /// Returns the container's name for `id`.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] when the name does not fit into 63 bytes, is reserved by PostgreSQL or
    /// begins with `tenantry_spare_`, `tenantry_moved_` or `tenantry_proof_`.
    pub fn container(&self, id: &TenantId) -> Result<Ident, TemplateError> {
        let name = match &self.0 {
            Kind::Text(text) => text.replace(PLACEHOLDER, id.as_str()),
            Kind::Closure { name, .. } => name(id),
        };
        let container = Ident::parse(&name)?;
        if container.is_reserved_schema() || is_the_librarys(&name) || self.is_others_scratch(&name)
        {
            return Err(TemplateError::Reserved { container: name });
        }
        Ok(container)
    }

    /// Returns the id whose container is called `name`, or `None`.
    ///
    /// A closure without an inverse always returns `None`.
    #[must_use]
    pub fn id_of(&self, name: &str) -> Option<TenantId> {
        if is_the_librarys(name) || self.is_others_scratch(name) {
            return None;
        }
        match &self.0 {
            Kind::Text(_) => {
                let (prefix, suffix) = self.around_id()?;
                let id = name.strip_prefix(prefix)?.strip_suffix(suffix)?;
                TenantId::parse(id).ok()
            }
            Kind::Closure { id_of, .. } => {
                let id = id_of.as_ref()?(name)?;
                self.container(&id).is_ok_and(|container| container.as_str() == name).then_some(id)
            }
        }
    }

    /// Returns `true` if the tenant can be derived from a name.
    pub(crate) fn can_be_read_backwards(&self) -> bool {
        match &self.0 {
            Kind::Text(_) => self.around_id().is_some(),
            Kind::Closure { id_of, .. } => id_of.is_some(),
        }
    }

    /// Returns `true` if a name is that of a scratch schema and the template does not produce
    /// those.
    fn is_others_scratch(&self, name: &str) -> bool {
        name.starts_with(SCRATCH)
            && !self.around_id().is_some_and(|(prefix, _)| prefix.starts_with(SCRATCH))
    }

    /// Returns the text before and after `{id}`, or `None` for a closure.
    pub(crate) fn around_id(&self) -> Option<(&str, &str)> {
        match &self.0 {
            Kind::Text(text) => text.split_once(PLACEHOLDER),
            Kind::Closure { .. } => None,
        }
    }
}

/// Returns `true` if a schema of this name belongs to the library and never to a tenant.
fn is_the_librarys(name: &str) -> bool {
    [PROVISIONAL, MOVED].iter().any(|start| name.starts_with(start))
}

impl fmt::Debug for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Text(text) => f.debug_tuple("NameTemplate").field(text).finish(),
            Kind::Closure { .. } => f.debug_tuple("NameTemplate").field(&"<closure>").finish(),
        }
    }
}

/// The reason why a [`NameTemplate`] cannot be used, or yields no container for an id.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The text must contain `{id}` exactly once.
    #[error("name template {template:?} must contain {{id}} exactly once")]
    Placeholder {
        /// The text as given.
        template: String,
    },
    /// The container's name is reserved by PostgreSQL, or by this library for
    /// [spares](crate::provision::Provisioner::fill_spares).
    #[error("container name {container:?} is reserved by PostgreSQL or tenantry")]
    Reserved {
        /// The name.
        container: String,
    },
    /// The container's name is not a valid identifier.
    #[error("container name does not work as an identifier: {0}")]
    Ident(#[from] IdentError),
}

crate::error_report::readable_debug!(TemplateError);

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TenantId {
        TenantId::parse(text).unwrap()
    }

    #[test]
    fn names_and_reads_back() {
        let template = NameTemplate::parse("t_{id}_v1").unwrap();
        assert_eq!(template.container(&id("Acme")).unwrap().as_str(), "t_Acme_v1");
        assert_eq!(template.id_of("t_Acme_v1"), Some(id("Acme")));
        for other in ["t_Acme", "Acme_v1", "t__v1", "t_a b_v1", "public", "T_Acme_v1"] {
            assert_eq!(template.id_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_inverse_counts_only_where_the_closure_leads_back() {
        let template = NameTemplate::with_inverse(
            |id| format!("x_{}", id.as_str().to_lowercase()),
            |name| match name {
                "public" => TenantId::parse("shared").ok(),
                _ => TenantId::parse(name.strip_prefix("x_")?).ok(),
            },
        );
        assert!(template.can_be_read_backwards());
        assert_eq!(template.id_of("x_acme"), Some(id("acme")));
        for other in ["x_Acme", "acme", "public", "x_", "tenantry_spare_1"] {
            assert_eq!(template.id_of(other), None, "{other}");
        }
        assert!(!NameTemplate::from_fn(|id| id.to_string()).can_be_read_backwards());
    }

    #[test]
    fn refuses_bad_templates() {
        for text in
            ["tenant", "{id}{id}", "", "pg_{id}", "PG_{id}", &format!("{}{{id}}", "x".repeat(63))]
        {
            assert!(NameTemplate::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn refuses_names_that_do_not_fit_or_are_taken() {
        let template = NameTemplate::parse("tenant_{id}").unwrap();
        assert_eq!(
            template.container(&id(&"x".repeat(60))),
            Err(TemplateError::Ident(IdentError::TooLong { bytes: 67 })),
        );
        let closure = NameTemplate::from_fn(|_| "public");
        assert!(matches!(closure.container(&id("a")), Err(TemplateError::Reserved { .. })));
    }
}

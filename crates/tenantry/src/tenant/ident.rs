use std::{fmt, str::FromStr, sync::Arc};

use serde::Serialize;

/// The longest identifier that PostgreSQL does not truncate, in bytes (`NAMEDATALEN - 1`).
///
/// PostgreSQL silently truncates longer names, so that two long names can become one; see the
/// [chapter on identifiers](https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS).
pub(crate) const MAX_BYTES: usize = 63;

/// A PostgreSQL identifier: the name of a schema, a role, a setting or a table.
///
/// This is the only type of the crate that is written into SQL text as a name, always through
/// [`quoted`](Self::quoted). It holds the name as the catalog stores it, neither case-folded nor
/// truncated.
///
/// # Examples
///
/// ```
/// use tenantry::Ident;
///
/// let schema: Ident = "Sales \"EU\"".parse()?;
/// assert_eq!(schema.quoted().to_string(), r#""Sales ""EU""""#);
/// assert!("x".repeat(64).parse::<Ident>().is_err());
/// # Ok::<(), tenantry::IdentError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schemars",
    schemars(description = "A PostgreSQL identifier, as the catalog stores it.")
)]
pub struct Ident(Arc<str>);

impl Ident {
    /// Parses `name` as an identifier.
    ///
    /// # Errors
    ///
    /// [`IdentError`] when the name is empty, longer than 63 bytes, or contains a NUL byte.
    pub fn parse(name: &str) -> Result<Self, IdentError> {
        if name.is_empty() {
            return Err(IdentError::Empty);
        }
        if name.len() > MAX_BYTES {
            return Err(IdentError::TooLong { bytes: name.len() });
        }
        if name.contains('\0') {
            return Err(IdentError::Nul);
        }
        Ok(Self(name.into()))
    }

    /// Returns the shared name.
    pub(crate) fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// Returns the name as the catalog stores it, without quotes.
    ///
    /// Use it as a bind parameter, not in SQL text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name as SQL text, always in double quotes.
    #[must_use]
    pub fn quoted(&self) -> impl fmt::Display + '_ {
        Quoted(&self.0)
    }

    /// Returns `true` if the schema belongs to PostgreSQL.
    pub(crate) fn is_postgresqls(&self) -> bool {
        is_reserved_schema(&self.0) && !self.0.eq_ignore_ascii_case("public")
    }

    /// Returns `true` if the schema belongs to PostgreSQL or is `public`.
    pub(crate) fn is_reserved_schema(&self) -> bool {
        is_reserved_schema(&self.0)
    }
}

/// Returns `true` if `name` is `public`, `information_schema` or starts with `pg_`, in any case.
///
/// PostgreSQL itself refuses to create a schema whose name starts with `pg_`.
pub(super) fn is_reserved_schema(name: &str) -> bool {
    let starts_with_pg = name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("pg_"));
    starts_with_pg
        || name.eq_ignore_ascii_case("public")
        || name.eq_ignore_ascii_case("information_schema")
}

/// Name prefix of schemas that the library creates before they belong to a tenant.
pub(crate) const PROVISIONAL: &str = "tenantry_spare_";

/// Name prefix of the schemas that moved tenants have left behind.
pub(crate) const MOVED: &str = "tenantry_moved_";

/// Name prefix of the schemas and roles that an isolation proof creates and removes.
pub(crate) const SCRATCH: &str = "tenantry_proof_";

struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        let mut parts = self.0.split('"');
        f.write_str(parts.next().unwrap_or_default())?;
        for part in parts {
            f.write_str("\"\"")?;
            f.write_str(part)?;
        }
        f.write_str("\"")
    }
}

impl FromStr for Ident {
    type Err = IdentError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::parse(name)
    }
}

impl TryFrom<&str> for Ident {
    type Error = IdentError;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::parse(name)
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// The reason why a text is not an [`Ident`].
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentError {
    /// The name is empty.
    #[error("identifier is empty")]
    Empty,
    /// The name is longer than the 63 bytes that PostgreSQL supports.
    #[error("identifier has {bytes} bytes; PostgreSQL allows at most {MAX_BYTES}")]
    TooLong {
        /// The length of the name.
        bytes: usize,
    },
    /// The name contains a NUL byte.
    #[error("identifier contains a NUL byte")]
    Nul,
}

crate::error_report::readable_debug!(IdentError);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_every_name_the_way_postgresql_does() {
        for (name, quoted) in [
            ("users", r#""users""#),
            ("Sales", r#""Sales""#),
            ("a\"b", r#""a""b""#),
            ("\"", r#""""""#),
            ("x\"; DROP SCHEMA \"y", r#""x""; DROP SCHEMA ""y""#),
        ] {
            assert_eq!(Ident::parse(name).unwrap().quoted().to_string(), quoted);
        }
    }

    #[test]
    fn counts_bytes_not_characters() {
        assert!(Ident::parse(&"ä".repeat(31)).is_ok());
        assert_eq!(Ident::parse(&"ä".repeat(32)), Err(IdentError::TooLong { bytes: 64 }));
    }

    #[test]
    fn knows_reserved_schemas() {
        for name in ["public", "Public", "pg_catalog", "PG_temp_3", "information_schema"] {
            assert!(Ident::parse(name).unwrap().is_reserved_schema(), "{name}");
        }
        for name in ["pgx", "tenant_public", "äöü", "pü"] {
            assert!(!Ident::parse(name).unwrap().is_reserved_schema(), "{name}");
        }
    }
}

//! Parses the database URL without leaking secrets into errors.
//!
//! sqlx's parser does not run first: it misreads a `/`, `?` or `#` in a password, and logs
//! parameters that it does not know.

use std::borrow::Cow;

use sqlx_core::percent_encoding::percent_decode_str;

/// The reason why the database URL, or a related environment variable, cannot be used.
///
/// It names the parameter or the missing file, and never shows a value.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(Cow<'static, str>);

crate::error_report::readable_debug!(UrlError);

impl UrlError {
    pub(super) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self(what.into())
    }
}

/// A connection parameter.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) key: Cow<'static, str>,
    pub(super) value: String,
    /// `true` if key and value can be shown, because they are not part of a password.
    pub(super) is_safe: bool,
}

type Result<T> = std::result::Result<T, UrlError>;

/// Splits a database URL into parameters with the names of [libpq], for programs that run beside
/// the manager, such as `psql` and `pg_dump`: `user`, `password`, `host`, `port`, `dbname`,
/// `sslmode` and so on. Values are decoded. Parameters missing from the URL are missing from the
/// result; libpq and sqlx take them from `PGHOST`, `PGPASSWORD`, `.pgpass` and so on.
///
/// The password is included: do not print the parameters or pass them as arguments, which are
/// visible to all users of a machine. libpq also reads most of them from [environment variables].
///
/// [libpq]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
/// [environment variables]: https://www.postgresql.org/docs/current/libpq-envars.html
///
/// # Errors
///
/// [`UrlError`] when [`TenantManager::builder`](super::TenantManager::builder) would refuse the
/// URL.
///
/// # Examples
///
/// ```
/// let parameters = tenantry::url_parameters("postgres://app@db.example/saas?sslmode=require")?;
/// let host = parameters.iter().find(|(key, _)| key == "host");
/// assert_eq!(host.map(|(_, value)| value.as_str()), Some("db.example"));
/// # Ok::<(), tenantry::UrlError>(())
/// ```
pub fn url_parameters(url: &str) -> std::result::Result<Vec<(String, String)>, UrlError> {
    let parameters = parameters(url)?;
    Ok(parameters.into_iter().map(|found| (found.key.into_owned(), found.value)).collect())
}

/// Parses the parameters of a URL, in order, under their libpq names.
pub(super) fn parameters(url: &str) -> Result<Vec<Parameter>> {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(UrlError::new(match url.contains('=') {
            true => "the database is given as key=value pairs: write postgres://user@host/database",
            false => "the database URL must begin with postgres:// or postgresql://",
        }));
    };
    if !["postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(UrlError::new("the scheme of the database URL must be postgres or postgresql"));
    }
    if rest.contains(|c: char| c.is_control()) {
        return Err(UrlError::new(
            "the database URL has a control character or a line break in it",
        ));
    }
    if rest.contains('#') {
        return Err(UrlError::new("the database URL has a # in it: write %23, also in a password"));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    if database.contains('@') || query.contains('@') {
        return Err(UrlError::new(
            "the database URL has an @ behind its host: in a user or password write %2F for /, \
             %3F for ? and %40 for @, and elsewhere %40 for @",
        ));
    }
    let mut found = authority_of(authority)?;
    found.push(Parameter::new("dbname", decoded("database", database)?));
    found.retain(|parameter| !parameter.value.is_empty());
    // An encoded @ may be the one before the host, and the query then part of the password.
    let is_safe = !(authority.contains(':') && query.contains("%40"));
    let named = pairs(query, is_safe)?;
    found.retain(|parameter| named.iter().all(|other| other.key != parameter.key));
    found.extend(named);
    Ok(found)
}

/// Parses `user:password@host:port,host:port`.
fn authority_of(authority: &str) -> Result<Vec<Parameter>> {
    let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for address in address.split(',') {
        let (host, port) = host_of(address)?;
        hosts.push(decoded("host", host)?);
        ports.push(port);
    }
    let has_ports = ports.iter().any(|port| !port.is_empty());
    Ok(vec![
        Parameter::new("user", decoded("user", user)?),
        Parameter::new("password", decoded("password", password)?),
        Parameter::new("host", hosts.join(",")),
        Parameter::new("port", if has_ports { ports.join(",") } else { String::new() }),
    ])
}

/// Parses `host:port` or `[host]:port`.
fn host_of(address: &str) -> Result<(&str, &str)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, ""),
            Some((host, port)) if port.starts_with(':') => (host, &port[1..]),
            _ => return Err(UrlError::new("the [ before the host in the database URL has no ]")),
        },
        None if address.matches(':').count() > 1 => {
            return Err(UrlError::new(
                "the host in the database URL has several colons: an IPv6 address must be in brackets",
            ));
        }
        None => address.split_once(':').unwrap_or((address, "")),
    };
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err(UrlError::new(
            "the port in the database URL is not a number; if it is part of a password, write %2F for / and %3F for ?",
        ));
    }
    Ok((host, port))
}

/// Parses `key=value&key=value`, where a `+` is a space.
fn pairs(query: &str, mut is_safe: bool) -> Result<Vec<Parameter>> {
    let mut found: Vec<Parameter> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(UrlError::new("a parameter in the database URL has no ="));
        };
        let key = decoded("name of a parameter", key)?;
        let key = known_as(&key).map_or(Cow::Owned(key), Cow::Borrowed);
        let what = if is_safe && is_word(&key) { &key } else { "value of a parameter" };
        let value = decoded(what, &value.replace('+', " "))?;
        if found.iter().any(|other| other.key == key) {
            let key = if is_safe && is_word(&key) { &key } else { "a parameter" };
            return Err(UrlError::new(format!("the database URL has {key} twice")));
        }
        // Parameters after a password may be part of it, behind an & that should be %26.
        let follows = is_safe && key != "password";
        found.push(Parameter { is_safe: is_safe && is_word(&key), key, value });
        is_safe = follows;
    }
    Ok(found)
}

/// Returns the libpq name of a parameter for which sqlx accepts several.
fn known_as(key: &str) -> Option<&'static str> {
    match key {
        "ssl-mode" => Some("sslmode"),
        "ssl-root-cert" | "ssl-ca" => Some("sslrootcert"),
        "ssl-cert" => Some("sslcert"),
        "ssl-key" => Some("sslkey"),
        _ => None,
    }
}

fn is_word(key: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    key.len() < 64 && key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(is_part)
}

fn decoded(what: &str, text: &str) -> Result<String> {
    let wrong = |how| Err(UrlError::new(format!("the {what} in the database URL has {how}")));
    let mut escapes = text.split('%').skip(1);
    let is_hex = |rest: &str| {
        rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !escapes.all(is_hex) {
        return wrong("a % without two hex digits: write %25");
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if text.contains('\0') => wrong("a %00 in it"),
        Ok(text) => Ok(text.into_owned()),
        Err(_) => wrong("bytes in it that are not UTF-8"),
    }
}

impl Parameter {
    pub(super) fn new(key: &'static str, value: String) -> Self {
        Self { key: Cow::Borrowed(key), value, is_safe: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Vec<(String, String)> {
        let found = parameters(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        found.into_iter().map(|p| (p.key.into_owned(), p.value)).collect()
    }

    fn pairs_of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_what_a_url_can_have() {
        for (url, found) in [
            ("postgres://", &[][..]),
            ("postgresql:///app", &[("dbname", "app")]),
            ("POSTGRES://h", &[("host", "h")]),
            (" postgres://h\n", &[("host", "h")]),
            ("postgres://u@h:5433/", &[("user", "u"), ("host", "h"), ("port", "5433")]),
            (
                "postgres://us%40er:p%2Fa%3Fs%23s@h/d%20b",
                &[("user", "us@er"), ("password", "p/a?s#s"), ("host", "h"), ("dbname", "d b")],
            ),
            // Other URL parsers read it the same way.
            ("postgres://u:p@s:s@h", &[("user", "u"), ("password", "p@s:s"), ("host", "h")]),
            ("postgres://[::1]:5433/d", &[("host", "::1"), ("port", "5433"), ("dbname", "d")]),
            ("postgres://[fe80::1%25eth0]", &[("host", "fe80::1%eth0")]),
            ("postgres://a:1,[::1]:2,c/", &[("host", "a,::1,c"), ("port", "1,2,")]),
            ("postgres://a,b/d", &[("host", "a,b"), ("dbname", "d")]),
            ("postgres://%2Fvar%2Frun/d", &[("host", "/var/run"), ("dbname", "d")]),
            (
                "postgres://localhost/d?host=/run&options=-c+a%3Db",
                &[("dbname", "d"), ("host", "/run"), ("options", "-c a=b")],
            ),
            ("postgres://?ssl-mode=require&", &[("sslmode", "require")]),
        ] {
            assert_eq!(read(url), pairs_of(found), "{url}");
        }
    }

    #[test]
    fn names_a_key_only_where_it_cannot_be_a_piece_of_a_password() {
        let safe = |url: &str| parameters(url).unwrap().last().unwrap().is_safe;
        assert!(safe("postgres://u:p@h/d?sslmod=x"));
        assert!(!safe("postgres://u@h/d?password=a&secret=x"));
        assert!(!safe("postgres://u@h/d?se cret=x"));
        assert!(!safe("postgres://u:12?secret=x%40h"));
    }
}

use std::fmt;

use crate::{
    error::{Error, ErrorKind},
    fleet::Fleet,
    tenant::Ident,
};

/// A connection string by which the target reaches the source. It can contain a password.
#[derive(Clone)]
pub(super) struct Conninfo(String);

impl Conninfo {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the one that follows from the manager's configuration. It has no password, unless the configuration has one
    /// for other servers.
    ///
    /// # Errors
    ///
    /// When no host can be written to, or the credentials of maintenance are not available.
    pub(super) async fn of(source: &Fleet) -> Result<Self, Error> {
        let server = source.server();
        let connector = server.connector();
        let primary = connector.primary().await;
        let attempted = "finding the host of the source that other servers connect to";
        let options = primary
            .map_err(|error| Error::new(ErrorKind::Unavailable, attempted).with_source(error))?;
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |folder| folder.to_string_lossy().into_owned(),
        );
        let user = server.user_of_upkeep().await?;
        let port = options.get_port().to_string();
        let database = source.home().database().map(Ident::as_str);
        let own = connector.database();
        let parts = [
            ("host", host.as_str()),
            ("port", port.as_str()),
            ("user", user.as_deref().unwrap_or(options.get_username())),
            ("dbname", database.unwrap_or(&own)),
        ];
        let parts = parts.map(|(name, value)| format!("{name}={}", quoted(value)));
        // Of a parameter that is given twice, libpq takes the last value.
        let added = connector.from_others.as_deref().into_iter();
        Ok(Self(parts.iter().map(String::as_str).chain(added).collect::<Vec<_>>().join(" ")))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conninfo(..)")
    }
}

fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_as_libpq_reads_them() {
        assert_eq!(quoted(r"it's a \ "), r"'it\'s a \\ '");
    }
}

use std::fmt;

use crate::{fleet::Fleet, tenant::Ident};

/// A connection string by which the target reaches the source. It can contain a password.
#[derive(Clone)]
pub(super) struct Conninfo(String);

impl Conninfo {
    pub(super) fn new(text: String) -> Self {
        Self(text)
    }

    /// Returns the one that follows from the manager's configuration, without a password.
    pub(super) fn of(source: &Fleet) -> Self {
        let connector = source.server().connector();
        let options = connector.options();
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |folder| folder.to_string_lossy().into_owned(),
        );
        let port = options.get_port().to_string();
        let database = source.home().database().map(Ident::as_str);
        let own = connector.database();
        let parts = [
            ("host", host.as_str()),
            ("port", port.as_str()),
            ("user", options.get_username()),
            ("dbname", database.unwrap_or(&own)),
        ];
        Self(parts.map(|(name, value)| format!("{name}={}", quoted(value))).join(" "))
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

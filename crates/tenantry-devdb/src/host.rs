//! The server in which databases are created.

use std::{env, fmt, sync::Arc};

use url::Url;

use crate::{
    Error,
    admin::{self, Admin, Content},
    blocking::blocking,
    database_name::DatabaseName,
    installation,
    shared::SharedServer,
};

/// `DATABASE_URL`, or else the server that the processes of a test run share.
pub(crate) enum Host {
    /// A foreign server: nothing is left behind in it.
    Given(Url),
    /// The same, but named by the program.
    Named(Url),
    /// Our own server, which is removed with all its contents.
    Shared(Arc<SharedServer>),
}

impl Host {
    pub(crate) async fn find() -> Result<Self, Error> {
        if let Some(url) = env::var_os("DATABASE_URL").filter(|url| !url.is_empty()) {
            let url = url.to_str().ok_or_else(|| Error::database_url("it is not UTF-8"))?;
            return given(url).map(Self::Given);
        }
        if let Some(server) = SharedServer::joined() {
            return Ok(Self::Shared(server));
        }
        let binaries = installation::find().await?;
        blocking(move || SharedServer::join(&binaries)).await.map(Self::Shared)
    }

    /// The server that a program names.
    pub(crate) fn named(url: &str) -> Result<Self, Error> {
        // The cause is not shown: it may be part of a password.
        let sound = given(url).map(Self::Named);
        sound.map_err(|_| Error::failed("creating a database", "the URL of its server is invalid"))
    }

    /// A session in the database that others are created from.
    pub(crate) async fn admin(&self) -> Result<Admin, Error> {
        Admin::connect(&self.admin_url()).await.map_err(|error| match self {
            Self::Given(_) => error.under("using DATABASE_URL"),
            Self::Named(_) | Self::Shared(_) => error,
        })
    }

    /// The URL of the database that others are created from.
    pub(crate) fn admin_url(&self) -> String {
        match self {
            Self::Given(url) | Self::Named(url) => url.to_string(),
            Self::Shared(server) => admin::loopback_url(server.port(), "postgres"),
        }
    }

    pub(crate) fn database_url(&self, name: &DatabaseName) -> String {
        match self {
            Self::Given(url) | Self::Named(url) => with_database(url, name),
            Self::Shared(server) => admin::loopback_url(server.port(), name.as_str()),
        }
    }

    /// The content of a new database before its setup.
    pub(crate) fn empty(&self) -> Content<'static> {
        match self {
            // It may force everything to disk, which makes copying files slow.
            Self::Given(_) | Self::Named(_) => Content::ServerDefault,
            Self::Shared(_) => Content::Empty,
        }
    }
}

/// Never shows the URL, which can contain a password.
impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "Given",
            Self::Named(_) => "Named",
            Self::Shared(_) => "Shared",
        })
    }
}

fn given(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).map_err(|_| Error::database_url("it is not a URL"))?;
    if !["postgres", "postgresql"].contains(&url.scheme()) {
        return Err(Error::database_url("it does not start with postgres://"));
    }
    let is_known = |key: &str| key.starts_with("options[") || PARAMETERS.contains(&key);
    let is_split = url.fragment().is_some() || url.path().contains('@');
    if is_split || !url.query_pairs().all(|(key, _)| is_known(&key)) {
        return Err(Error::database_url(
            "it has a parameter that is not known, or a password that is not percent-encoded: write \
             %2F for /, %3F for ? and %23 for #",
        ));
    }
    Ok(url)
}

/// The parameters that sqlx knows. It logs other parameters with their values, which can be parts of a password.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The URL with another database; user, password, host and options stay.
fn with_database(url: &Url, name: &DatabaseName) -> String {
    let mut url = url.clone();
    url.set_path(name.as_str());
    // sqlx also reads the database name from here, and this place takes precedence.
    let options: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != "dbname").collect();
    url.set_query(None);
    if !options.is_empty() {
        url.query_pairs_mut().extend_pairs(options);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::{given, with_database};
    use crate::database_name::DatabaseName;

    #[test]
    fn only_the_database_of_a_given_url_changes() {
        let name = DatabaseName::parse("x").unwrap();
        for (url, expected) in [
            ("postgres://u:p%40@h:1/app", "postgres://u:p%40@h:1/x"),
            ("postgresql://h", "postgresql://h/x"),
            ("postgres://h/app?sslmode=disable", "postgres://h/x?sslmode=disable"),
            ("postgres:///app?host=%2Ftmp&dbname=app", "postgres:///x?host=%2Ftmp"),
        ] {
            assert_eq!(with_database(&given(url).unwrap(), &name), expected);
        }
    }

    #[test]
    fn an_unusable_url_is_not_repeated_in_the_error() {
        for url in [
            "secret",
            "mysql://u:secret@h/x",
            "postgres://u:secret@h:port/x",
            "postgres://u:1?secret@h/x",
            "postgres://u:1/secret@h/x",
            "postgres://u:1#secret@h/x",
            "postgres://u:1?a=secret",
        ] {
            let error = given(url).unwrap_err();
            assert!(error.to_string().starts_with("DATABASE_URL is set"), "{error}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}

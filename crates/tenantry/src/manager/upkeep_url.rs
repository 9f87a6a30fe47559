//! The maintenance login, taken from a URL.

use sqlx::postgres::PgConnectOptions;

use super::{
    parameters::Connecting,
    url::{UrlError, parameters},
};
use crate::pool::Credentials;

/// Reads the user and password of a URL, which must name the manager's hosts and database.
pub(super) fn credentials(url: &str, hosts: &[PgConnectOptions]) -> Result<Credentials, UrlError> {
    let found = parameters(url)?;
    let value = |key| found.iter().find(|parameter| parameter.key == key);
    let Some(user) = value("user") else {
        return Err(UrlError::new("its URL names no user"));
    };
    if places(&Connecting::read(url)?.hosts) != places(hosts) {
        return Err(UrlError::new(
            "its URL names a different server or database than the database URL: only the user and the password may \
             differ",
        ));
    }
    let credentials = Credentials::new(&user.value);
    let password = value("password").map(|password| password.value.clone());
    Ok(password.into_iter().fold(credentials, Credentials::password))
}

/// Returns the addresses and databases of the hosts, sorted for comparison.
fn places(hosts: &[PgConnectOptions]) -> Vec<(String, u16, String)> {
    let place = |options: &PgConnectOptions| {
        let socket = options.get_socket().map(|path| path.display().to_string());
        let host = socket.unwrap_or_else(|| options.get_host().to_owned());
        // The database defaults to the user name.
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        (host, options.get_port(), database.to_owned())
    };
    let mut places: Vec<_> = hosts.iter().map(place).collect();
    places.sort();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Credentials, String> {
        let hosts = Connecting::read("postgres://app:old@h:5433/saas").unwrap().hosts;
        credentials(url, &hosts).map_err(|error| error.to_string())
    }

    #[test]
    fn only_user_and_password_differ() {
        let found = read("postgres://owner:s%23cret@h:5433/saas?application_name=x").unwrap();
        assert_eq!(found.user(), "owner");
        for (url, says) in [
            ("postgres://owner@other:5433/saas", "a different server or database"),
            ("postgres://owner@h:5434/saas", "a different server or database"),
            ("postgres://owner@h:5433/other", "a different server or database"),
            ("postgres://owner@h:5433", "a different server or database"),
            ("postgres://h:5433/saas", "no user"),
            ("postgres://owner:geheim#1@h:5433/saas", "%23"),
            ("mysql://owner:geheim@h/saas", "scheme"),
        ] {
            let error = read(url).unwrap_err();
            assert!(error.contains(says) && !error.contains("geheim"), "{url}: {error}");
        }
    }
}

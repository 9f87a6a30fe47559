//! Explains why a database cannot be reached, and what to do.

use std::{error::Error as StdError, io, sync::Arc};

use sqlx::postgres::PgConnectOptions;

use crate::{
    doctor::{Finding, error_in_words},
    error::{Error, ErrorClass, ErrorKind},
    sql::Sql,
};

/// The destination of connections, without the password.
#[derive(Debug, Clone)]
pub(super) struct Target {
    user: String,
    host: String,
    database: String,
}

impl Target {
    pub(super) fn of(connect: &PgConnectOptions) -> Self {
        let port = connect.get_port();
        let host = match connect.get_socket() {
            Some(folder) => format!("the socket of port {port} in {}", folder.display()),
            None => format!("{}:{port}", connect.get_host()),
        };
        let user = connect.get_username().to_owned();
        // PostgreSQL defaults to the name of the user.
        let database = connect.get_database().unwrap_or(&user).to_owned();
        Self { user, host, database }
    }

    /// Returns the server and the database.
    pub(super) fn place(&self) -> String {
        format!("the database {} at {} as {}", self.database, self.host, self.user)
    }
}

/// Explains why a connect failed.
pub(super) fn explain(error: &Error, target: &Target) -> Finding {
    let lost = sqlx_error(error);
    let code = lost.and_then(|lost| lost.as_database_error()?.code().map(|code| code.to_string()));
    let words = match lost {
        Some(sqlx::Error::Database(answer)) => format!("the server says: {}", answer.message()),
        Some(sqlx::Error::Io(error)) => error.to_string(),
        Some(sqlx::Error::Tls(error)) => error.to_string(),
        _ => error_in_words(error),
    };
    // rustls reports a certificate that it rejects as invalid data.
    if let Some(sqlx::Error::Io(refused)) = lost
        && refused.kind() == io::ErrorKind::InvalidData
    {
        return certificate(&words, target);
    }
    let finding = match code {
        Some(code) => by_code(&code, &words, target),
        None => None,
    };
    finding.unwrap_or_else(|| by_class(error, &words, target))
}

/// Finds the underlying sqlx error.
fn sqlx_error(error: &Error) -> Option<&sqlx::Error> {
    let mut source = error.source();
    while let Some(error) = source {
        let shared = || error.downcast_ref::<Arc<sqlx::Error>>().map(|error| &**error);
        if let Some(found) = error.downcast_ref().or_else(shared) {
            return Some(found);
        }
        source = error.source();
    }
    None
}

fn by_code(code: &str, words: &str, target: &Target) -> Option<Finding> {
    let Target { user, host, database } = target;
    let (what, how) = match code {
        "28P01" => (
            format!("the server refuses the password of {user}"),
            "check the password: percent-encoded in the URL, in PGPASSWORD or in the file .pgpass".into(),
        ),
        "28000" => (
            format!("the server rejects the login of {user}"),
            format!(
                "check that the role exists and may log in, and that pg_hba.conf has a line for it, for the \
                 database {database} and for this address; a line that begins with hostssl demands \
                 sslmode=require or better"
            ),
        ),
        "3D000" => return Some(no_database(words, database)),
        "42501" => return Some(no_privilege(words, user, database)),
        "53300" => (
            "the server is out of connection slots".into(),
            "close unused sessions, lower max_connections of the services that share the server, or \
             raise that of the server"
                .into(),
        ),
        "55000" => (
            format!("the database {database} does not accept connections"),
            "check datallowconn in pg_database".into(),
        ),
        "57P01" | "57P02" | "57P03" => (
            format!("the server at {host} is starting, stopping or recovering"),
            "wait, and run the doctor again".into(),
        ),
        _ => return None,
    };
    Some(Finding::error(what, words).how(how))
}

fn no_database(words: &str, database: &str) -> Finding {
    let mut sql = Sql::new("create database ");
    sql.name(database);
    Finding::error(format!("there is no database {database}"), words)
        .how("correct the name of the database, or create it")
        .sql(sql.as_str())
}

fn no_privilege(words: &str, user: &str, database: &str) -> Finding {
    let mut sql = Sql::new("grant connect on database ");
    sql.name(database).text(" to ").name(user);
    Finding::error(format!("{user} may not connect to {database}"), words)
        .how(format!("let {user} connect to the database"))
        .sql(sql.as_str())
}

fn certificate(words: &str, target: &Target) -> Finding {
    let Target { host, .. } = target;
    let how = format!(
        "point sslrootcert to the authority that signed the certificate; with sslmode=verify-full the certificate must \
         name the host of {host}, and a self-signed certificate must not be an authority itself (CA:TRUE)"
    );
    Finding::error(format!("the certificate of {host} is not accepted"), words).how(how)
}

fn by_class(error: &Error, words: &str, target: &Target) -> Finding {
    let Target { host, .. } = target;
    let (what, how) = match (error.kind(), error.class()) {
        (ErrorKind::TransactionPooler, _) => (
            "a pooler in transaction mode is in front of the server".to_owned(),
            "connect to PostgreSQL itself, or set the pooler to session mode".to_owned(),
        ),
        (ErrorKind::Config, _) => (
            "the configuration does not fit the database".to_owned(),
            "change the configuration as the error describes".to_owned(),
        ),
        (_, ErrorClass::Tls) => (
            format!("no TLS connection to {host}"),
            "turn TLS on at the server (ssl = on), or use sslmode=prefer on a network that you trust"
                .to_owned(),
        ),
        (ErrorKind::Timeout | ErrorKind::Overloaded, _) => (
            format!("no connection to {host} in time"),
            "check the host, the port and firewalls; in a service, check whether requests hold all connections"
                .to_owned(),
        ),
        (_, ErrorClass::Connection | ErrorClass::Shutdown) => (
            format!("{host} cannot be reached"),
            "check that the server runs, the host, the port, its listen_addresses, and firewalls".to_owned(),
        ),
        _ => ("the database cannot be used".to_owned(), String::new()),
    };
    Finding::error(what, words).how(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_remedy() {
        let target =
            Target { user: "a\"b".into(), host: "db:5432".into(), database: "saas".into() };
        for (code, what) in [
            ("28P01", "password of a\"b"),
            ("28000", "rejects the login"),
            ("3D000", "no database saas"),
            ("42501", "may not connect"),
            ("53300", "slots"),
            ("55000", "does not accept"),
            ("57P03", "starting"),
        ] {
            let finding = by_code(code, "words", &target).unwrap();
            assert!(finding.what.contains(what) && !finding.how.is_empty(), "{finding:?}");
        }
        let granted = by_code("42501", "words", &target).unwrap();
        assert_eq!(granted.sql, [r#"grant connect on database "saas" to "a""b""#]);
        assert_eq!(by_code("XX000", "words", &target), None);
    }
}

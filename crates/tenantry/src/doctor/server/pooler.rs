use std::{net::IpAddr, time::Duration};

use futures_util::FutureExt;
use sqlx::postgres::PgConnectOptions;

use crate::{
    doctor::{
        BoxFuture, Check, Examined, Finding, NO_CONNECTION, OnServer, Subject, on_each_server,
    },
    error::Error,
    pool::Pooling,
};

/// Whether a pooler or proxy is in front of the server, and whether it keeps sessions apart.
pub(super) struct Pooler;

impl Check for Pooler {
    fn name(&self) -> &str {
        "pooler"
    }

    fn title(&self) -> &str {
        "Connection pooler"
    }

    fn needs_database(&self) -> bool {
        false // The verdict on a pooler may be why there is no connection.
    }

    fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined> {
        on_each_server(on, "who answers", |on| look(on).boxed()).boxed()
    }
}

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let server = on.server();
    if on.version().await.is_err() {
        return Ok(match server.pooling() {
            Pooling::Transaction => judge(Pooling::Transaction, None),
            _ => Examined::skipped(NO_CONNECTION).because(NO_CONNECTION),
        });
    }
    if server.pooling() == Pooling::Unknown {
        // The first two connections are compared when the second one is opened.
        let system = on.system();
        let _ = futures_util::join!(system.ping(), system.ping());
    }
    let asked = sqlx::query_as(WHO).persistent(false).fetch_one(on.system()).await;
    let (address, port, age): (Option<String>, Option<i32>, Option<f64>) = asked?;
    let seen = Seen { address: address.and_then(|address| address.parse().ok()), port, age };
    let between = seen.between(on.connect_options(), server.age());
    let examined = judge(server.pooling(), between);
    Ok(match (server.front(), server.pooling()) {
        (Some(_), Pooling::Session) => examined.in_words(
            "tenants are bound for each transaction, behind a transaction pooler; maintenance is direct",
        ),
        _ => examined,
    })
}

fn judge(pooling: Pooling, between: Option<String>) -> Examined {
    match (pooling, between) {
        (Pooling::Transaction, _) => {
            let finding = Finding::error(
                "a pooler in transaction mode is in front of the server",
                "any tenant's session may answer any other tenant, so nothing is served",
            );
            Examined::error("transaction mode").finding(finding.how(
                "connect to PostgreSQL itself, or set the pooler to session mode, and restart",
            ))
        }
        (Pooling::Session, Some(signs)) => Examined::ok("session mode").in_words(format!(
            "session mode; a pooler or proxy is in front of the server ({signs})"
        )),
        (Pooling::Session, None) => {
            Examined::ok("direct").in_words("none detected; sessions are isolated")
        }
        (_, between) => {
            let signs = between.map_or_else(String::new, |signs| format!(" ({signs})"));
            let why =
                "no two connections could be compared: a budget of one has no second connection";
            Examined::unknown(format!("{why}{signs}"))
        }
    }
}

/// The session as the server sees it.
struct Seen {
    address: Option<IpAddr>,
    port: Option<i32>,
    /// The age of the server's process, in seconds.
    age: Option<f64>,
}

impl Seen {
    /// Returns the evidence that connections do not go straight to the server.
    fn between(&self, connect: &PgConnectOptions, pool: Duration) -> Option<String> {
        let by_socket = connect.get_socket().is_some() || connect.get_host().starts_with('/');
        let asked = connect.get_port();
        let age = self.age.unwrap_or_default();
        match (self.address, self.port) {
            (None, _) if !by_socket => Some("the server sees a Unix socket".to_owned()),
            (Some(address), _) if by_socket => Some(format!("the server sees TCP to {address}")),
            (_, Some(port)) if port != i32::from(asked) && !by_socket => {
                Some(format!("port {asked} was asked, and the server's is {port}"))
            }
            (Some(address), _) if is_another(connect.get_host(), address) => {
                Some(format!("the server's address is {address}"))
            }
            _ if age > pool.as_secs_f64() + 2.0 => Some(format!("its session is {age:.0} s old")),
            _ => None,
        }
    }
}

/// Returns `true` if the host is an address other than this one.
fn is_another(host: &str, address: IpAddr) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok_and(|host| host != address)
}

/// Address and port of the server, as it sees them; age of the session's process.
const WHO: &str = "\
    select pg_catalog.host(pg_catalog.inet_server_addr()), pg_catalog.inet_server_port(), \
      (select pg_catalog.date_part('epoch', \
           pg_catalog.clock_timestamp() operator(pg_catalog.-) a.backend_start) \
         from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn signs_of_a_pooler() {
        let second = Duration::from_secs(1);
        let tcp = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(6432);
        let socket = PgConnectOptions::new_without_pgpass().socket("/run/postgresql").port(5432);
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        let seen = |address, port, age| Seen { address, port, age: Some(age) };
        for (seen, connect, signs) in [
            (seen(address, Some(6432), 0.1), &tcp, None),
            (seen(address, Some(5432), 0.1), &tcp, Some("port 6432 was asked")),
            (seen(None, None, 0.1), &tcp, Some("a Unix socket")),
            (seen(None, None, 0.1), &socket, None),
            (seen(address, Some(5432), 0.1), &socket, Some("TCP to 127.0.0.1")),
            (seen(Some(IpAddr::from([10, 0, 0, 9])), Some(6432), 0.1), &tcp, Some("10.0.0.9")),
            (seen(address, Some(6432), 60.0), &tcp, Some("60 s old")),
        ] {
            let found = seen.between(connect, second);
            assert_eq!(found.is_some(), signs.is_some(), "{found:?}");
            assert!(found.unwrap_or_default().contains(signs.unwrap_or_default()), "{signs:?}");
        }
    }

    #[test]
    fn the_verdict_decides() {
        for (pooling, between, status) in [
            (Pooling::Transaction, None, CheckStatus::Error),
            (Pooling::Session, Some("x".to_owned()), CheckStatus::Ok),
            (Pooling::Session, None, CheckStatus::Ok),
            (Pooling::Unknown, None, CheckStatus::Unknown),
        ] {
            assert_eq!(judge(pooling, between).status(), status, "{pooling:?}");
        }
    }
}

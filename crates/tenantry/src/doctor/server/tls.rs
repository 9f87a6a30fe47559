use futures_util::FutureExt;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck},
    error::Error,
};

/// Whether sessions are encrypted, and the server is verified.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "tls",
    title: "TLS",
    reads: "the encryption of the session",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let asked = sqlx::query_as(OWN_SESSION).persistent(false);
    let session: Option<(bool, Option<String>)> = asked.fetch_optional(on.system()).await?;
    let connect = on.connect_options();
    let version = match session {
        Some((true, version)) => Some(version.unwrap_or_else(|| "TLS".to_owned())),
        Some((false, _)) => None,
        None => {
            return Ok(Examined::unknown(
                "the server does not report whether the session is encrypted",
            ));
        }
    };
    Ok(judge(version.as_deref(), connect.get_ssl_mode(), reach(connect)))
}

/// Whether traffic leaves the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Machine,
    Network,
}

fn reach(connect: &PgConnectOptions) -> Reach {
    let host = connect.get_host();
    let local = connect.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.starts_with("127.")
        || matches!(host, "::1" | "[::1]");
    if local { Reach::Machine } else { Reach::Network }
}

fn judge(version: Option<&str>, mode: PgSslMode, reach: Reach) -> Examined {
    let name = name_of(mode);
    match (version, reach) {
        (None, Reach::Machine) => Examined::ok("not used: the server is on this machine"),
        (None, Reach::Network) => {
            Examined::ok(format!("not used (sslmode={name})")).finding(unencrypted())
        }
        (Some(version), reach) => {
            let is_old = matches!(version, "TLSv1" | "TLSv1.1");
            let unverified = unverified(mode).filter(|_| reach == Reach::Network);
            Examined::ok(format!("{version}, sslmode={name}"))
                .findings(is_old.then(|| old(version)))
                .findings(unverified.map(|(what, why)| Finding::warning(what, why).how(VERIFY)))
        }
    }
}

const VERIFY: &str = "use sslmode=verify-full, and set sslrootcert if the certificate is not signed by a public \
                      authority";

fn unencrypted() -> Finding {
    Finding::warning(
        "the connection to the server is not encrypted",
        "everything that tenants read and write can be read and changed on the network",
    )
    .how(format!("turn TLS on at the server (ssl = on), and {VERIFY}"))
}

fn old(version: &str) -> Finding {
    Finding::warning(format!("the session uses {version}"), "this version of TLS is broken")
        .how("raise ssl_min_protocol_version on the server to TLSv1.2")
}

/// Describes what a mode does not verify.
fn unverified(mode: PgSslMode) -> Option<(&'static str, &'static str)> {
    match mode {
        PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer => Some((
            "sslmode lets connections fall back to plain text",
            "an attacker on the network can turn TLS off and read everything",
        )),
        PgSslMode::Require => Some((
            "sslmode=require does not verify the server",
            "an attacker on the network can impersonate the server",
        )),
        PgSslMode::VerifyCa => Some((
            "sslmode=verify-ca does not verify the host",
            "any server with a certificate of the same authority can impersonate this one",
        )),
        PgSslMode::VerifyFull => None,
    }
}

fn name_of(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        PgSslMode::Require => "require",
        PgSslMode::VerifyCa => "verify-ca",
        PgSslMode::VerifyFull => "verify-full",
    }
}

/// A session always sees its own row.
const OWN_SESSION: &str = "\
    select s.ssl, s.version from pg_catalog.pg_stat_ssl s \
    where s.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid()";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn what_can_be_read_or_forged_is_told() {
        use PgSslMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
        for (version, mode, reach, status) in [
            (None, Disable, Reach::Machine, CheckStatus::Ok),
            (None, Prefer, Reach::Network, CheckStatus::Warn),
            (Some("TLSv1.3"), Prefer, Reach::Network, CheckStatus::Warn),
            (Some("TLSv1.3"), Require, Reach::Network, CheckStatus::Warn),
            (Some("TLSv1.3"), VerifyCa, Reach::Network, CheckStatus::Warn),
            (Some("TLSv1.3"), VerifyFull, Reach::Network, CheckStatus::Ok),
            (Some("TLSv1.1"), VerifyFull, Reach::Network, CheckStatus::Warn),
            (Some("TLSv1.3"), Prefer, Reach::Machine, CheckStatus::Ok),
        ] {
            assert_eq!(
                judge(version, mode, reach).status(),
                status,
                "{version:?} {mode:?} {reach:?}"
            );
        }
    }

    #[test]
    fn hosts_of_this_machine_need_no_network() {
        for (host, expected) in [
            ("localhost", Reach::Machine),
            ("127.0.0.1", Reach::Machine),
            ("/run/postgresql", Reach::Machine),
            ("db.example.org", Reach::Network),
            ("10.0.0.1", Reach::Network),
        ] {
            let connect = PgConnectOptions::new_without_pgpass().host(host);
            assert_eq!(reach(&connect), expected, "{host}");
        }
    }
}

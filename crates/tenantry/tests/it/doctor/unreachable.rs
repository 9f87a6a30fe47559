use std::time::{Duration, Instant};

use tenantry::{TenantManager, doctor::CheckStatus};

use super::{of, whats, with_status};
use crate::support::{TestResult, connect, private_server, run};

const PASSWORD: &str = "correct-horse-battery";

#[tokio::test]
async fn each_reason_is_told_soon_and_without_the_password() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = connect(&server.url()).await;
    run(&mut admin, "create role app login password 'secret'; create role closed login").await;
    run(&mut admin, "create database private").await;
    run(&mut admin, "revoke connect on database private from public").await;
    let rules = "host all app 127.0.0.1/32 scram-sha-256\nhost all refused 127.0.0.1/32 reject\n\
                 host all all 127.0.0.1/32 trust\n";
    std::fs::write(server.data_dir().join("pg_hba.conf"), rules)?;
    run(&mut admin, "select pg_reload_conf()").await;
    let port = server.port();
    let at =
        |user: &str, rest: &str| format!("postgres://{user}:{PASSWORD}@127.0.0.1:{port}/{rest}");
    for (url, what, sql) in [
        (at("app", "postgres"), "the server refuses the password of app", None),
        (at("refused", "postgres"), "the server rejects the login of refused", None),
        (at("nobody", "postgres"), "the server rejects the login of nobody", None),
        (
            at("postgres", "missing"),
            "there is no database missing",
            Some(r#"create database "missing""#),
        ),
        (
            at("closed", "private"),
            "closed may not connect to private",
            Some(r#"grant connect on database "private" to "closed""#),
        ),
        (at("postgres", "postgres?sslmode=require"), "no TLS connection to 127.0.0.1", None),
        (
            format!("postgres://app:{PASSWORD}@127.0.0.1:1/saas"),
            "127.0.0.1:1 cannot be reached",
            None,
        ),
        (
            format!("postgres://app:{PASSWORD}@no-such-host.invalid/saas"),
            "no-such-host.invalid:5432 cannot be reached",
            None,
        ),
    ] {
        let manager = TenantManager::builder(&url).build()?;
        let began = Instant::now();
        let report =
            manager.doctor().configuration(tenantry::doctor::Examined::ok("given")).run().await?;
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
        let text = format!("{report}\n{report:?}\n{}", serde_json::to_string(&report)?);
        assert!(whats(&report, "database")[0].contains(what), "{what}: {text}");
        let finding = &of(&report, "database").findings[0];
        assert!(!finding.how.is_empty() && !finding.why.is_empty(), "{text}");
        assert_eq!(finding.sql.first().map(String::as_str), sql, "{text}");
        assert!(!text.contains(PASSWORD), "{text}");
        assert_eq!(with_status(&report, CheckStatus::Error), ["database"], "{text}");
        assert_eq!(with_status(&report, CheckStatus::Ok), ["configuration"], "{text}");
        let skipped = with_status(&report, CheckStatus::Skipped);
        assert_eq!(skipped.len(), report.checks.len() - 2, "{text}");
        assert_eq!(of(&report, "tenants").message, "no connection to the database");
        assert!(!report.success && !report.health.healthy && report.versions.postgresql.is_none());
        assert_eq!(report.health.shared_db_latency, None);
        manager.close().await;
    }
    Ok(())
}

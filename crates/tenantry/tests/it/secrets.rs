//! No password gets out, and a wrong one is told quickly.

use std::{
    error::Error,
    fmt::Write,
    time::{Duration, Instant},
};

use sqlx::postgres::PgConnectOptions;
use tenantry::{ErrorKind, TenantManager};

use crate::{
    log::{Format, logged},
    support::{TestResult, World, private_server, run},
};

const PASSWORD: &str = "hunter2-very-secret";

/// Everything that an error says, its sources included.
pub(crate) fn in_full(error: &dyn Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        write!(text, " {error} {error:?}").expect("writing into a String does not fail");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn nothing_that_is_printed_shows_the_password() -> TestResult {
    let url = format!("postgres://app:{PASSWORD}@127.0.0.1:1/saas");
    let builder = TenantManager::builder(&url);
    let mut texts = vec![format!("{builder:?}")];
    let manager = builder.build()?;
    texts.push(format!("{manager:?} {:?}", manager.shared()));
    let error = manager.tenant("acme").await.expect_err("nobody listens on port 1");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    texts.push(in_full(&error));
    let error = manager.shared().acquire().await.expect_err("nobody listens on port 1");
    texts.push(in_full(&error));

    let options = PgConnectOptions::new().username("app").password(PASSWORD);
    let builder = TenantManager::builder_with(options);
    texts.push(format!("{builder:?}"));
    texts.push(format!("{:?}", builder.build()?));

    for broken in [
        format!("postgres://app:{PASSWORD}@127.0.0.1:port/saas"),
        format!("postgres//app:{PASSWORD}@127.0.0.1/saas"),
        format!("postgres://app:{PASSWORD}@127.0.0.1/saas?sslmode=nonsense-{PASSWORD}"),
        format!("mysql://app:{PASSWORD}@127.0.0.1/saas"),
        PASSWORD.to_owned(),
    ] {
        match TenantManager::builder(&broken).build() {
            Ok(manager) => texts.push(format!("{manager:?}")),
            Err(error) => texts.push(in_full(&error)),
        }
    }
    for text in texts {
        assert!(!text.contains(PASSWORD), "{text}");
    }
    Ok(())
}

/// Pieces of a password, none of which is a word that an error or a log may have of itself.
const PIECES: [&str; 2] = ["Xq7vZ", "Kw9jY"];

/// What can stand between two pieces and mean something in a URL.
const HOSTILE: [&str; 26] = [
    "/",
    "?",
    "#",
    "@",
    ":",
    "&",
    "=",
    "%",
    "%zz",
    "[",
    "]",
    ",",
    ";",
    "+",
    " ",
    "\n",
    "\0",
    "?a=",
    "&b=",
    "/c?d=",
    "@h/",
    "#?e=",
    "?sslmode=",
    "?sslrootcert=",
    "%40h/f?g=",
    "://",
];

#[tokio::test]
async fn no_piece_of_a_password_that_is_not_encoded_gets_out() -> TestResult {
    let [first, second] = PIECES;
    let mut texts = Vec::new();
    let logged = logged(Format::Full, async {
        for one in HOSTILE {
            for two in HOSTILE {
                let password = format!("{first}{one}{second}{two}{first}");
                let digits = format!("12{two}{second}{one}{first}");
                for url in [
                    format!("postgres://u:{password}@127.0.0.1:1/d"),
                    format!("postgres://u:{digits}@127.0.0.1:1/d?application_name=x"),
                    format!("postgres://u:{password}@[::1]:1/d?sslmod=require"),
                    format!("postgres:///d?host=127.0.0.1&port=1&password={password}&user=u"),
                    format!("postgres:///d?password={password}"),
                    format!("postgres://u:{password}%40127.0.0.1:1/d"),
                    format!("postgres//u:{password}@127.0.0.1:1/d"),
                    format!("{password}://u:{password}@127.0.0.1:1/d"),
                    format!("host=127.0.0.1 password={password}"),
                ] {
                    let builder = TenantManager::builder(&url);
                    texts.push(format!("{builder:?}"));
                    match builder.build() {
                        Ok(manager) => texts.push(format!("{manager:?}")),
                        Err(error) => texts.push(in_full(&error)),
                    }
                }
            }
        }
        Ok(())
    })
    .await;
    texts.push(logged);
    for text in texts {
        assert!(PIECES.iter().all(|piece| !text.contains(piece)), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn a_password_that_is_encoded_logs_in() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = crate::support::connect(&server.url()).await;
    let password = "p/w?s#e@c:r&e=t%+[é";
    let role = format!("create role app login superuser password '{password}'");
    run(&mut admin, &format!("set password_encryption to 'scram-sha-256'; {role}")).await;
    let rules = "host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(server.data_dir().join("pg_hba.conf"), rules)?;
    server.restart().await?;
    let encoded = "p%2Fw%3Fs%23e%40c%3Ar%26e%3Dt%25%2B%5B%C3%A9";
    for url in [
        format!("postgres://app:{encoded}@127.0.0.1:{}/postgres", server.port()),
        format!(
            "postgres:///postgres?host=127.0.0.1&port={}&user=app&password={encoded}",
            server.port()
        ),
        // An @ and a : mean nothing else there.
        format!(
            "postgres://app:{}@127.0.0.1:{}/postgres",
            encoded.replace("%40", "@"),
            server.port()
        ),
    ] {
        let manager = TenantManager::builder(&url).build()?;
        assert_eq!(crate::support::name_of(&manager.tenant("acme").await?).await?, "acme");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn sockets_and_ipv6_addresses_lead_to_the_server() -> TestResult {
    let server = tenantry_devdb::DevServer::builder()
        .setting("listen_addresses", "127.0.0.1,::1")
        .start()
        .await;
    let server = match server {
        Ok(server) => server,
        Err(_) => private_server(&[]).await,
    };
    let (port, folder) = (server.port(), server.socket_dir());
    let encoded = folder.display().to_string().replace('/', "%2F");
    let mut urls = vec![
        format!("postgres://postgres@{encoded}:{port}/postgres"),
        format!("postgres://postgres@localhost:{port}/postgres?host={}", folder.display()),
        format!("postgres://postgres@/postgres?host={encoded}&port={port}"),
    ];
    if tokio::net::TcpStream::connect(("::1", port)).await.is_ok() {
        urls.push(format!("postgres://postgres@[::1]:{port}/postgres"));
        urls.push(format!("postgres:///postgres?hostaddr=::1&user=postgres&port={port}"));
    }
    for url in urls {
        let manager = TenantManager::builder(&url).build()?;
        let answer = manager.shared().ping().await;
        assert!(answer.is_ok(), "{url}: {answer:?}");
        manager.close().await;
    }
    Ok(())
}

#[tokio::test]
async fn a_handle_and_a_lease_can_be_printed_without_it() -> TestResult {
    let world = World::with_tenants(&["acme"]).await;
    let options: PgConnectOptions = world.database.url().parse()?;
    let manager = TenantManager::builder_with(options.password(PASSWORD)).build()?;
    let db = manager.tenant("acme").await?;
    let (lease, tx) = (db.acquire().await?, db.begin().await?);
    let text = format!("{db:?} {lease:?} {tx:?} {manager:?} {:?}", manager.snapshot());
    assert!(text.contains("acme") && !text.contains(PASSWORD), "{text}");
    drop((lease, tx));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_told_quickly() -> TestResult {
    let server = private_server(&["acme"]).await;
    let mut admin = crate::support::connect(&server.url()).await;
    run(
        &mut admin,
        "create role app login password 'right'; set password_encryption to 'scram-sha-256'",
    )
    .await;
    let hba = server.data_dir().join("pg_hba.conf");
    let rules = "host all app 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n";
    std::fs::write(hba, rules)?;
    run(&mut admin, "select pg_reload_conf()").await;
    let options: PgConnectOptions = server.url().parse()?;
    let manager =
        TenantManager::builder_with(options.username("app").password(PASSWORD)).build()?;
    // The server reads its rules again in its own time.
    crate::support::eventually("the rules hold", async || {
        manager.tenant("nobody").await.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
    })
    .await;
    let began = Instant::now();
    let error = manager.tenant("acme").await.expect_err("the password is wrong");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!in_full(&error).contains(PASSWORD));
    assert!(began.elapsed() < Duration::from_secs(2));
    manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_in_time() -> TestResult {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("postgres://app@{}/saas", silent.local_addr()?);
    for (connect, acquire, kind) in [
        (Duration::from_millis(100), Duration::from_secs(9), ErrorKind::Unavailable),
        (Duration::from_secs(9), Duration::from_millis(100), ErrorKind::Timeout),
    ] {
        let mut options = crate::support::pool_options(|options| options.connect_timeout = connect);
        options.acquire_timeout = acquire;
        let manager = TenantManager::builder(&url).pool_options(options).build()?;
        let began = Instant::now();
        let error = manager.tenant("acme").await.expect_err("nobody answers");
        assert_eq!(error.kind(), kind);
        assert!(began.elapsed() < Duration::from_secs(3));
        manager.close_within(Duration::from_millis(50)).await;
        assert!(began.elapsed() < Duration::from_secs(7), "close hangs");
    }
    Ok(())
}

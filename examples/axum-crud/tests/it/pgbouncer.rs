//! The program works behind a real PgBouncer with the configurations of `ops/`.

use std::{
    io::ErrorKind,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use example_support::testing::{get, skip, wait_until};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tenantry_devdb::DevServer;

use crate::{
    TestResult,
    ops_files::{Folder, list, replace, str_of, text, yaml},
    program,
};

struct PgBouncer {
    process: Child,
    port: u16,
    _folder: Folder,
}

impl PgBouncer {
    /// Starts one in front of the server at this port, with this configuration. `None` where there is none to start.
    fn start(server: u16, config: &str, users: &str) -> Option<Self> {
        // PgBouncer cannot be told to take any port. Another program may be quicker, and then this
        // one says so.
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("there are free ports");
        let port = free.local_addr().expect("it listens").port();
        drop(free);
        let folder = Folder::new();
        let users = folder.write("userlist.txt", &text(users));
        let config = text(config);
        let server = format!("host=127.0.0.1 port={server} ");
        let config = replace(&config, "host=postgres port=5432 ", &server);
        let config = replace(&config, "listen_addr = 0.0.0.0", "listen_addr = 127.0.0.1");
        let config = replace(&config, "listen_port = 6432", &format!("listen_port = {port}"));
        let users = users.to_str().expect("the temporary folder has a plain name");
        let config = replace(&config, "/etc/pgbouncer/userlist.txt", users);
        let config = folder.write("pgbouncer.ini", &config);
        let process = match spawn(&config) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip("the example behind PgBouncer: there is none on this machine");
                return None;
            }
            process => process.expect("pgbouncer can be started"),
        };
        Some(Self { process, port, _folder: folder })
    }
}

fn spawn(config: &Path) -> std::io::Result<Child> {
    // Where Debian puts it is not in everybody's PATH.
    let debian = Path::new("/usr/sbin/pgbouncer");
    let program = if debian.exists() { debian } else { Path::new("pgbouncer") };
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.args(["--user", "nobody"]);
    }
    command.arg(config).stderr(Stdio::null()).spawn()
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the command by which the compose file finds out whether the pooler is well.
fn health_check(service: &str, port: u16) {
    let compose = yaml("docker-compose.yml");
    let test = &compose["services"][service]["healthcheck"]["test"];
    let mut words = list(test).map(str_of);
    assert_eq!(words.next(), Some("CMD"));
    let program = words.next().expect("there is a command");
    let arguments = words.map(|word| word.replace(":6432", &format!(":{port}")));
    match Command::new(program).args(arguments).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("the health check of PgBouncer: there is no {program} on this machine"));
        }
        ran => assert_eq!(ran.expect("it can be run").stdout, b"1\n"),
    }
}

#[tokio::test]
async fn serves_its_tenants_behind_a_pooler_in_session_mode() -> TestResult {
    serves_its_tenants("ops/pgbouncer/pgbouncer.ini", "ops/pgbouncer/userlist.txt", "app").await
}

#[tokio::test]
async fn serves_its_tenants_behind_a_pooler_in_transaction_mode() -> TestResult {
    let users = "ops/pgbouncer/transaction-userlist.txt";
    serves_its_tenants("ops/pgbouncer/transaction.ini", users, "pooled").await
}

async fn serves_its_tenants(config: &str, users: &str, user: &str) -> TestResult {
    // Whoever wants in needs the password, as in the image.
    let server = DevServer::start().await?;
    let mut admin = PgConnection::connect(&server.url()).await?;
    sqlx::raw_sql("create role app superuser login password 'app'").execute(&mut admin).await?;
    sqlx::raw_sql(include_str!("../../../../ops/postgres/pooled.sql")).execute(&mut admin).await?;
    server.create_database("saas").await?;
    let Some(mut pooler) = PgBouncer::start(server.port(), config, users) else {
        return Ok(());
    };
    let url = format!("postgres://{user}:{user}@127.0.0.1:{}/saas", pooler.port);
    wait_until("PgBouncer listens", || {
        let ended = pooler.process.try_wait().expect("it is our child");
        assert!(ended.is_none(), "PgBouncer has ended: {ended:?}");
        std::net::TcpStream::connect(("127.0.0.1", pooler.port)).ok()
    });
    let wrong = url.replace(&format!(":{user}@"), ":wrong@");
    assert!(PgConnection::connect(&wrong).await.is_err(), "it asks for the password");
    let is_pooled = user == "pooled";
    health_check(if is_pooled { "pgbouncer-transaction" } else { "pgbouncer" }, pooler.port);

    let mut program = program().database(&url);
    if is_pooled {
        let direct = format!("postgres://app:app@127.0.0.1:{}/saas", server.port());
        program = program.env("DIRECT_URL", &direct);
    }
    let example = program.start();
    let address = example.address();
    for tenant in ["acme", "globex"] {
        let new = json!({ "email": format!("john@{tenant}.com"), "name": "John" });
        assert_eq!(example.send("POST", "/users", Some(tenant), Some(&new)).status, 201);
    }
    // More at once than there are connections, of both tenants: sessions are taken over all the
    // time, and nobody sees anybody else's users.
    thread::scope(|scope| {
        for number in 0..24 {
            let tenant = ["acme", "globex"][number % 2];
            let example = &example;
            scope.spawn(move || {
                for _ in 0..10 {
                    let users = example.send("GET", "/users", Some(tenant), None);
                    assert_eq!(users.status, 200, "{}", users.body);
                    let emails = users.json();
                    let emails = emails.as_array().expect("a list").iter();
                    let emails: Vec<_> = emails.map(|of| of["email"].clone()).collect();
                    let ada = format!("ada@{tenant}.example");
                    let grace = format!("grace@{tenant}.example");
                    assert_eq!(emails, [ada, grace, format!("john@{tenant}.com")]);
                }
            });
        }
    });
    let metrics = get(address, "/metrics", &[])?.body;
    let rebinds = metrics.lines().find_map(|line| {
        line.strip_prefix("tenantry_acquires_total{outcome=\"rebind\"} ")?.parse::<u64>().ok()
    });
    assert!(rebinds > Some(0), "{metrics}");
    let sessions = "select count(*) from pg_stat_activity where usename in ('app', 'pooled')";
    let sessions: i64 = sqlx::query_scalar(sessions).fetch_one(&mut admin).await?;
    assert!((1..=10).contains(&sessions), "{sessions}");
    assert_eq!(example.get("/health", &[]).status, 200);
    example.stop();
    drop(pooler);
    server.close().await;
    Ok(())
}

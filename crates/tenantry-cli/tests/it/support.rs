//! A folder with migrations and seeds, a database with tenants, and the binary.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tenantry::{
    TableCatalog, TenantManager,
    migrate::{MigrateOptions, Migrations},
    provision::CreateOptions,
};
use tenantry_devdb::DevDatabase;
use tokio::{io::AsyncWriteExt, process::Command, time};

/// The longest that a command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The tenants of [`Fleet::new`].
pub(crate) const TENANTS: [&str; 3] = ["acme", "globex", "initech"];

/// Files of a project; [`Fleet`]s and [`Folder::project`] have them.
const FILES: [(&str, &str); 6] = [
    ("tenantry.toml", "[tenants]\ncatalog = \"table\"\n\n[seeds]\nrepeatable = [\"settings\"]\n"),
    (
        "migrations/tenants/0001_users.sql",
        "create table users (id bigint generated always as identity primary key, email text not null unique);\n",
    ),
    (
        "migrations/tenants/0002_orders.sql",
        "create table orders (id bigint generated always as identity primary key, user_id bigint not null references users, total numeric(10, 2) not null);\n\
         create index orders_user_id on orders (user_id);\n",
    ),
    ("migrations/shared/0001_plans.sql", "create table plans (name text primary key);\n"),
    ("seeds/admin.sql", "insert into users (email) values ('admin@example.com');\n"),
    (
        "seeds/settings.sql",
        "insert into users (email) values ('info@example.com') on conflict do nothing;\n",
    ),
];

/// A temporary folder, gone with its value.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tenantry-cli-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A folder with a configuration, migrations and seeds.
    pub(crate) fn project() -> Self {
        let folder = Self::new();
        for (name, text) in FILES {
            folder.write(name, text);
        }
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, and the folders above it.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The binary in this folder, with nothing in its environment.
    pub(crate) fn tenantry<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Tenantry {
        Tenantry::new(env!("CARGO_BIN_EXE_tenantry"), self, args)
    }

    /// Another program in this folder, with nothing in its environment.
    pub(crate) fn program<A: AsRef<OsStr>>(
        &self,
        program: &str,
        args: impl IntoIterator<Item = A>,
    ) -> Tenantry {
        Tenantry::new(program, self, args)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is in the folder of temporary files.
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A call of the binary.
#[derive(Debug)]
#[must_use]
pub(crate) struct Tenantry {
    pub(crate) command: Command,
    stdin: Option<Vec<u8>>,
}

impl Tenantry {
    fn new<A: AsRef<OsStr>>(
        program: &str,
        folder: &Folder,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(args).current_dir(folder.path()).env_clear().kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // The client programs must be of the server's version.
        command.envs(std::env::var_os("TENANTRY_PG_BIN").map(|folder| ("TENANTRY_PG_BIN", folder)));
        command.env("HOME", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, stdin: None }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn url(self, url: impl AsRef<OsStr>) -> Self {
        self.env("DATABASE_URL", url)
    }

    pub(crate) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Self {
        self.command.stdin(Stdio::piped());
        self.stdin = Some(text.into());
        self
    }

    /// Runs it to its end.
    pub(crate) async fn run(mut self) -> Ran {
        let mut child = self.command.spawn().unwrap();
        let writes = child.stdin.take().zip(self.stdin).map(|(mut pipe, text)| async move {
            // A program that does not read it is no mistake here.
            drop(pipe.write_all(&text).await);
        });
        let ends = async {
            let ((), output) = tokio::join!(
                async {
                    if let Some(writes) = writes {
                        writes.await;
                    }
                },
                child.wait_with_output()
            );
            output.unwrap()
        };
        let output = time::timeout(PATIENCE, ends).await.expect("the command ends within a minute");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// How a call has ended.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    /// `None` for one that a signal has ended.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.all().contains(text), "{text:?} is not in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.all().contains(text), "{text:?} is in {self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A project with a database.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) folder: Folder,
    pub(crate) database: DevDatabase,
}

impl Fleet {
    /// A database with three [`TENANTS`] that are up to date, and their catalog in a table.
    pub(crate) async fn new() -> Self {
        let key = format!("{FILES:?}{TENANTS:?}");
        let database = DevDatabase::from_template_with(&key, make_fleet).await.unwrap();
        Self { folder: Folder::project(), database }
    }

    /// An empty database.
    pub(crate) async fn empty() -> Self {
        Self { folder: Folder::project(), database: DevDatabase::create().await.unwrap() }
    }

    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    pub(crate) async fn admin(&self) -> PgConnection {
        PgConnection::connect(self.url()).await.unwrap()
    }

    /// The binary in the project's folder, on its database.
    pub(crate) fn tenantry<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Tenantry {
        self.folder.tenantry(args).url(self.url())
    }

    /// Runs a command that is written as one would type it; arguments are between single spaces.
    pub(crate) async fn run(&self, command: &str) -> Ran {
        self.tenantry(command.split(' ')).run().await
    }

    /// Adds a migration that is pending in every tenant.
    pub(crate) fn add_migration(&self, name: &str, sql: &str) {
        self.folder.write(&format!("migrations/tenants/{name}.sql"), sql);
    }
}

async fn make_fleet(url: String) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = Folder::project();
    let manager = TenantManager::builder(&url).catalog(TableCatalog::new()).build()?;
    TableCatalog::new().create_table(manager.shared()).await?;
    let tenants = Migrations::from_dir(folder.path().join("migrations/tenants"))?;
    let shared = Migrations::from_dir(folder.path().join("migrations/shared"))?;
    let migrator = manager.migrator().tenants(tenants.clone()).shared(shared);
    assert!(migrator.migrate_shared(MigrateOptions::default()).await?.is_success());
    let provisioner = manager.provisioner().tenants(tenants);
    for tenant in TENANTS {
        provisioner.create(tenant, CreateOptions::default()).await?;
    }
    manager.close().await;
    Ok(())
}

/// Runs SQL that a test has put together.
pub(crate) async fn execute(conn: &mut PgConnection, sql: &str) {
    #[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
    let query = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    query.execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// The first value of the first row, as text.
pub(crate) async fn value(conn: &mut PgConnection, sql: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the text is the test's own")]
    let query =
        sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(format!("select ({sql})::text")));
    query.fetch_one(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Waits until a condition holds, and fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        time::sleep(Duration::from_millis(10)).await;
    }
}

//! A PgBouncer in front of the server of a benchmark.

use std::{fs, io, net::TcpListener, path::PathBuf, process, process::Stdio, time::Duration};

use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use crate::failure::Failure;

/// The process ends when this is dropped.
pub(super) struct PgBouncer {
    _process: Child,
    options: PgConnectOptions,
    folder: PathBuf,
}

/// How often a connect is tried, with a pause.
const ATTEMPTS: usize = 100;

impl PgBouncer {
    /// Starts one in transaction mode, for this user and with this many server sessions.
    pub(super) async fn before(
        server: &PgConnectOptions,
        user: &str,
        sessions: usize,
    ) -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("tenantry-bench-pooler-{}", process::id()));
        fs::create_dir_all(&folder)?;
        // PgBouncer cannot be told to take any port.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        fs::write(folder.join("userlist.txt"), format!("\"{}\" \"\"\n", user))?;
        let users = folder.join("userlist.txt");
        let config = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\nmax_client_conn = 200\npool_mode = transaction\n\
             default_pool_size = {sessions}\nlog_connections = 0\nlog_disconnections = 0\n",
            server.get_port(),
            users.display(),
        );
        fs::write(folder.join("pgbouncer.ini"), config)?;
        let _process = spawn(&folder)?;
        let options = server.clone().username(user).host("127.0.0.1").port(port);
        let options = options.statement_cache_capacity(0).extra_float_digits(None);
        let pooler = Self { _process, options, folder };
        pooler.listens().await?;
        Ok(pooler)
    }

    /// Returns how to connect through it, without a statement cache.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    async fn listens(&self) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            if let Ok(conn) = self.options.connect().await {
                conn.close().await?;
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err("PgBouncer does not listen".into())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn spawn(folder: &std::path::Path) -> io::Result<Child> {
    // Debian's folder for it is not in every PATH.
    let debian = std::path::Path::new("/usr/sbin/pgbouncer");
    let mut command = Command::new(if debian.exists() { debian } else { "pgbouncer".as_ref() });
    let who = process::Command::new("id").arg("-u").output();
    if who.is_ok_and(|who| who.stdout == b"0\n") {
        command.args(["--user", "nobody"]);
    }
    command.arg(folder.join("pgbouncer.ini")).stderr(Stdio::null()).kill_on_drop(true).spawn()
}

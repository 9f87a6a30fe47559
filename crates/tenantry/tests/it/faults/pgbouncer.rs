use std::{
    fmt::Write as _,
    fs,
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::support::{eventually, skip};

/// A PgBouncer in front of a server on this machine.
pub(crate) struct PgBouncer {
    process: Child,
    port: u16,
    server: u16,
    folder: PathBuf,
}

impl PgBouncer {
    /// Starts one in front of the server at this port, with settings such as
    /// `("pool_mode", "session")`. `None` where there is none to start.
    pub(crate) async fn before(server: u16, settings: &[(&str, &str)]) -> Option<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("tenantry-pooler-{}-{number}", process::id()));
        fs::create_dir_all(&folder).expect("folders can be made in the temporary one");
        fs::write(folder.join("userlist.txt"), "\"postgres\" \"\"\n\"app\" \"\"\n")
            .expect("files, too");
        // PgBouncer cannot be told to take any port.
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("there are free ports");
        let port = free.local_addr().expect("it listens").port();
        drop(free);
        configure(&folder, port, server, settings);
        let process = match spawn(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                skip("what is behind a pooler: there is no PgBouncer on this machine");
                let _ = fs::remove_dir_all(&folder);
                return None;
            }
            process => process.expect("pgbouncer can be started"),
        };
        let mut pooler = Self { process, port, server, folder };
        pooler.listens().await;
        Some(pooler)
    }

    /// The URL of the database `postgres` behind it.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Has it read other settings; its clients stay connected.
    pub(crate) fn reload(&self, settings: &[(&str, &str)]) {
        configure(&self.folder, self.port, self.server, settings);
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-HUP", &pid]).status().expect("kill is there");
        assert!(told.success());
    }

    /// Ends it and starts it again with other settings; its clients lose their connections.
    pub(crate) async fn restart(&mut self, settings: &[(&str, &str)]) {
        self.end();
        configure(&self.folder, self.port, self.server, settings);
        self.process = spawn(&self.folder).expect("pgbouncer can be started");
        self.listens().await;
    }

    async fn listens(&mut self) {
        let (process, port) = (&mut self.process, self.port);
        eventually("PgBouncer listens", async || {
            let ended = process.try_wait().expect("it is our child");
            assert!(ended.is_none(), "PgBouncer has ended: {ended:?}");
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn configure(folder: &Path, port: u16, server: u16, settings: &[(&str, &str)]) {
    let users = folder.join("userlist.txt");
    let mut text = format!(
        "[databases]\n* = host=127.0.0.1 port={server}\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = trust\nauth_file = {}\nmax_client_conn = 200\n\
         ignore_startup_parameters = extra_float_digits\nlog_connections = 0\n\
         log_disconnections = 0\n",
        users.display()
    );
    for (name, value) in settings {
        writeln!(text, "{name} = {value}").expect("memory takes everything");
    }
    fs::write(folder.join("pgbouncer.ini"), text).expect("the folder is ours");
}

fn spawn(folder: &Path) -> std::io::Result<Child> {
    // Where Debian puts it is not in everybody's PATH.
    let debian = Path::new("/usr/sbin/pgbouncer");
    let program = if debian.exists() { debian } else { Path::new("pgbouncer") };
    let mut command = Command::new(program);
    let who = Command::new("id").arg("-u").output();
    if who.is_ok_and(|who| who.stdout == b"0\n") {
        command.args(["--user", "nobody"]);
    }
    command.arg(folder.join("pgbouncer.ini")).stderr(Stdio::null()).spawn()
}

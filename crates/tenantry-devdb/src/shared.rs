//! The server that all processes of a test run share.

use std::{
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error,
    account::Account,
    cluster::{self, Cluster},
    discover::Binaries,
    runtime_dir::{RuntimeDir, StartLock},
    settings::Settings,
    watchdog::{Linger, Watchdog},
};

/// Long enough for the next test binary to start, and short enough not to be noticed.
const LINGER: Duration = Duration::from_secs(10);

/// The server that this process uses; it is never released explicitly, the kernel does that when the process ends.
static JOINED: Mutex<Option<Arc<SharedServer>>> = Mutex::new(None);

/// This process's share in a shared server.
#[derive(Debug)]
pub(crate) struct SharedServer {
    home: PathBuf,
    port: u16,
    /// Kept open, which counts this process among the users.
    users: File,
    /// In the process that started the server.
    _cluster: Option<Cluster>,
}

impl SharedServer {
    /// Joins the server of this run or starts it; blocks.
    pub(crate) fn join(binaries: &Binaries) -> Result<Arc<Self>, Error> {
        let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = up(&joined) {
            return Ok(server);
        }
        let account = Account::for_server()?;
        let dir = RuntimeDir::open(&account)?;
        let lock = dir.lock()?;
        lock.clean_up(&account, binaries)?;
        let prefix = format!("s-{:08x}-", key(binaries));
        let running = lock.homes(&prefix)?.iter().find_map(|home| Self::join_running(home));
        let server = match running {
            Some(server) => server,
            None => Self::start(&lock, &prefix, account, binaries)?,
        };
        Ok(Arc::clone(joined.insert(Arc::new(server))))
    }

    /// The server that this process has joined, if it is up.
    pub(crate) fn joined() -> Option<Arc<Self>> {
        // Waiting for the lock would block a runtime while another thread starts the server.
        JOINED.try_lock().ok().and_then(|joined| up(&joined))
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns a handle with which a program counts as a user of the server while it runs.
    pub(crate) fn hold(&self) -> Result<Stdio, Error> {
        self.users.try_clone().map(Stdio::from).map_err(Error::io("hold the server"))
    }

    /// Joins the server in `home`, unless it is not running or is shutting down.
    fn join_running(home: &Path) -> Option<Self> {
        let port = fs::read_to_string(home.join("ready")).ok()?.trim().parse().ok()?;
        let users = become_user(home)?;
        is_up(home).then(|| Self { home: home.to_owned(), port, users, _cluster: None })
    }

    fn start(
        lock: &StartLock<'_>,
        prefix: &str,
        account: Account,
        binaries: &Binaries,
    ) -> Result<Self, Error> {
        let home = lock.new_home(prefix, &account)?;
        let pg_ctl = binaries.program("pg_ctl");
        let watchdog = Watchdog::start(&account, &home, &pg_ctl, Linger::For(LINGER))?;
        let settings = Settings::default();
        let cluster =
            Cluster::create(account, binaries.clone(), home.clone(), watchdog, &settings)?;
        let users = wait_to_become_user(&home)?;
        let port = cluster.port();
        fs::write(home.join("ready"), port.to_string()).map_err(Error::io("tell the port"))?;
        Ok(Self { home, port, users, _cluster: Some(cluster) })
    }
}

fn up(joined: &Option<Arc<SharedServer>>) -> Option<Arc<SharedServer>> {
    joined.as_ref().filter(|server| is_up(&server.home)).map(Arc::clone)
}

fn is_up(home: &Path) -> bool {
    cluster::postmaster(home).is_some()
}

/// Returns a hash of the properties that distinguish servers.
fn key(binaries: &Binaries) -> u32 {
    let mut hasher = DefaultHasher::new();
    (env!("CARGO_PKG_VERSION"), &binaries.folder, binaries.version).hash(&mut hasher);
    Settings::default().hash(&mut hasher);
    // Half of the bits keep the socket's path short.
    (hasher.finish() >> 32) as u32
}

/// Opens the watchdog's fifo; `None` if no watchdog reads it or no more users are accepted.
fn become_user(home: &Path) -> Option<File> {
    let path = home.join("users");
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let mut users = OpenOptions::new().write(true).custom_flags(nonblocking).open(&path).ok()?;
    match users.write_all(b"\n") {
        // A full fifo has enough lines for the watchdog to see that there are users.
        Err(error) if error.kind() != ErrorKind::WouldBlock => None,
        // The watchdog renames the fifo and then checks for users a last time: if the name still exists after the
        // fifo was opened, that check is still to come.
        _ => path.exists().then_some(users),
    }
}

fn wait_to_become_user(home: &Path) -> Result<File, Error> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match become_user(home) {
            Some(users) => return Ok(users),
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            None => {
                return Err(Error::failed("sharing the server", "its watchdog does not answer"));
            }
        }
    }
}

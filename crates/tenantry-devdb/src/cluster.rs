//! A data folder and the server that runs on it.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{Error, account::Account, discover::Binaries, settings::Settings, watchdog::Watchdog};

/// How long a restarting server waits for its port if another process has taken it.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// The server's log message if its port is taken.
const NO_PORT: &str = "could not create any TCP/IP sockets";

/// The blocking half of a server; waiting is left to its caller.
#[derive(Debug)]
pub(crate) struct Cluster {
    account: Account,
    binaries: Binaries,
    home: PathBuf,
    port: u16,
    /// Stops the server and removes `home` when this value is dropped or the process dies.
    watchdog: Watchdog,
}

/// How to stop a running server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stop {
    /// Ends sessions, then shuts down cleanly.
    Fast,
    /// Like a crash: the next start runs recovery.
    Immediate,
}

impl Cluster {
    /// Creates a data folder in `home`, which `watchdog` watches, and starts a server on it.
    pub(crate) fn create(
        account: Account,
        binaries: Binaries,
        home: PathBuf,
        watchdog: Watchdog,
        settings: &Settings,
    ) -> Result<Self, Error> {
        let port = free_port()?;
        let mut cluster = Self { account, binaries, home, port, watchdog };
        cluster.init(settings)?;
        let mut result = cluster.start_once();
        // Another process can take the free port before the server does.
        for _ in 0..5 {
            if result.is_ok() || !cluster.log().contains(NO_PORT) {
                break;
            }
            cluster.port = free_port()?;
            cluster.append_conf(&format!("port = {}\n", cluster.port))?;
            result = cluster.start_once();
        }
        result.map(|()| cluster)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub(crate) fn log(&self) -> String {
        fs::read(self.log_file())
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Starts the server on its previous port.
    pub(crate) fn start(&self) -> Result<(), Error> {
        let deadline = Instant::now() + PORT_PATIENCE;
        loop {
            let logged = self.log().len();
            match self.start_once() {
                Err(_) if self.log()[logged..].contains(NO_PORT) && Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(100));
                }
                result => return result,
            }
        }
    }

    pub(crate) fn stop(&self, how: Stop) -> Result<(), Error> {
        if postmaster(&self.home).is_none() {
            return Ok(());
        }
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        let mut command = self.command("pg_ctl")?;
        command.args(["stop", "-w", "-t", "60", "-m", mode, "-D"]).arg(self.data());
        run(&mut command, "pg_ctl stop")
    }

    fn init(&self, settings: &Settings) -> Result<(), Error> {
        let conf = settings.to_conf()?;
        let mut command = self.command("initdb")?;
        command
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(self.data());
        run(&mut command, "initdb")?;
        let (port, socket_dir) = (self.port, self.home.display());
        self.append_conf(&format!(
            "{conf}unix_socket_directories = '{socket_dir}'\nport = {port}\n"
        ))
    }

    fn append_conf(&self, lines: &str) -> Result<(), Error> {
        OpenOptions::new()
            .append(true)
            .open(self.data().join("postgresql.conf"))
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(Error::io("write postgresql.conf"))
    }

    fn start_once(&self) -> Result<(), Error> {
        let mut command = self.command("pg_ctl")?;
        command.args(["start", "-w", "-t", "60", "-D"]).arg(self.data());
        let result = run(command.arg("-l").arg(self.log_file()), "pg_ctl start");
        result.map_err(|error| match last_lines(&self.log(), 20) {
            log if log.is_empty() => error,
            log => Error::failed("starting the server", format!("{error}; its log:\n{log}")),
        })
    }

    fn log_file(&self) -> PathBuf {
        self.home.join("server.log")
    }

    fn command(&self, program: &str) -> Result<Command, Error> {
        let mut command = self.account.command(self.binaries.program(program), &self.home);
        command.stdin(self.watchdog.hold()?);
        Ok(command)
    }
}

/// Process id of the server in `home`; `None` while it is stopped.
pub(crate) fn postmaster(home: &Path) -> Option<u32> {
    let text = fs::read_to_string(home.join("data/postmaster.pid")).ok()?;
    let pid: u32 = text.lines().next()?.trim().parse().ok()?;
    is_process(pid).then_some(pid)
}

/// Returns `true` if there is a process with this id.
pub(crate) fn is_process(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) else {
        return false;
    };
    // EPERM means that the process exists and belongs to another user.
    rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn free_port() -> Result<u16, Error> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free loopback port"))
}

fn run(command: &mut Command, what: &str) -> Result<(), Error> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().map_err(Error::io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    let text = last_lines(String::from_utf8_lossy(&text).trim(), 20);
    Err(Error::failed(what, format!("{program} ended with {}: {text}", output.status)))
}

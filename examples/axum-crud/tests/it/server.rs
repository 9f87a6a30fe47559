//! The program, started and stopped, and a small HTTP client.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    log: Log,
    said: Log,
}

/// What a program has written so far, to stderr or to stdout.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<String>>);

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Log {
    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("no thread panics while it holds the log").clone()
    }

    fn read(&self, from: impl Read) {
        for line in BufReader::new(from).lines() {
            let line = line.expect("the program writes text");
            let mut text = self.0.lock().expect("no thread panics while it holds the log");
            text.push_str(&line);
            text.push('\n');
        }
    }
}

/// Makes the command that starts the program on a free port.
pub(crate) fn command(database_url: Option<&str>, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-crud"));
    for inherited in [
        "RUST_LOG",
        "LOG_FORMAT",
        "METRICS_USER",
        "METRICS_PASS",
        "METRICS_TENANTS",
        "HOST",
        "DATABASE_URL",
    ] {
        command.env_remove(inherited);
    }
    command.env("PORT", "0").envs(environment.iter().copied());
    command.envs(database_url.map(|url| ("DATABASE_URL", url)));
    command
}

impl Server {
    /// Starts the program and waits until it listens.
    pub(crate) fn start(database_url: Option<&str>) -> Self {
        Self::start_with(database_url, &[])
    }

    /// Starts the program with these variables in its environment and waits until it listens.
    pub(crate) fn start_with(database_url: Option<&str>, environment: &[(&str, &str)]) -> Self {
        let mut command = command(database_url, environment);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Log::default();
        let stderr = child.stderr.take().expect("it is piped");
        thread::spawn({
            let log = log.clone();
            move || log.read(stderr)
        });
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the program writes text");
        // The rest is read as well: a full pipe would stop the program.
        let said = Log::default();
        thread::spawn({
            let said = said.clone();
            move || said.read(stdout)
        });
        let address = line
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.split(';').next())
            .and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("it says {line:?} and {}", log.text()));
        Self { child, address, log, said }
    }

    /// Waits until the program has printed a line with these words.
    pub(crate) fn wait_until_it_says(&self, words: &str) -> String {
        wait_until(&format!("it says {words:?}"), || {
            self.said.text().lines().find(|line| line.contains(words)).map(str::to_owned)
        })
    }

    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until the log has a line with all of these words.
    pub(crate) fn wait_for_line(&self, words: &[&str]) -> String {
        wait_until(&format!("{words:?} are in the log:\n{}", self.log()), || {
            let log = self.log();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        tenant: Option<&str>,
        json: Option<&Value>,
    ) -> Answer {
        send(self.address, method, path, tenant, json)
    }

    /// Sends a GET with these headers.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(self.address, path, headers).expect("the server answers in full")
    }

    /// Sends SIGTERM, unless the program has ended.
    pub(crate) fn terminate(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    pub(crate) fn wait_until_it_listens_no_more(&self) {
        let refused = || TcpStream::connect(self.address).is_err().then_some(());
        wait_until("the program listens no more", refused);
    }

    /// Sends SIGTERM and waits for a good end.
    pub(crate) fn stop(mut self) {
        self.terminate();
        self.wait_for_a_good_end();
        self.wait_until_it_listens_no_more();
    }

    pub(crate) fn wait_for_a_good_end(&mut self) {
        let ended = || self.child.try_wait().expect("the program is our child");
        let status = wait_until("the program ends", ended);
        assert!(status.success(), "{status}: {}", self.log());
    }
}

pub(crate) fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends one request on a connection of its own.
fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    tenant: Option<&str>,
    json: Option<&Value>,
) -> Answer {
    try_send(address, method, path, tenant, json).expect("the server answers in full")
}

/// The same, where the connection may be cut.
pub(crate) fn try_send(
    address: SocketAddr,
    method: &str,
    path: &str,
    tenant: Option<&str>,
    json: Option<&Value>,
) -> std::io::Result<Answer> {
    let body = json.map(Value::to_string).unwrap_or_default();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    if let Some(tenant) = tenant {
        request += &format!("x-tenant-id: {tenant}\r\n");
    }
    if json.is_some() {
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    request += &format!("\r\n{body}");
    talk(address, &request)
}

/// Sends a GET. HTTP/1.0 knows no chunks, which [`talk`] does not put together.
pub(crate) fn get(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
) -> std::io::Result<Answer> {
    let mut request = format!("GET {path} HTTP/1.0\r\nhost: x\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    talk(address, &(request + "\r\n"))
}

fn talk(address: SocketAddr, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let malformed = || std::io::Error::other(format!("this is no HTTP: {text:?}"));
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(malformed)?;
    Ok(Answer { status, head: head.to_lowercase(), body: body.to_owned() })
}

/// For tests that fail half-way.
impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The program, started and stopped, and a small HTTP client.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

impl Server {
    /// Starts the program on a free port and waits until it listens.
    pub(crate) fn start(database_url: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axum-crud"));
        command.env("PORT", "0").env("RUST_LOG", "warn").stdout(Stdio::piped());
        match database_url {
            Some(url) => command.env("DATABASE_URL", url),
            None => command.env_remove("DATABASE_URL"),
        };
        let mut child = command.spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the program writes text");
        // The rest is read as well: a full pipe would stop the program.
        thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let address = line
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.split(';').next())
            .and_then(|address| address.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("it says {line:?}")) }
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
        let ended = || self.child.try_wait().expect("the program is our child");
        let status = wait_until("the program ends", ended);
        assert!(status.success(), "{status}");
        self.wait_until_it_listens_no_more();
    }
}

fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
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
pub(crate) fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    tenant: Option<&str>,
    json: Option<&Value>,
) -> Answer {
    let body = json.map(Value::to_string).unwrap_or_default();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    if let Some(tenant) = tenant {
        request += &format!("x-tenant-id: {tenant}\r\n");
    }
    if json.is_some() {
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    request += &format!("\r\n{body}");
    talk(address, &request).expect("the server answers in full")
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
    Ok(Answer { status: status.ok_or_else(malformed)?, body: body.to_owned() })
}

/// For tests that fail half-way.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

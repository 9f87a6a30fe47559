//! The program, started and stopped, and a small HTTP client.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts the program on a free port and waits until it listens.
    pub(crate) fn start(database_url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sign-up"));
        command.env_remove("RUST_LOG").env("PORT", "0").env("DATABASE_URL", database_url);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the program writes text");
        // The rest is read as well: a full pipe would stop the program.
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        let address = line
            .strip_prefix("listening on http://")
            .and_then(|rest| rest.split(';').next())
            .and_then(|address| address.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("it says {line:?}")) }
    }

    /// Posts where there is a body, and asks where there is none.
    pub(crate) fn send(
        &self,
        path: &str,
        tenant: Option<&str>,
        body: Option<&Value>,
    ) -> (u16, Value) {
        let method = if body.is_some() { "POST" } else { "GET" };
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
        if let Some(tenant) = tenant {
            request += &format!("x-tenant-id: {tenant}\r\n");
        }
        let body = body.map_or_else(String::new, Value::to_string);
        request += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
        let mut stream = TcpStream::connect(self.address).expect("the program listens");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("it is not zero");
        stream.write_all((request + "\r\n" + &body).as_bytes()).expect("the program reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the program answers in full");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it is HTTP");
        let status = head[9..12].parse().expect("a status is a number");
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Sends SIGTERM and waits for a good end.
    pub(crate) fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the program runs");
        let status = self.child.wait().expect("the program is our child");
        assert!(status.success(), "{status}");
    }
}

/// For tests that fail half-way.
impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

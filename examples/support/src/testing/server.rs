//! A program that listens.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Answer, answer::request, get, try_send, wait_until};

/// A program that listens, until it is [stopped](Self::stop) or dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    log: Text,
    said: Text,
    readers: [JoinHandle<()>; 2],
}

/// What a program has written so far.
#[derive(Debug, Clone, Default)]
struct Text(Arc<Mutex<String>>);

impl Text {
    fn get(&self) -> String {
        self.0.lock().expect("no thread panics while it holds the text").clone()
    }

    fn read(&self, from: impl Read + Send + 'static) -> JoinHandle<()> {
        let text = Arc::clone(&self.0);
        thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                let line = line.expect("the program writes text");
                let mut text = text.lock().expect("no thread panics while it holds the text");
                text.push_str(&line);
                text.push('\n');
            }
        })
    }
}

impl Server {
    /// Starts a command and waits until it listens.
    ///
    /// # Panics
    ///
    /// It ends or does not listen in time; the message has its log.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (log, said) = (Text::default(), Text::default());
        let readers = [
            log.read(child.stderr.take().expect("it is piped")),
            said.read(child.stdout.take().expect("it is piped")),
        ];
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, address: nowhere, log, said, readers };
        server.address = wait_until("the program listens", || server.listens_on());
        server
    }

    fn listens_on(&mut self) -> Option<SocketAddr> {
        let said = self.said.get();
        let line = said.lines().find_map(|line| line.strip_prefix("listening on http://"));
        let address = line.and_then(|line| line.split(';').next()?.parse().ok());
        if address.is_none() {
            let ended = self.child.try_wait().expect("the program is our child");
            assert!(ended.is_none(), "it ends: {said}{}", self.log());
        }
        address
    }

    /// Returns the address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what it has written to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.get()
    }

    /// Returns what it has written to stdout so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.get()
    }

    /// Waits until the log has a line with all of these words, and returns it.
    pub fn wait_for_line(&self, words: &[&str]) -> String {
        wait_until(&format!("{words:?} are in the log:\n{}", self.log()), || {
            let log = self.log();
            let line = log.lines().find(|line| words.iter().all(|word| line.contains(word)));
            line.map(str::to_owned)
        })
    }

    /// Sends a request with a tenant in `x-tenant-id` and a JSON body.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        tenant: Option<&str>,
        json: Option<&Value>,
    ) -> Answer {
        let answer = try_send(self.address, method, path, tenant, json);
        answer.expect("the server answers in full")
    }

    /// Sends a GET with these headers.
    pub fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        get(self.address, path, headers).expect("the server answers in full")
    }

    /// Asks `/health` or `/readyz` until the status is `ok`: on a busy machine, a ping may take more
    /// than half of its timeout, which is `degraded`.
    ///
    /// # Panics
    ///
    /// When it does not become `ok`.
    pub fn get_when_ok(&self, path: &str) -> Answer {
        let answer = || Some(self.get(path, &[])).filter(|answer| answer.json()["status"] == "ok");
        wait_until("the status is ok", answer)
    }

    /// Sends a request with these headers and this body.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        request(self.address, method, path, headers, body).expect("the server answers in full")
    }

    /// Sends SIGTERM, unless the program has ended.
    pub fn terminate(&self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
    }

    /// Waits until nothing listens at the address.
    pub fn wait_until_it_listens_no_more(&self) {
        let refused = || TcpStream::connect(self.address).is_err().then_some(());
        wait_until("the program listens no more", refused);
    }

    /// Waits until the program has ended, and all that it has written is read.
    ///
    /// # Panics
    ///
    /// It does not end in time, or not with 0.
    pub fn wait_for_a_good_end(&mut self) {
        let ended = || self.child.try_wait().expect("the program is our child");
        let status = wait_until("the program ends", ended);
        let read = || self.readers.iter().all(JoinHandle::is_finished).then_some(());
        wait_until("its output ends", read);
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// Sends SIGTERM and waits for a good end.
    pub fn stop(mut self) {
        self.terminate();
        self.wait_for_a_good_end();
        self.wait_until_it_listens_no_more();
    }
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

/// Says on the real stderr that something was not tested: what a passing test prints is not shown.
pub fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, and so not tested: {what}");
}

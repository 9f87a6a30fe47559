//! The `curl` lines that a service prints, run as they are printed.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{Server, skip, wait_until};

/// A line that a service prints for people to try.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Attempt {
    /// What is before it.
    pub explanation: String,
    /// What a person copies, of one line or more.
    pub command: String,
    /// The status that the explanation ends with.
    pub expected: Option<u16>,
}

impl Attempt {
    /// Reads the lines that a server has printed.
    pub(super) fn printed_by(server: &Server) -> Vec<Self> {
        let said = wait_until("the program has printed its lines", || {
            Some(server.said()).filter(|said| said.contains("\n# Ctrl-C"))
        });
        let blocks = said.split("\n\n").filter_map(|block| block.strip_prefix("# "));
        let blocks = blocks.filter_map(|block| block.split_once('\n'));
        blocks.filter(|(_, command)| command.starts_with("curl ")).map(Self::read).collect()
    }

    fn read((explanation, command): (&str, &str)) -> Self {
        let status = explanation.rsplit_once(": ").and_then(|(_, status)| status.parse().ok());
        Self {
            explanation: explanation.to_owned(),
            command: command.trim_end().to_owned(),
            expected: status,
        }
    }

    /// `-N` shows a stream as it comes, and does not end.
    fn is_stream(&self) -> bool {
        self.command.contains("curl -N ")
    }

    fn has_status(&self, status: u16) -> bool {
        self.expected.map_or((200..300).contains(&status), |expected| status == expected)
    }
}

/// Runs each line that a server has printed, and compares the status with the one that the explanation announces.
///
/// A stream (`curl -N`) stays open while the lines after it run, and has to show an event by the end.
///
/// # Panics
///
/// A status is another one, or nothing is printed.
pub fn run_attempts(server: &Server) {
    if !is_installed() {
        skip("the lines that an example prints: there is no curl on this machine");
        return;
    }
    let attempts = Attempt::printed_by(server);
    assert!(!attempts.is_empty(), "{}", server.said());
    let mut streams = Vec::new();
    for attempt in &attempts {
        if attempt.is_stream() {
            streams.push((attempt, Stream::open(&attempt.command)));
            continue;
        }
        let (status, output) = run(&attempt.command);
        assert!(attempt.has_status(status), "{attempt:?} has {status}: {output}\n{}", server.log());
    }
    for (attempt, stream) in streams {
        assert!(stream.shows_an_event(), "{attempt:?} shows nothing\n{}", server.log());
    }
}

pub(super) fn is_installed() -> bool {
    Command::new("curl").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Runs a line in a shell, and returns the status of the last answer and all output.
fn run(command: &str) -> (u16, String) {
    let output = shell(command).stdin(Stdio::null()).output().expect("there is a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = text.rsplit('\n').next().and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), text + &errors)
}

/// The line is run unchanged; a configuration file makes curl add the status at the end, and give up in time.
pub(super) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("CURL_HOME", configuration());
    shell
}

fn configuration() -> PathBuf {
    let folder = env::temp_dir().join(format!("example-curl-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("folders can be made in the temporary one");
    let settings = "silent\nshow-error\nmax-time = 20\nwrite-out = \"\\n%{http_code}\"\n";
    fs::write(folder.join(".curlrc"), settings).expect("the folder is ours");
    folder
}

/// A stream that curl shows until it is stopped.
struct Stream {
    curl: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Stream {
    /// Starts it, and waits for its first line: what happens after that is on it.
    fn open(command: &str) -> Self {
        // `exec`, so that ending the shell is ending curl.
        let mut curl = shell(&format!("exec {command}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        let mut output = BufReader::new(curl.stdout.take().expect("it is piped"));
        output.read_line(&mut String::new()).expect("curl writes text");
        Self { curl, output }
    }

    /// Reads on until there is an event.
    fn shows_an_event(mut self) -> bool {
        let lines = self.output.by_ref().lines().map_while(Result::ok);
        let found = { lines }.any(|line| line.starts_with("data:"));
        let _ = self.curl.kill();
        let _ = self.curl.wait();
        found
    }
}

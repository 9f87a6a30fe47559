//! A server in a process of its own, which signals can be sent to: the test program, started again.

use std::{
    env, io,
    io::Write as _,
    net::SocketAddr,
    process::{Stdio, exit},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tenantry::serve::{ServeOptions, bind};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use super::{
    ServedApp, Serves,
    running::{AMPLE, SLACK},
};
use crate::{client::Connection, stage::offline};

/// The variable that makes a server of the test program.
const MODE: &str = "TENANTRY_SERVING_CHILD";

/// What the program does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It ends when serving has.
    Ends,
    /// Something holds it for a minute.
    Held,
    /// It takes care of its end itself, and takes longer than the library would leave it.
    EndsByItself,
}

impl Mode {
    const ALL: [Self; 3] = [Self::Ends, Self::Held, Self::EndsByItself];
}

/// The exit code of a program that ends by itself.
pub(super) const OWN_CODE: i32 = 7;
/// How long it takes.
pub(super) const OWN_END: Duration = Duration::from_millis(1500);

/// Serves if this program was started to do so.
///
/// # Panics
///
/// When serving fails.
pub async fn child<S: Serves>() {
    let Ok(mode) = env::var(MODE) else { return };
    let mode = Mode::ALL.into_iter().find(|known| format!("{known:?}") == mode);
    let mode = mode.expect("the mode is one");
    let listener = bind("127.0.0.1:0").expect("a port is free");
    say(&format!("listening on {}", listener.local_addr().expect("it is bound")));
    let options = ServeOptions::default().drain(AMPLE);
    let options = options.exit_on_second_signal(mode != Mode::EndsByItself);
    let report = S::serve(listener, ServedApp::new(offline()), options).await;
    let report = report.expect("signals can be listened to");
    say(&serde_json::to_string(&report).expect("a report can be serialized"));
    match mode {
        Mode::Ends => {}
        Mode::Held => thread::sleep(Duration::from_secs(60)),
        Mode::EndsByItself => {
            thread::sleep(OWN_END);
            exit(OWN_CODE);
        }
    }
}

fn say(line: &str) {
    writeln!(io::stderr(), "{line}").expect("the parent reads");
}

pub(super) struct Program {
    child: Child,
    address: SocketAddr,
    said: BufReader<ChildStderr>,
}

impl Program {
    /// Starts the test `child` of this module of the test program.
    pub(super) async fn start(module: &str, mode: Mode) -> Self {
        let (_, module) = module.split_once("::").expect("the suite is in a module");
        let mut child = Command::new(env::current_exe().expect("this is a program"))
            .args(["--exact", "--nocapture", &format!("{module}::child")])
            .env(MODE, format!("{mode:?}"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts again");
        let said = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut program = Self { child, address: SocketAddr::from(([0, 0, 0, 0], 0)), said };
        let line = program.wait_for("listening on ").await;
        let (_, address) = line.split_once("listening on ").expect("the line has it");
        program.address = address.parse().expect("it is an address");
        program
    }

    /// Reads up to a line with these words, and returns it.
    pub(super) async fn wait_for(&mut self, words: &str) -> String {
        let lines = async {
            loop {
                let mut line = String::new();
                let read = self.said.read_line(&mut line).await.expect("it writes text");
                assert_ne!(read, 0, "it ends");
                if line.contains(words) {
                    return line.trim_end().to_owned();
                }
            }
        };
        timeout(AMPLE, lines).await.unwrap_or_else(|_| panic!("no {words:?} in time"))
    }

    /// Sends a request, and waits until these words have come.
    pub(super) async fn open(&self, path: &str, words: &str) -> Connection {
        let mut client = Connection::open_at(self.address).await;
        client.write(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await;
        client.wait_for(words, 1).await;
        client
    }

    pub(super) fn send(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        kill_process(id.expect("it runs"), signal).expect("it is our child");
    }

    /// Waits for its end. Returns its exit code and everything that it has said.
    pub(super) async fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        let end = async {
            self.said.read_to_string(&mut said).await.expect("it writes text");
            self.child.wait().await.expect("it is our child")
        };
        let status = timeout(SLACK, end).await;
        (status.expect("it ends in time").code(), said)
    }
}

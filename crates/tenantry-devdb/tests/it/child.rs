//! Running one function of this test binary in a process of its own.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStdout, Command, Stdio},
};

/// What a child writes before a line meant for its parent.
const MARK: &str = "child says: ";

/// A process that runs an ignored test of the module `children`.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

/// Prepares a child that sees nothing of a `DATABASE_URL` meant for the parent.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("a test has a program"));
    command
        .args(["--exact", &format!("children::{name}"), "--ignored", "--nocapture"])
        .env_remove("DATABASE_URL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Says something to the parent.
#[expect(clippy::print_stdout, reason = "this is how a child answers")]
pub(crate) fn say(text: impl std::fmt::Display) {
    println!("{MARK}{text}");
}

/// Blocks until the parent lets go of the child's standard input.
pub(crate) fn wait_for_parent() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the test binary runs");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        Self { child, stdout: BufReader::new(stdout) }
    }

    /// The next thing the child says.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).expect("the child writes UTF-8") > 0 {
            // The test harness writes the test's name and no line end first.
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        let mut errors = String::new();
        let stderr = self.child.stderr.as_mut().expect("stderr is a pipe");
        stderr.read_to_string(&mut errors).expect("the child writes UTF-8");
        panic!("the child ended without a word: {errors}");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end of a child that has been sent a signal.
    pub(crate) fn wait(mut self) {
        let status = self.child.wait().expect("the child can be waited for");
        assert_eq!(status.code(), None, "a signal should have ended the child");
    }

    /// Lets the child go on to its end and waits for it.
    pub(crate) fn end(mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().expect("the child can be waited for").success()
    }
}

//! A process of its own that shares the budget, to be killed or paused.

use std::{
    env,
    process::{Child, Command, Stdio},
};

use super::{Load, process, seconds};

const URL: &str = "TENANTRY_TEST_SHARED_BUDGET_URL";

/// A process that uses as many connections as it gets.
pub(super) struct Process(Child);

impl Process {
    pub(super) fn start(url: &str, budget: usize) -> Self {
        let mut command = Command::new(env::current_exe().expect("a test has a program"));
        command
            .args(["--exact", "shared_budget::child::uses_what_it_gets", "--ignored"])
            .env(URL, format!("{budget} {url}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(command.spawn().expect("the test binary runs"))
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(sent.success(), "kill -s {name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
#[ignore = "it runs in a process that another test starts"]
async fn uses_what_it_gets() {
    let Ok(told) = env::var(URL) else { return };
    let (budget, url) = told.split_once(' ').expect("it has both");
    let budget = budget.parse().expect("it is a number");
    let manager = process(url, budget).build().expect("it is sound");
    let _load = Load::on(&manager, 30);
    seconds(300).await;
}

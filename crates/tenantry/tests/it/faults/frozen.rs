use std::process::Command;

use tenantry_devdb::DevServer;

/// A server whose processes are all stopped (`SIGSTOP`) for as long as this lives.
pub(crate) struct Frozen {
    pids: Vec<String>,
}

impl Frozen {
    /// Freezes the postmaster first, so that no process is born while the others are looked for.
    pub(crate) fn freeze(server: &DevServer) -> Self {
        Self::freeze_server(server.pid().expect("the server is running").to_string())
    }

    /// The same for a server of which only the process is known.
    pub(crate) fn freeze_server(postmaster: String) -> Self {
        signal("-STOP", std::slice::from_ref(&postmaster));
        let children = Command::new("pgrep").args(["-P", &postmaster]).output();
        let children = children.expect("pgrep is there").stdout;
        let mut pids: Vec<String> =
            String::from_utf8_lossy(&children).lines().map(str::to_owned).collect();
        signal("-STOP", &pids);
        pids.push(postmaster);
        Self { pids }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.pids);
    }
}

fn signal(name: &str, pids: &[String]) {
    let done = Command::new("kill").arg(name).args(pids).status().expect("kill is there");
    assert!(done.success(), "kill {name} {pids:?}");
}

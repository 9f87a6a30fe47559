//! The watchdog: a process that outlives the server's users and cleans up after them.

use std::{
    fs::{self, File, TryLockError},
    io::{self, PipeWriter},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use crate::{Error, account::Account};

/// Every Unix has a shell, whereas a library cannot ship a separate program.
const SCRIPT: &str = include_str!("watchdog.sh");

/// When to stop a server whose users are gone.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Linger {
    /// Immediately after the process that started it ends or releases it.
    Not,
    /// This long after the last process that joined it has ended.
    For(Duration),
}

/// Keeps a server running: while this value exists, the watchdog does not stop the server.
///
/// The kernel closes the pipe when the process dies for any reason.
#[derive(Debug)]
pub(crate) struct Watchdog {
    pipe: Option<PipeWriter>,
    child: Child,
}

impl Watchdog {
    /// Starts the watchdog of the server in `home`, which need not be running yet.
    ///
    /// It does not receive the terminal's Ctrl-C, because it is in a separate process group.
    pub(crate) fn start(
        account: &Account,
        home: &Path,
        pg_ctl: &Path,
        linger: Linger,
    ) -> Result<Self, Error> {
        let alive = locked_file(home)?.ok_or_else(|| {
            Error::failed("starting a watchdog", format!("{} has one", home.display()))
        })?;
        let (reader, writer) = io::pipe().map_err(Error::io("make a pipe"))?;
        let seconds = match linger {
            Linger::Not => String::new(),
            Linger::For(time) => time.as_secs().to_string(),
        };
        // A file, and not an argument, so that a list of processes stays readable.
        let script = home.join("watchdog.sh");
        fs::write(&script, SCRIPT).map_err(Error::io("write the watchdog's script"))?;
        account.take_over(&script)?;
        let child = account
            .command("/bin/sh", home)
            .args([script.as_os_str(), home.as_os_str(), pg_ctl.as_os_str(), seconds.as_ref()])
            .stdin(reader)
            .stdout(alive)
            .stderr(Stdio::null())
            .spawn()
            .map_err(Error::io("start the watchdog with /bin/sh"))?;
        Ok(Self { pipe: Some(writer), child })
    }

    /// Returns another handle on the server, for a program that works on it: the watchdog waits until the program
    /// ends.
    ///
    /// Without it, the folder of a process that is killed during a start would be removed while `initdb` continues in
    /// it, which leaves shared memory behind.
    pub(crate) fn hold(&self) -> Result<Stdio, Error> {
        let pipe = self.pipe.as_ref().expect("the pipe is let go only when this is dropped");
        pipe.try_clone().map(Stdio::from).map_err(Error::io("hold the server"))
    }

    /// Whether the server in `home` has a living watchdog.
    pub(crate) fn is_alive(home: &Path) -> Result<bool, Error> {
        Ok(locked_file(home)?.is_none())
    }
}

/// Releases the server and waits until the server and its folder are gone.
impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.pipe.take());
        // A failure means that the child was already waited for: it is gone.
        let _ = self.child.wait();
    }
}

/// The lock file of `home`, locked; `None` if another process has the lock.
///
/// A lock belongs to the open file, so the watchdog that inherits it keeps it until it dies.
fn locked_file(home: &Path) -> Result<Option<File>, Error> {
    let path = home.join("alive");
    let what = || format!("lock {}", path.display());
    let file = File::create(&path).map_err(Error::io(what()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(Error::io(what())(error)),
    }
}

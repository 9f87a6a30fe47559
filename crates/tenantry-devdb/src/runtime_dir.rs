//! The folder that contains all throwaway servers of a user.

use std::{
    env,
    fs::{self, DirBuilder, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error,
    account::Account,
    discover::Binaries,
    watchdog::{Linger, Watchdog},
};

/// A socket's path can have 103 bytes on every platform; this leaves room for the names below it.
const LONGEST: usize = 32;

/// Linux's in-memory file system. Creating a database there took a tenth of the time on a disk.
const MEMORY: &str = "/dev/shm";

/// Containers often have 64 MB there; this many bytes hold a few hundred small databases.
const LARGE: u64 = 4 << 30;

/// The maximum wait for another process that starts a server.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder, verified to belong to this user only.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    path: PathBuf,
}

/// The right to start servers and to clean up, held by one process at a time.
#[derive(Debug)]
pub(crate) struct StartLock<'a> {
    dir: &'a RuntimeDir,
    _file: File,
}

impl RuntimeDir {
    /// Opens the folder, creating it if necessary.
    ///
    /// It is in `$TMPDIR` if that is set, else in memory if there is enough, else in `/tmp`; never in
    /// `$XDG_RUNTIME_DIR`, which is small and which an unprivileged server could not access.
    pub(crate) fn open(account: &Account) -> Result<Self, Error> {
        let own = rustix::process::geteuid().as_raw();
        let place = Places::of_this_machine().choose(account.is_foreign());
        let path = place.join(format!("tenantry-devdb-{own}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => account.take_over(&path)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(format!("make {}", path.display()))(error)),
        }
        let found = fs::symlink_metadata(&path).map_err(Error::io("look at the runtime folder"))?;
        let is_ours = found.is_dir() && found.mode() & 0o077 == 0;
        if is_ours && (found.uid() == account.uid() || found.uid() == own) {
            return Ok(Self { path });
        }
        Err(Error::failed(
            format!("using {}", path.display()),
            "it is not a private folder of this user; remove it",
        ))
    }

    /// Waits until no other process is starting a server or cleaning up.
    pub(crate) fn lock(&self) -> Result<StartLock<'_>, Error> {
        let path = self.path.join("lock");
        let what = || format!("lock {}", path.display());
        let file = File::create(&path).map_err(Error::io(what()))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(StartLock { dir: self, _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(Error::io(what())(error)),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    let text = "another process has held it for two minutes";
                    return Err(Error::failed(what(), text));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl StartLock<'_> {
    /// Returns the folders of servers whose name starts with `prefix`.
    pub(crate) fn homes(&self, prefix: &str) -> Result<Vec<PathBuf>, Error> {
        let entries = fs::read_dir(&self.dir.path).map_err(Error::io("list the runtime folder"))?;
        Ok(entries
            .flatten()
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
            .map(|entry| entry.path())
            .filter(|path| path.is_dir())
            .collect())
    }

    /// Creates an empty folder for a server.
    pub(crate) fn new_home(&self, prefix: &str, account: &Account) -> Result<PathBuf, Error> {
        let pid = std::process::id();
        for n in 1.. {
            let home = self.dir.path.join(format!("{prefix}{pid}-{n}"));
            match DirBuilder::new().mode(0o700).create(&home) {
                Ok(()) => return account.take_over(&home).map(|()| home),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(format!("make {}", home.display()))(error)),
            }
        }
        unreachable!("the numbers do not end")
    }

    /// Stops servers whose watchdog was killed, and removes their folders.
    pub(crate) fn clean_up(&self, account: &Account, binaries: &Binaries) -> Result<(), Error> {
        for home in self.homes("")? {
            let result = clean_up(&home, account, binaries);
            // A living watchdog may be removing the folder at the moment.
            if result.is_err() && home.exists() {
                return result;
            }
        }
        Ok(())
    }
}

fn clean_up(home: &Path, account: &Account, binaries: &Binaries) -> Result<(), Error> {
    if Watchdog::is_alive(home)? {
        return Ok(());
    }
    // A watchdog without users does its work immediately.
    Watchdog::start(account, home, &binaries.program("pg_ctl"), Linger::Not).map(drop)
}

/// The folders for temporary files on a machine.
#[derive(Debug)]
struct Places {
    /// `$TMPDIR`.
    wanted: Option<PathBuf>,
    /// A disk in memory, if it is large.
    memory: Option<PathBuf>,
}

impl Places {
    fn of_this_machine() -> Self {
        let wanted = env::var_os("TMPDIR").filter(|value| !value.is_empty()).map(PathBuf::from);
        // The total size counts, not the free space, so that all processes reach the same result.
        let size = rustix::fs::statvfs(MEMORY).map_or(0, |disk| disk.f_blocks * disk.f_frsize);
        let is_large = size >= LARGE && Path::new(MEMORY).is_dir();
        Self { wanted, memory: is_large.then(|| PathBuf::from(MEMORY)) }
    }

    /// The user's choice, unless the server could not work there; then memory, then `/tmp`.
    fn choose(self, for_everybody: bool) -> PathBuf {
        let is_usable = |folder: &PathBuf| {
            folder.as_os_str().len() <= LONGEST && !(for_everybody && is_closed(folder))
        };
        let wanted = self.wanted.filter(is_usable);
        wanted.or(self.memory).unwrap_or_else(|| PathBuf::from("/tmp"))
    }
}

/// Whether other users cannot enter a folder.
fn is_closed(folder: &Path) -> bool {
    let is_closed =
        |folder: &Path| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 == 0);
    folder.ancestors().any(is_closed)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt as _,
        path::{Path, PathBuf},
    };

    use super::Places;

    fn choose(wanted: Option<&Path>, memory: Option<&str>, for_everybody: bool) -> PathBuf {
        let (wanted, memory) = (wanted.map(PathBuf::from), memory.map(PathBuf::from));
        Places { wanted, memory }.choose(for_everybody)
    }

    #[test]
    fn a_wish_comes_first_then_memory_then_tmp() {
        let (wish, memory) = (Some(Path::new("/var/tmp")), Some("/dev/shm"));
        assert_eq!(choose(wish, memory, true), Path::new("/var/tmp"));
        assert_eq!(choose(None, memory, true), Path::new("/dev/shm"));
        assert_eq!(choose(None, None, true), Path::new("/tmp"));
    }

    #[test]
    fn folders_that_leave_no_room_for_a_socket_are_avoided() {
        let long = format!("/var/{}", "x".repeat(60));
        assert_eq!(choose(Some(Path::new(&long)), None, false), Path::new("/tmp"));
    }

    #[test]
    fn folders_that_another_user_cannot_enter_are_avoided() {
        let closed = PathBuf::from(format!("/tmp/devdb-closed-{}", std::process::id()));
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let inside = closed.join("inside");
        fs::create_dir(&inside).unwrap();
        let (for_everybody, for_me) =
            (choose(Some(&inside), None, true), choose(Some(&inside), None, false));
        fs::remove_dir_all(&closed).unwrap();
        assert_eq!(for_everybody, Path::new("/tmp"));
        assert_eq!(for_me, inside);
    }
}

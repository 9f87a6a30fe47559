//! The folder that an archive is written to. It has another name until it is whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use tokio::{runtime::Handle, task::spawn_blocking};

use crate::error::{Error, ErrorKind};

/// A folder that is removed when it is dropped, unless it was [completed](Self::complete).
///
/// What is done in the file system goes on when a future is dropped that waits for it. So the thread that creates the
/// folder, or completes it, owns it.
pub(super) struct NewFolder {
    /// Where it will be.
    to: PathBuf,
    /// Where it is.
    at: Option<PathBuf>,
}

impl NewFolder {
    /// Creates the folder beside the place where it will be. That place must be free.
    pub(super) async fn create(to: &Path) -> Result<Self, Error> {
        let to = to.to_owned();
        in_thread(move || {
            refuse_taken(&to)?;
            let name = to.file_name().ok_or_else(|| {
                let attempted = format!("creating the archive: {} names no folder", to.display());
                Error::new(ErrorKind::Archive, attempted)
            })?;
            let mut partial = std::ffi::OsString::from(".");
            partial.push(name);
            partial.push(format!(".{PARTIAL}{:016x}", fastrand::u64(..)));
            let at = to.with_file_name(partial);
            create_private(&at)?;
            Ok(Self { to, at: Some(at) })
        })
        .await
    }

    pub(super) fn path(&self) -> &Path {
        self.at.as_deref().unwrap_or(&self.to)
    }

    /// Creates a folder in it.
    pub(super) async fn add(&self, name: &str) -> Result<(), Error> {
        let path = self.path().join(name);
        in_thread(move || create_private(&path)).await
    }

    /// Writes the folders to the disk, and gives the archive its name.
    pub(super) async fn complete(mut self, inner: &'static str) -> Result<(), Error> {
        in_thread(move || {
            let from = self.path().to_owned();
            for folder in [&from.join(inner), &from] {
                sync(folder)?;
            }
            refuse_taken(&self.to)?;
            let renamed = fs::rename(&from, &self.to);
            renamed.map_err(|error| failed("naming the archive", &self.to, error))?;
            self.at = None;
            let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync(parent.unwrap_or_else(|| Path::new(".")))
        })
        .await
    }
}

/// Waits for what is done in the file system.
async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let ended = spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Archive, "writing the archive's folder").with_source(error)
    });
    ended.flatten()
}

/// What follows the name of a folder that is not whole.
const PARTIAL: &str = "partial-";

impl Drop for NewFolder {
    fn drop(&mut self) {
        let Some(at) = self.at.take() else { return };
        let remove = move || {
            if let Err(error) = remove(&at) {
                tracing::error!(
                    target: "tenantry::archive",
                    path = %at.display(),
                    error = &error as &dyn std::error::Error,
                    "could not remove an archive that is not whole"
                );
            }
        };
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// Removes a folder. The file that was being created when the archive was given up may appear meanwhile.
fn remove(at: &Path) -> io::Result<()> {
    for _ in 0..100 {
        match fs::remove_dir_all(at) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
    fs::remove_dir_all(at)
}

/// Refuses a place where there is something, whatever it is.
fn refuse_taken(to: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("looking for the archive", to, error)),
        Ok(_) => {
            let attempted = format!(
                "creating the archive: {} exists already: name another folder",
                to.display()
            );
            Err(Error::new(ErrorKind::Archive, attempted))
        }
    }
}

/// Creates a folder that only this user can read: it has a tenant's data.
fn create_private(path: &Path) -> Result<(), Error> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the mode is set on Unix"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|error| failed("creating the folder", path, error))
}

/// Writes the entries of a folder to the disk, where the operating system can do that.
fn sync(folder: &Path) -> Result<(), Error> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| failed("writing the folder", folder, error))
}

pub(super) fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Archive, format!("{doing} {}", path.display())).with_source(error)
}

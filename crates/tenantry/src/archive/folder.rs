//! The folder that an archive is written to. It has another name until it is whole.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::{fs, runtime::Handle};

use crate::error::{Error, ErrorKind};

/// A folder that is removed when it is dropped, unless it was [completed](Self::complete).
pub(super) struct NewFolder {
    /// Where it will be.
    to: PathBuf,
    /// Where it is.
    at: Option<PathBuf>,
}

impl NewFolder {
    /// Creates the folder beside the place where it will be. That place must be free.
    pub(super) async fn create(to: &Path) -> Result<Self, Error> {
        refuse_taken(to).await?;
        let name = to.file_name().ok_or_else(|| {
            let attempted = format!("creating the archive: {} names no folder", to.display());
            Error::new(ErrorKind::Archive, attempted)
        })?;
        let mut partial = std::ffi::OsString::from(".");
        partial.push(name);
        partial.push(format!(".{PARTIAL}{:016x}", fastrand::u64(..)));
        let at = to.with_file_name(partial);
        create_private(&at).await.map_err(|error| failed("creating the folder", &at, error))?;
        Ok(Self { to: to.to_owned(), at: Some(at) })
    }

    pub(super) fn path(&self) -> &Path {
        self.at.as_deref().unwrap_or(&self.to)
    }

    /// Creates a folder in it.
    pub(super) async fn add(&self, name: &str) -> Result<(), Error> {
        let path = self.path().join(name);
        let created = create_private(&path).await;
        created.map_err(|error| failed("creating the folder", &path, error))
    }

    /// Writes the folders to the disk, and gives the archive its name.
    pub(super) async fn complete(mut self, inner: &str) -> Result<(), Error> {
        let from = self.path().to_owned();
        for folder in [&from.join(inner), &from] {
            sync(folder).await.map_err(|error| failed("writing the folder", folder, error))?;
        }
        refuse_taken(&self.to).await?;
        let renamed = fs::rename(&from, &self.to).await;
        renamed.map_err(|error| failed("naming the archive", &self.to, error))?;
        self.at = None;
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or_else(|| Path::new("."));
        sync(parent).await.map_err(|error| failed("writing the folder", parent, error))
    }
}

/// What follows the name of a folder that is not whole.
const PARTIAL: &str = "partial-";

impl Drop for NewFolder {
    fn drop(&mut self) {
        let Some(at) = self.at.take() else { return };
        let remove = move || {
            if let Err(error) = std::fs::remove_dir_all(&at) {
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

/// Refuses a place where there is something, whatever it is.
async fn refuse_taken(to: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(to).await {
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
async fn create_private(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(path).await
}

/// Writes the entries of a folder to the disk, where the operating system can do that.
async fn sync(folder: &Path) -> io::Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    fs::File::open(folder).await?.sync_all().await
}

pub(super) fn failed(doing: &str, path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Archive, format!("{doing} {}", path.display())).with_source(error)
}

//! A server that follows another one.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use crate::{DevServer, Error, blocking::blocking};

impl DevServer {
    /// Starts a hot standby that follows this server by streaming replication.
    ///
    /// This server needs the settings `wal_level = replica` and `max_wal_senders` of at least 1. It is stopped for a
    /// moment, as by [`stop_now`](Self::stop_now), because its files are copied.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use tenantry_devdb::DevServer;
    ///
    /// let primary = DevServer::builder()
    ///     .setting("wal_level", "replica")
    ///     .setting("max_wal_senders", "4")
    ///     .start()
    ///     .await?;
    /// let standby = primary.standby().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`start`](Self::start), and if a file cannot be copied.
    ///
    /// # Cancel safety
    ///
    /// If cancelled, this server may be stopped.
    pub async fn standby(&self) -> Result<Self, Error> {
        // Its settings count from the start on: those that are copied can name a server that copies another's data.
        let standby = Self::start().await?;
        self.stop_now().await?;
        standby.stop_now().await?;
        let (from, to) = (self.data_dir(), standby.data_dir());
        let conf = format!(
            "\nport = {}\nunix_socket_directories = '{}'\nhot_standby = on\n\
             primary_conninfo = 'host=127.0.0.1 port={} user=postgres'\n",
            standby.port(),
            standby.socket_dir().display(),
            self.port(),
        );
        let copied = blocking(move || {
            replace(&from, &to, &conf).map_err(Error::io("copy the files of the primary"))
        });
        copied.await?;
        self.start_again().await?;
        standby.start_again().await?;
        Ok(standby)
    }
}

/// Replaces a stopped server's data with a copy of another's, and makes it a standby with these further settings.
fn replace(from: &Path, to: &Path, conf: &str) -> io::Result<()> {
    let owner = fs::metadata(to)?;
    fs::remove_dir_all(to)?;
    copy(from, to)?;
    let settings = to.join("postgresql.conf");
    fs::write(&settings, fs::read_to_string(&settings)? + conf)?;
    fs::write(to.join("standby.signal"), "")?;
    give(to, owner.uid(), owner.gid())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else if entry.file_name() != "postmaster.pid" {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn give(path: &Path, user: u32, group: u32) -> io::Result<()> {
    chown(path, Some(user), Some(group))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user, group)?;
        }
    }
    Ok(())
}

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// A file with `DATABASE_URL` that only this user can read. It is removed when the value is dropped.
#[derive(Debug)]
pub(super) struct EnvFile(PathBuf);

impl EnvFile {
    pub(super) fn create(path: &Path, url: &str) -> Result<Self, Failure> {
        let file = fs::File::options().write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| {
            let own = Self(path.to_owned());
            writeln!(file, "DATABASE_URL={url}").map(|()| own)
        });
        written.map_err(|error| {
            let failure = Failure::while_doing(format_args!("writing {}", path.display()), &error);
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    failure.hint("name a file that does not exist: it is removed at the end")
                }
                _ => failure,
            }
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

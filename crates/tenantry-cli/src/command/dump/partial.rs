use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::failure::Failure;

/// A temporary file that only this user can read. It is removed unless it is finished.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    is_finished: bool,
}

impl Partial {
    pub(super) fn create(target: &Path) -> Result<Self, Failure> {
        let Some(name) = target.file_name() else {
            return Err(Failure::new(format!("{} is not a file name", target.display())));
        };
        let mut name = name.to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        let path = target.with_file_name(name);
        let made = fs::File::options().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| {
            Failure::while_doing(format_args!("writing {}", path.display()), &error)
        })?;
        Ok(Self { path, is_finished: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Renames it to the target, and returns its size.
    pub(super) fn finish(mut self, target: &Path, replace: bool) -> Result<u64, Failure> {
        let named = match replace {
            true => fs::rename(&self.path, target),
            // A link fails if the target file exists by now.
            false => fs::hard_link(&self.path, target).and_then(|()| fs::remove_file(&self.path)),
        };
        let named = match named {
            // Some file systems do not support links.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !target.exists() => {
                fs::rename(&self.path, target)
            }
            other => other,
        };
        named.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(target),
            _ => Failure::while_doing(format_args!("writing {}", target.display()), &error),
        })?;
        self.is_finished = true;
        Ok(fs::metadata(target)?.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_finished {
            drop(fs::remove_file(&self.path));
        }
    }
}

pub(super) fn exists(path: &Path) -> Failure {
    Failure::new(format!("{} already exists", path.display())).hint("use --force to replace it")
}

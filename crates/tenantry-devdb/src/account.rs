//! The operating-system account that servers run under.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
};

use crate::Error;

/// Accounts that a server can run under if this process is root, best first.
const UNPRIVILEGED: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The account a server, its `initdb` and its watchdog run under.
///
/// It is the current user, unless that is root: PostgreSQL refuses to run as root.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    instead_of_root: Option<User>,
}

#[derive(Clone, Debug, PartialEq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl Account {
    pub(crate) fn for_server() -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { instead_of_root: None });
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        let user = unprivileged_user(&passwd).ok_or_else(|| {
            Error::failed(
                "choosing an account for the server",
                "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor \
                 a user `nobody` to run it as; run this as another user, or add one of them",
            )
        })?;
        Ok(Self { instead_of_root: Some(user) })
    }

    /// Returns `true` if this account can only access what is accessible to all users.
    pub(crate) fn is_foreign(&self) -> bool {
        self.instead_of_root.is_some()
    }

    pub(crate) fn uid(&self) -> u32 {
        self.instead_of_root
            .as_ref()
            .map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid)
    }

    /// Transfers ownership of a file or folder that this process created to the account.
    pub(crate) fn take_over(&self, path: &Path) -> Result<(), Error> {
        let Some(user) = &self.instead_of_root else {
            return Ok(());
        };
        chown(path, Some(user.uid), Some(user.gid)).map_err(Error::io(format!(
            "hand {} to the user {}",
            path.display(),
            user.name
        )))
    }

    /// Returns a command that runs under the account, does not receive the terminal's Ctrl-C, and does not inherit
    /// the `PG…` variables of the caller's environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, folder: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        // Messages are parsed in one place below, so they must not be translated.
        command.env("LC_ALL", "C").current_dir(folder).process_group(0);
        command.stdin(Stdio::null());
        if let Some(user) = &self.instead_of_root {
            command.uid(user.uid).gid(user.gid).env("HOME", folder);
        }
        command
    }
}

fn unprivileged_user(passwd: &str) -> Option<User> {
    UNPRIVILEGED.iter().find_map(|name| passwd.lines().find_map(|line| parse_user(line, name)))
}

fn parse_user(line: &str, wanted: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| *name == wanted)?.to_owned();
    let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { name, uid, gid })
}

#[cfg(test)]
mod tests {
    use super::{User, unprivileged_user};

    const NOBODY: &str = "nobody:x:65534:65533:nobody:/nonexistent:/usr/sbin/nologin";
    const POSTGRES: &str =
        "postgres:x:101:104:PostgreSQL administrator:/var/lib/postgresql:/bin/sh";

    #[test]
    fn postgres_goes_before_nobody_and_root_is_never_chosen() {
        let user = |name: &str, uid, gid| Some(User { name: name.to_owned(), uid, gid });
        for (passwd, expected) in [
            (
                format!("root:x:0:0::/root:/bin/sh\n{NOBODY}\n{POSTGRES}"),
                user("postgres", 101, 104),
            ),
            (NOBODY.to_owned(), user("nobody", 65534, 65533)),
            ("postgres:x:0:0::/root:/bin/sh".to_owned(), None),
            ("root:x:0:0::/root:/bin/sh".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(unprivileged_user(&passwd), expected, "{passwd}");
        }
    }
}

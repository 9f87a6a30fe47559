//! Databases whose owner died before dropping them.

use std::{
    fs,
    sync::{
        LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{Error, admin::Admin, cluster::is_process, database_name::DatabaseName};

/// Identifies where a process id is valid: one machine, and one container on it.
static REMARK: LazyLock<String> = LazyLock::new(|| {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let container = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("tenantry-devdb on {machine} {}", container.display())
});

/// Marks a database as owned by the process in its name.
pub(crate) async fn mark(admin: &mut Admin, name: &DatabaseName) -> Result<(), Error> {
    admin.remark(name, &REMARK).await
}

/// Drops the databases of dead processes, once per process.
///
/// Databases with open connections, and databases of other machines, are kept.
pub(crate) async fn drop_all(admin: &mut Admin) -> Result<(), Error> {
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    for name in admin.with_remark(&REMARK).await? {
        if name.owner().is_some_and(|pid| !is_process(pid)) {
            // Another process may be doing the same, or a client is connected to it.
            let _ = admin.drop_unused_database(&name).await;
        }
    }
    Ok(())
}

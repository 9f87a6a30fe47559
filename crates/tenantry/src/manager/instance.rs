//! The name under which this process appears on the server.

use sqlx::postgres::PgConnectOptions;

use crate::pool::application_name;

/// Returns the `application_name` of this process's sessions.
pub(super) fn session_name(
    connect: &PgConnectOptions,
    instance: Option<String>,
    names_tenants: bool,
) -> String {
    let wished = || {
        let name = connect.get_application_name()?;
        // The prefix is already there if the name came from another manager.
        Some(name.strip_prefix(application_name::PREFIX).unwrap_or(name).to_owned())
    };
    let instance = instance.or_else(wished).filter(|name| !name.trim().is_empty());
    let instance = instance.unwrap_or_else(|| {
        application_name::default_instance(&host(), std::process::id(), names_tenants)
    });
    application_name::of_instance(&instance, names_tenants)
}

/// Returns this host's name, as far as it is known without a network query.
fn host() -> String {
    let of_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_file = || std::fs::read_to_string("/etc/hostname").ok();
    let of_environment =
        || ["HOSTNAME", "COMPUTERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let names = [of_kernel(), of_environment(), of_file()];
    let mut names = names.into_iter().flatten().map(|name| name.trim().to_owned());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

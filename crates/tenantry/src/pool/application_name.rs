//! The names under which sessions appear in `pg_stat_activity`: `tenantry/<instance>`, followed by
//! the tenant if [`PoolOptions::name_tenants`](super::PoolOptions::name_tenants) is on.

use crate::tenant::TenantId;

/// Prefix of every name.
pub(crate) const PREFIX: &str = "tenantry/";

/// The longest name that PostgreSQL does not truncate, in bytes: `NAMEDATALEN` - 1.
const MOST: usize = 63;

/// The longest instance name if tenants are named, which leaves at least 22 bytes for the tenant.
const MOST_BEFORE_TENANT: usize = 31;

/// Builds the session name of an instance.
///
/// Characters that are not printable ASCII, and slashes, become `_`: the server would replace the
/// former, and a slash ends the instance.
pub(crate) fn of_instance(instance: &str, names_tenants: bool) -> String {
    let most = if names_tenants { MOST_BEFORE_TENANT } else { MOST - PREFIX.len() };
    let allowed = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '/';
    let instance = instance.chars().map(|c| if allowed(c) { c } else { '_' });
    PREFIX.chars().chain(instance.take(most)).collect()
}

/// Makes the session name of an instance unique to a process.
pub(crate) fn of_process(name: &str, process: &str, names_tenants: bool) -> String {
    let most = if names_tenants { PREFIX.len() + MOST_BEFORE_TENANT } else { MOST };
    let room = most.saturating_sub(process.len() + 1);
    name.chars().take(room).chain(['~']).chain(process.chars()).collect()
}

/// Returns the default instance name of this process: host and process id.
pub(crate) fn default_instance(host: &str, process: u32, names_tenants: bool) -> String {
    let most = if names_tenants { MOST_BEFORE_TENANT } else { MOST - PREFIX.len() };
    let process = format!(".{process}");
    // A long host name is truncated, so that two processes on it still have different names.
    let host: String = host.chars().take(most.saturating_sub(process.len())).collect();
    host + &process
}

/// Appends the tenant to the name of an instance, truncated to the available space.
pub(super) fn with_tenant(name: &str, tenant: &TenantId) -> String {
    let mut named = format!("{name}/{}", tenant.as_str());
    named.truncate(MOST);
    named
}

/// The parts of a session name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// The process: the name without the tenant.
    pub(crate) application: &'a str,
    /// The tenant, or the beginning of its id.
    pub(crate) tenant: Option<&'a str>,
    /// `true` if the id may be truncated.
    pub(crate) is_cut: bool,
}

/// Parses a session name. `None` if it does not belong to Tenantry.
pub(crate) fn read(name: &str) -> Option<Named<'_>> {
    let instance = name.strip_prefix(PREFIX)?;
    Some(match instance.split_once('/') {
        Some((instance, tenant)) if !tenant.is_empty() => Named {
            application: &name[..PREFIX.len() + instance.len()],
            tenant: Some(tenant),
            is_cut: name.len() >= MOST,
        },
        _ => Named { application: name, tenant: None, is_cut: false },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_fit_and_are_printable() {
        assert_eq!(of_instance("web-1", false), "tenantry/web-1");
        assert_eq!(of_instance("wäb/1\n", false), "tenantry/w_b_1_");
        assert_eq!(of_instance(&"x".repeat(99), false).len(), MOST);
        assert_eq!(of_instance(&"x".repeat(99), true).len(), 40);
        assert_eq!(default_instance("web-1", 4711, false), "web-1.4711");
        assert_eq!(of_process("tenantry/web-1", "x7", false), "tenantry/web-1~x7");
        let long = of_process(&of_instance(&"x".repeat(99), true), "abcdef", true);
        assert_eq!((long.len(), long.ends_with("x~abcdef")), (40, true));
        let long = default_instance(&"h".repeat(99), 4711, true);
        assert_eq!((long.len(), long.ends_with("h.4711")), (31, true));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(instance in "\\PC{0,80}", tenant in "[a-zA-Z0-9][a-zA-Z0-9_-]{3,62}") {
            let Ok(tenant) = TenantId::parse(&tenant) else { return Ok(()) };
            let name = of_instance(&instance, true);
            prop_assert_eq!(read(&name), Some(Named { application: &name, tenant: None, is_cut: false }));
            let named = with_tenant(&name, &tenant);
            prop_assert!(named.len() <= MOST && named.is_ascii());
            let read = read(&named).expect("it is one of ours");
            prop_assert_eq!(read.application, &name);
            let begins = read.tenant.expect("there is one");
            prop_assert!(tenant.as_str().starts_with(begins));
            prop_assert!(read.is_cut || begins == tenant.as_str());
        }
    }
}

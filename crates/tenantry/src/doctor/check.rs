use std::sync::Arc;

pub use futures_util::future::BoxFuture;

use super::{Examined, Subject};

/// A check of the doctor. Add a service's own implementations with [`Doctor::check`](super::Doctor::check).
///
/// The doctor limits the time of each check, runs a few at once, and reports a check that panics as
/// [`Unknown`](super::CheckStatus::Unknown). A check only reads; put SQL that would change something in a
/// [`Finding`](super::Finding).
///
/// # Examples
///
/// ```
/// use tenantry::doctor::{BoxFuture, Check, Examined, Finding, Subject};
///
/// /// Every tenant has a customer in the billing system.
/// struct Billing;
///
/// impl Check for Billing {
///     fn name(&self) -> &str {
///         "billing"
///     }
///
///     fn title(&self) -> &str {
///         "Billing"
///     }
///
///     fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined> {
///         Box::pin(async move {
///             match on.tenants() {
///                 Ok(tenants) if tenants.len() > 1_000 => Examined::ok("known to billing").finding(
///                     Finding::warning("more than 1,000 customers", "the contract ends there")
///                         .how("extend the contract with the billing service"),
///                 ),
///                 Ok(_) => Examined::ok("known to billing"),
///                 Err(error) => Examined::unknown(format!("the tenants cannot be listed: {error}")),
///             }
///         })
///     }
/// }
/// ```
pub trait Check: Send + Sync + 'static {
    /// Returns the stable id of the check in camel case, such as `poolConfig`: the name in JSON, and in
    /// [`Doctor::only`](super::Doctor::only) and [`Doctor::skip`](super::Doctor::skip).
    fn name(&self) -> &str;

    /// Returns the human-readable name, such as `Database connection`.
    fn title(&self) -> &str;

    /// Returns `true` if the check queries the database. Default: `true`.
    ///
    /// If the database cannot be reached, such checks are skipped instead of each waiting for it.
    fn needs_database(&self) -> bool {
        true
    }

    /// Runs the check and returns its result.
    fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined>;
}

impl<C: Check + ?Sized> Check for Arc<C> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn title(&self) -> &str {
        (**self).title()
    }

    fn needs_database(&self) -> bool {
        (**self).needs_database()
    }

    fn run<'a>(&'a self, on: &'a Subject) -> BoxFuture<'a, Examined> {
        (**self).run(on)
    }
}

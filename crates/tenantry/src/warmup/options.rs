use std::{fmt, sync::Arc};

use super::WarmUpStatus;

type OnProgress = dyn Fn(&str, &WarmUpStatus) + Send + Sync;

/// How to warm up.
///
/// # Examples
///
/// ```no_run
/// # async fn example(manager: tenantry::TenantManager) {
/// use tenantry::WarmUp;
///
/// let options = WarmUp::default()
///     .concurrency(5)
///     .ping(true)
///     .on_progress(|tenant, status| eprintln!("{tenant}: {status}"));
/// let report = manager.warm_up(["acme", "globex"], options).await;
/// println!("warmed {} tenants in {:?}", report.succeeded, report.duration);
/// # }
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until a manager gets them"]
pub struct WarmUp {
    pub(super) concurrency: usize,
    pub(super) ping: bool,
    pub(super) on_progress: Option<Arc<OnProgress>>,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self { concurrency: 10, ping: true, on_progress: None }
    }
}

impl WarmUp {
    /// Sets how many tenants are warmed up at a time. Default: 10. Zero counts as one.
    ///
    /// More than the budget is of no use.
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants.max(1);
        self
    }

    /// Sets whether the server is asked on each connection whether it answers. Default: `true`.
    ///
    /// Without it, a tenant that already has a connection costs nothing, and one that is just idle may
    /// turn out to be dead at its first use.
    pub fn ping(mut self, ping: bool) -> Self {
        self.ping = ping;
        self
    }

    /// Calls a closure as soon as it is known what came of each tenant.
    ///
    /// It runs between the tenants' tasks, so it should be quick. A panic in it is logged and changes
    /// nothing.
    pub fn on_progress(
        mut self,
        progress: impl Fn(&str, &WarmUpStatus) + Send + Sync + 'static,
    ) -> Self {
        self.on_progress = Some(Arc::new(progress));
        self
    }
}

impl fmt::Debug for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp")
            .field("concurrency", &self.concurrency)
            .field("ping", &self.ping)
            .finish_non_exhaustive()
    }
}

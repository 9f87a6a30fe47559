use std::{fmt, sync::Arc};

use super::WarmUpStatus;

type OnProgress = dyn Fn(&str, &WarmUpStatus) + Send + Sync;

/// Options for a warm-up.
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
    /// Sets how many tenants are warmed up concurrently. Default: 10. Zero counts as one.
    ///
    /// A value above the budget has no effect.
    pub fn concurrency(mut self, tenants: usize) -> Self {
        self.concurrency = tenants.max(1);
        self
    }

    /// Sets whether each connection is pinged. Default: `true`.
    ///
    /// Without the ping, a tenant that already has a connection costs nothing, but an idle
    /// connection may turn out to be dead at its first use.
    pub fn ping(mut self, ping: bool) -> Self {
        self.ping = ping;
        self
    }

    /// Calls a closure with the result of each tenant as soon as it is known.
    ///
    /// It runs between the tenants' tasks, so it should be quick. A panic in it is logged and
    /// otherwise ignored.
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

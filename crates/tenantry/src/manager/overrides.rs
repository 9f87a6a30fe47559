//! Pool options that the builder or the URL sets individually.

use std::time::Duration;

use crate::{pool::PoolOptions, retry::RetryPolicy};

/// Values merged into [`PoolOptions`] when a manager is built, so that the order of the builder's
/// calls does not matter.
#[derive(Debug, Default)]
pub(super) struct PoolOverrides {
    pub(super) max_connections: Option<usize>,
    pub(super) max_connections_per_tenant: Option<usize>,
    pub(super) acquire_timeout: Option<Duration>,
    pub(super) refuse_nested_acquires: Option<bool>,
    pub(super) retry: Option<RetryPolicy>,
    /// The `connect_timeout` of the URL, which the options override.
    pub(super) url_connect_timeout: Option<Duration>,
}

impl PoolOverrides {
    pub(super) fn apply(self, mut pool: PoolOptions) -> PoolOptions {
        if pool.connect_timeout == PoolOptions::default().connect_timeout {
            set(&mut pool.connect_timeout, self.url_connect_timeout);
        }
        set(&mut pool.max_connections, self.max_connections);
        set(&mut pool.max_connections_per_tenant, self.max_connections_per_tenant.map(Some));
        set(&mut pool.acquire_timeout, self.acquire_timeout);
        set(&mut pool.refuse_nested_acquires, self.refuse_nested_acquires);
        set(&mut pool.retry, self.retry);
        pool
    }
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ManagerBuilder, *};

    fn options_of(builder: ManagerBuilder) -> PoolOptions {
        builder.build().unwrap().server().options().clone()
    }

    #[tokio::test]
    async fn setters_win_over_options_in_any_order() {
        let s = Duration::from_secs;
        let url = "postgres://app@localhost/saas?connect_timeout=7";
        let options = PoolOptions::default().max_connections(7).min_idle(2).max_lifetime(None);
        let builder = || ManagerBuilder::new(url);
        let before =
            builder().max_connections(9).acquire_timeout(s(1)).pool_options(options.clone());
        let after =
            builder().pool_options(options.clone()).max_connections(9).acquire_timeout(s(1));
        let merged = options.clone().max_connections(9).acquire_timeout(s(1)).connect_timeout(s(7));
        assert_eq!(options_of(before), merged);
        assert_eq!(options_of(after), merged);
        let untouched = options_of(builder().pool_options(options.clone()));
        assert_eq!(untouched, options.clone().connect_timeout(s(7)));
        let own = options.connect_timeout(s(4));
        assert_eq!(options_of(builder().pool_options(own.clone())), own);
    }

    #[tokio::test]
    async fn what_was_merged_is_checked() {
        let few = PoolOptions::default().max_connections(4);
        let builder = ManagerBuilder::new("postgres://app@localhost/saas").pool_options(few);
        assert!(builder.max_connections_per_tenant(5).build().is_err());
    }
}

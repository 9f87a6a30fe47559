//! The cases that every adapter's routes for operators have to pass: `/health`, `/livez`, `/readyz` and `/metrics`.
//!
//! An adapter's test implements [`ServesOps`], and has a test for each case made by [`ops_suite!`](crate::ops_suite).
//! The adapter's own tests cover how the routes fit into an app, and what is logged.

mod broken_collector;
mod health;
mod metrics;
mod metrics_auth;
mod probes;
mod stage;

use std::time::Duration;

pub use broken_collector::BrokenCollector;
pub use health::{
    degraded_is_still_healthy, each_tenant_is_reported_on_request,
    heads_are_served_and_posts_are_not, health_names_no_tenant_by_default,
    saturated_is_still_ready,
};
pub use metrics::{
    assert_five_requests, metrics_are_accepted_by_promtool,
    metrics_are_in_the_text_format_whatever_is_accepted, metrics_contain_the_whole_registry,
    metrics_name_tenants_on_request, two_managers_share_a_registry_with_labels,
};
pub use metrics_auth::metrics_need_the_password;
pub use probes::{
    a_closed_manager_is_not_ready, a_hanging_server_is_bounded_by_the_ping_timeout,
    a_missing_server_is_not_ready, a_restarted_server_is_ready_again,
    one_failing_tenant_leaves_the_instance_ready,
};
use prometheus::Registry;
use tenantry::{MetricsOptions, TenantManager, ops::RegisterError};

use crate::adapter::Server;

/// What an adapter's test does for the suite.
pub trait ServesOps {
    /// Serves only the adapter's routes for operators, with their defaults.
    fn serve_defaults(manager: TenantManager) -> impl Future<Output = Server>;

    /// Serves only the adapter's routes for operators, with these settings.
    fn serve(
        manager: TenantManager,
        settings: OpsSettings,
    ) -> impl Future<Output = Result<Server, RegisterError>>;
}

/// The settings of the routes. A setting that is `None` is left to the adapter.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct OpsSettings {
    /// Whether `/health` reports each tenant.
    pub tenant_details: Option<bool>,
    /// The ping timeout.
    pub ping_timeout: Option<Duration>,
    /// The metrics to expose.
    pub metrics: Option<MetricsOptions>,
    /// The registry to expose.
    pub registry: Option<Registry>,
    /// User and password for `/metrics`.
    pub basic_auth: Option<(&'static str, &'static str)>,
}

impl OpsSettings {
    /// Returns the settings with everything on that names tenants.
    #[must_use]
    pub fn verbose() -> Self {
        let metrics = MetricsOptions::default().tenant_labels(10).process(true).runtime(true);
        Self { tenant_details: Some(true), metrics: Some(metrics), ..Self::default() }
    }
}

/// Makes a test of each case for one [`ServesOps`].
///
/// The calling crate needs tokio with `macros`.
#[macro_export]
macro_rules! ops_suite {
    ($adapter:ty) => {
        $crate::ops_suite! { $adapter:
            health_names_no_tenant_by_default, each_tenant_is_reported_on_request,
            degraded_is_still_healthy, saturated_is_still_ready,
            heads_are_served_and_posts_are_not,
            metrics_are_in_the_text_format_whatever_is_accepted, metrics_name_tenants_on_request,
            metrics_are_accepted_by_promtool, metrics_contain_the_whole_registry,
            two_managers_share_a_registry_with_labels, metrics_need_the_password,
            a_restarted_server_is_ready_again, a_missing_server_is_not_ready,
            a_hanging_server_is_bounded_by_the_ping_timeout,
            one_failing_tenant_leaves_the_instance_ready, a_closed_manager_is_not_ready,
        }
    };
    ($adapter:ty: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::ops::$case::<$adapter>().await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that no adapter runs would test nothing.
    #[test]
    fn the_suite_has_every_case() {
        let sources = [
            include_str!("health.rs"),
            include_str!("metrics.rs"),
            include_str!("metrics_auth.rs"),
            include_str!("probes.rs"),
        ];
        let (_, suite) =
            include_str!("mod.rs").split_once("macro_rules! ops_suite").expect("it is here");
        let cases = sources.iter().flat_map(|source| source.split("\npub async fn ").skip(1));
        let mut count = 0;
        for case in cases.filter_map(|case| case.split('<').next()) {
            assert!(suite.contains(case), "{case}");
            count += 1;
        }
        assert_eq!(count, 16);
    }
}

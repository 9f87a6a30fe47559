//! The cases that every adapter's `serve` has to pass, over real sockets and with real signals.
//!
//! An adapter's test implements [`Serves`] with an app of the routes below, and has a test for each case made by
//! [`serving_suite!`](crate::serving_suite).
//!
//! | route | does | answers |
//! |---|---|---|
//! | `GET /quick` | | `quick` |
//! | `POST /body` | tells [`ServedApp::begun`], then reads the body | how many bytes it had, such as `10` |
//! | `GET /never` | tells [`ServedApp::begun`] | never |
//! | `GET /late` | streams [`work::late`] | `begun`, and the rest once the manager is closing |
//! | `GET /large` | streams [`work::large`] | far more than sockets buffer |
//! | `GET /events` | streams [`work::events`] | events until the manager is closing |
//! | `GET /endless` | streams [`work::endless`] | events until the client is gone |
//! | `GET /silent` | streams [`work::silent`] | `begun`, and no more |
//! | `GET /upgrade/events`, `GET /upgrade/endless` | 101, and streams the same over the upgraded connection | |
//! | `POST /tx` | behind the tenant middleware: [`work::begin`], tells [`ServedApp::begun`] | never |
//! | the routes for operators | | |

mod connections;
mod order;
mod program;
mod running;
mod signals;
pub mod work;

use std::{io, net::TcpListener, sync::Arc};

pub use connections::{
    endless_streams_are_cut, endless_upgrades_are_cut, half_sent_bodies_are_cut,
    half_sent_bodies_can_be_completed, half_sent_heads_hold_no_server,
    idle_connections_end_at_once, requests_that_more_waits_behind_are_cut,
    requests_under_way_are_answered, silent_streams_that_more_waits_behind_are_cut,
    slow_readers_are_cut, streams_that_watch_closing_end, upgrades_that_watch_closing_end,
};
pub use order::{
    a_lease_that_is_kept_is_not_waited_for, closing_the_manager_stops_the_server,
    cut_transactions_are_rolled_back, readiness_goes_first, two_servers_share_a_manager,
};
pub use program::child;
pub use signals::{
    a_second_signal_ends_a_program_that_is_stuck, a_second_signal_ends_the_process,
    a_second_signal_returns_to_the_program, sigterm_drains_and_the_program_goes_on,
};
use tenantry::{
    TenantManager,
    serve::{ServeOptions, ServeReport},
};
use tokio::sync::Notify;

/// What an adapter's test does for the suite.
pub trait Serves {
    /// Serves [the app](self) on this listener with the adapter's `serve` and all of these options.
    fn serve(
        listener: TcpListener,
        app: ServedApp,
        options: ServeOptions,
    ) -> impl Future<Output = io::Result<ServeReport>> + Send + 'static;
}

/// What an app is made of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServedApp {
    /// Whose tenants are served, and what is closed.
    pub manager: TenantManager,
    /// Told when a handler has begun.
    pub begun: Arc<Notify>,
}

impl ServedApp {
    fn new(manager: TenantManager) -> Self {
        Self { manager, begun: Arc::default() }
    }
}

/// Makes a test of each case for one [`Serves`], and one that is a server when others start this program again.
///
/// The calling crate needs tokio with `macros`.
#[macro_export]
macro_rules! serving_suite {
    ($adapter:ty) => {
        $crate::serving_suite! { $adapter:
            idle_connections_end_at_once, requests_under_way_are_answered,
            half_sent_heads_hold_no_server, half_sent_bodies_are_cut, half_sent_bodies_can_be_completed,
            slow_readers_are_cut, requests_that_more_waits_behind_are_cut,
            silent_streams_that_more_waits_behind_are_cut,
            streams_that_watch_closing_end, endless_streams_are_cut,
            upgrades_that_watch_closing_end, endless_upgrades_are_cut,
            readiness_goes_first, closing_the_manager_stops_the_server,
            cut_transactions_are_rolled_back, a_lease_that_is_kept_is_not_waited_for,
            two_servers_share_a_manager,
        }

        #[tokio::test]
        async fn child() {
            $crate::serving::child::<$adapter>().await;
        }

        #[tokio::test]
        async fn sigterm_drains_and_the_program_goes_on() {
            $crate::serving::sigterm_drains_and_the_program_goes_on(module_path!()).await;
        }

        #[tokio::test]
        async fn a_second_signal_ends_the_process() {
            $crate::serving::a_second_signal_ends_the_process(module_path!()).await;
        }

        #[tokio::test]
        async fn a_second_signal_ends_a_program_that_is_stuck() {
            $crate::serving::a_second_signal_ends_a_program_that_is_stuck(module_path!()).await;
        }

        #[tokio::test]
        async fn a_second_signal_returns_to_the_program() {
            $crate::serving::a_second_signal_returns_to_the_program(module_path!()).await;
        }
    };
    ($adapter:ty: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $case() {
                $crate::serving::$case::<$adapter>().await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that no adapter runs is none.
    #[test]
    fn the_suite_has_every_case() {
        let sources =
            [include_str!("connections.rs"), include_str!("order.rs"), include_str!("signals.rs")];
        let (_, suite) =
            include_str!("mod.rs").split_once("macro_rules! serving_suite").expect("it is here");
        let cases = sources.iter().flat_map(|source| source.split("\npub async fn ").skip(1));
        let mut count = 0;
        for case in cases.filter_map(|case| case.split(['<', '(']).next()) {
            assert!(suite.contains(case), "{case}");
            count += 1;
        }
        assert_eq!(count, 21);
    }
}

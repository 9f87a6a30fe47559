//! The HTTP cases that every adapter has to pass, over a real socket and against a real PostgreSQL.
//!
//! An adapter's test implements [`Adapter`] with an app of the routes below, and has a test for each
//! case made by [`suite!`](crate::suite). What is about one framework alone stays in that adapter's
//! own tests: what goes to the log, extractors, the order of middlewares.
//!
//! # The app
//!
//! What a handler does is in [`work`]; the app has nothing but extractors and responses around it. A
//! handler that fails answers as the adapter's own error does.
//!
//! Inside of the middleware, which has the [resolver](Resolver) of [`App`]:
//!
//! | route | takes | does | answers |
//! |---|---|---|---|
//! | `GET`, `HEAD /tenant` | the tenant | | its id |
//! | `GET /t/{tenant}/users/{id}` | the tenant, the path | | its id, a space, the path's `id`, a number |
//! | `GET /name` | the handle | [`work::name`] | the name |
//! | `GET /own-name` | the tenant, a transaction | [`work::name_in`] | id, colon, name |
//! | `POST /users` | a JSON string of at most [`BODY_LIMIT`] bytes, and then a transaction | [`work::add`] | 201 |
//! | `POST /raw` | the handle, the body | reads at most [`BODY_LIMIT`] bytes, begins, [`work::begin_to_add`], commits | 201, or 413 |
//! | `POST /forget` | a transaction | [`work::begin_to_add`] | 200 |
//! | `GET /fail/{how}` | the handle, the path | [`work::fail`] | 200 |
//! | `GET /mapped/{how}` | the handle, the path | [`work::fail`], whose error is mapped | 200 |
//! | `GET /wrapped/{how}` | the handle, the path | [`work::fail`], whose error is the source of a [`work::Wrapped`] | 200, or what the adapter finds in that |
//! | `GET /status/{code}` | the path | | fails with the status, made into the adapter's own error |
//! | `POST /slow` | the handle | [`work::slow`] | 200 |
//! | `POST /slow-tx` | a transaction | [`work::slow_in`] | 200 |
//! | `POST /panic` | a transaction | [`work::begin_to_add`], then panics | nothing |
//! | `GET /rows` | the handle | [`work::rows`] | a stream |
//! | `GET /events` | the handle | [`work::events`] | `text/event-stream` |
//! | `GET /members/name` | the handle, inside of a second middleware whose hook lets in if [`work::is_member`] of the header `x-user` | [`work::name`] | the name |
//! | `GET /nested/tenant` | the tenant, inside of a second middleware that reads `x-inner` | | its id |
//! | `GET /nested-optional/tenant` | the tenant if there is one, inside of an optional one that reads `x-inner` | | its id, or `none` |
//!
//! `GET /acting/tenant` has a middleware of its own, inside of the one that makes the [`Claim`]: it reads
//! `x-tenant-id`, is bound to [`tenant_of_claim`], switches to the tenant in `x-act-as-tenant` if
//! [`work::is_operator`] of the header `x-user` says so, and has a hook that denies everybody but the user
//! `member`. It answers with the tenant's id and, after a switch, with ` from ` and the other id, or `none`.
//!
//! `GET /context/names` and, with an optional middleware, `GET /context-optional/open` have a middleware of
//! their own that reads `x-tenant-id`, and inside of it the one that puts the tenant in scope. The first
//! answers with the stream [`work::names_in_context`], the second with `open` if
//! [`context::current`](tenantry::context::current) fails.
//!
//! Where the shared schema is asked for, the answer is that of [`work::plan`]: `GET /plan` inside of the
//! middleware, `GET /optional/plan` inside of an optional one, `GET /managed/plan` outside of any, where the
//! application has the manager in its data, and `GET /outside/plan` without that.
//!
//! Around all of that is a middleware that copies the id of the [`Tenant`](tenantry::Tenant) in the response's
//! extensions, if there is one, into the header `x-served-tenant`.
//!
//! Outside of every middleware: `GET /outside/db`, `/outside/tx`, `/outside/tenant` take the handle, a
//! transaction and the tenant, and `GET /outside/open` answers `open`. And `GET /optional/name` has a
//! middleware of its own, which reads `x-tenant-id` and is optional: the name, or `none`.
//!
//! So has `GET /guests/tenant`, whose hook lets in if the header `x-user` is the tenant's id, and which
//! answers with that.
//!
//! These have a middleware of their own as well, which reads `x-tenant-id`. All but the last are inside of
//! the middleware that makes a [`Claim`] of the header `x-verified`, as a session layer would:
//!
//! | route | its middleware | answers |
//! |---|---|---|
//! | `GET /bound/name` | is bound to [`tenant_of_claim`], and has the hook of `/members/name` | [`work::name`] |
//! | `GET /bound-by-store/tenant` | is bound to [`tenant_in_store`] | the tenant's id |
//! | `GET /bound-optional/tenant` | is bound to [`tenant_of_claim`], and optional | the tenant's id, or `none` |
//! | `GET /bound-outside/tenant` | is bound to [`tenant_of_claim`], and *outside* of the one that makes the claim | the tenant's id |

mod adapter;
pub mod cases;
mod client;
pub mod compiler_messages;
pub mod ops;
mod resolver;
pub mod serving;
mod stage;
pub mod work;
pub mod world;

pub use adapter::{Adapter, App, BODY_LIMIT, InDatabases, InRows, Server};
pub use resolver::{
    Claim, DOMAIN, PATH_PREFIX, Resolver, tenant_in_store, tenant_of_claim, tenant_of_host,
    tenant_of_query,
};

/// Makes a test of each case, for one [`Adapter`]. Those that work with the tenants' data are made once for
/// each kind of isolation.
///
/// The calling crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! suite {
    ($adapter:ty) => {
        $crate::suite! { $adapter:
            by_header, by_subdomain, by_host, by_path, by_claim, by_query,
            one_host, no_user_in_the_target, no_empty_label, http2_authority, path_in_normal_form,
            names_what_is_wrong_with_the_tenant, repeats_nothing_hostile, lets_members_in,
            suspension_is_no_strangers_business,
            head_and_options, optional_tenant,
            over_the_rate, strangers_use_up_no_rate, switches_count_where_they_lead,
            bound_to_one_tenant, bound_before_anything_is_asked, bound_by_a_session_store,
            bound_outside_of_the_session, bound_and_optional,
            inner_middleware_wins, optional_inner_middleware_takes_the_tenant_away,
            failing_statements_are_opaque, refused_statements_can_be_mapped,
            keep_their_status_under_an_error_of_the_application, a_status_is_a_problem,
            no_connection_in_time, no_server, closed_manager,
            failing_catalog, missing_middleware, shared_schema, responses_name_their_tenant,
            operators_switch, switches_are_asked_for_first, switches_are_off_by_default,
            thousand_parallel_requests,
            streaming_body, client_that_leaves_a_stream, streams_have_their_tenant_in_scope, events_outlive_their_handler,
            commit_alone_lasts, panicking_handler, client_that_leaves_a_transaction,
            client_that_leaves_a_statement, body_too_large, body_that_ends_too_early,
            half_sent_bodies_hold_no_connection, half_sent_bodies_over_http2,
            hanging_statements_leave_a_place, unknown_ids_hold_nobody_up,
        }
        mod in_rows {
            use super::*;

            type InRows = $crate::InRows<$adapter>;
            $crate::suite! { of_any_kind: InRows }
            $crate::suite! { InRows: thousand_parallel_requests }
        }
        mod in_databases {
            use super::*;

            type InDatabases = $crate::InDatabases<$adapter>;
            $crate::suite! { of_any_kind: InDatabases }
        }
    };
    (of_any_kind: $adapter:ty) => {
        $crate::suite! { $adapter:
            suspension_is_no_strangers_business, over_the_rate,
            failing_statements_are_opaque, refused_statements_can_be_mapped,
            no_connection_in_time, shared_schema,
            streaming_body, client_that_leaves_a_stream, events_outlive_their_handler,
            commit_alone_lasts, panicking_handler, client_that_leaves_a_transaction,
            client_that_leaves_a_statement, half_sent_bodies_hold_no_connection,
            hanging_statements_leave_a_place,
        }
    };
    ($adapter:ty: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::cases::$case::<$adapter>().await;
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    /// A case that no adapter runs is none.
    #[test]
    fn the_suite_has_every_case() {
        let sources = [
            include_str!("cases/bound.rs"),
            include_str!("cases/bodies.rs"),
            include_str!("cases/crowds.rs"),
            include_str!("cases/errors.rs"),
            include_str!("cases/heads.rs"),
            include_str!("cases/isolation.rs"),
            include_str!("cases/nesting.rs"),
            include_str!("cases/rates.rs"),
            include_str!("cases/refusal.rs"),
            include_str!("cases/resolution.rs"),
            include_str!("cases/shared.rs"),
            include_str!("cases/streams.rs"),
            include_str!("cases/switches.rs"),
            include_str!("cases/told.rs"),
            include_str!("cases/transactions.rs"),
        ];
        let (_, suite) =
            include_str!("lib.rs").split_once("macro_rules! suite").expect("it is here");
        let (suite, _) = suite.split_once("#[tokio::test").expect("it makes tests");
        let suite: Vec<_> = suite.split([',', ' ', '\n']).collect();
        let cases = sources.iter().flat_map(|source| source.split("pub async fn ").skip(1));
        let mut count = 0;
        for case in cases.filter_map(|case| case.split_once("<A: Adapter>").map(|case| case.0)) {
            assert!(suite.contains(&case), "{case}");
            count += 1;
        }
        assert_eq!(count, 56);
    }
}

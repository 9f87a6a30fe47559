//! The cases. Each starts what it needs, and panics when the adapter does not do as it should.

mod bodies;
mod bound;
mod crowds;
mod errors;
mod heads;
mod isolation;
mod nesting;
mod rates;
mod refusal;
mod resolution;
mod shared;
mod streams;
mod switches;
mod told;
mod transactions;

pub use bodies::{
    body_that_ends_too_early, body_too_large, half_sent_bodies_hold_no_connection,
    half_sent_bodies_over_http2,
};
pub use bound::{
    bound_and_optional, bound_before_anything_is_asked, bound_by_a_session_store,
    bound_outside_of_the_session, bound_to_one_tenant,
};
pub use crowds::{hanging_statements_leave_a_place, unknown_ids_hold_nobody_up};
pub use errors::{
    a_status_is_a_problem, closed_manager, failing_catalog, failing_statements_are_opaque,
    keep_their_status_under_an_error_of_the_application, missing_middleware, no_connection_in_time,
    no_server, refused_statements_can_be_mapped,
};
pub use heads::{
    http2_authority, no_empty_label, no_user_in_the_target, one_host, path_in_normal_form,
};
pub use isolation::thousand_parallel_requests;
pub use nesting::{inner_middleware_wins, optional_inner_middleware_takes_the_tenant_away};
pub use rates::{over_the_rate, strangers_use_up_no_rate, switches_count_where_they_lead};
pub use refusal::{
    head_and_options, lets_members_in, names_what_is_wrong_with_the_tenant, optional_tenant,
    repeats_nothing_hostile, suspension_is_no_strangers_business,
};
pub use resolution::{by_claim, by_header, by_host, by_path, by_query, by_subdomain};
pub use shared::shared_schema;
pub use streams::{
    client_that_leaves_a_stream, events_outlive_their_handler, streaming_body,
    streams_have_their_tenant_in_scope,
};
pub use switches::{operators_switch, switches_are_asked_for_first, switches_are_off_by_default};
pub use told::responses_name_their_tenant;
pub use transactions::{
    client_that_leaves_a_statement, client_that_leaves_a_transaction, commit_alone_lasts,
    panicking_handler,
};

//! A small shop: customers and orders of each tenant, and a report on all tenants.
//!
//! Its queries are checked at compile time against the tenants' tables, and `tests/it` tests it with
//! `tenantry-test`.

mod customers;
mod orders;
mod report;

use axum::{Router, routing::get};
use tenantry::TenantManager;
use tenantry_axum::TenantLayer;

pub use report::orders_of_all_tenants;

/// Creates the routes. A test passes the manager of its own tenant.
pub fn app(manager: TenantManager) -> Router {
    let of_a_tenant = Router::new()
        .route("/customers", get(customers::list).post(customers::create))
        .route("/customers/{id}/orders", get(orders::list).post(orders::create))
        .layer(TenantLayer::new(manager.clone()));
    // In production it belongs behind authentication.
    let of_all = Router::new().route("/report", get(report::show)).with_state(manager);
    of_a_tenant.merge(of_all)
}

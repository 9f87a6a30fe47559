//! The promises of the crate, each kept against a real PostgreSQL.

mod support;

mod architecture;
mod bindings;
mod budget;
mod cancel;
mod catalog_cache;
mod close;
mod counting;
mod events;
mod executor;
mod faults;
mod health;
mod identity;
mod isolation;
mod leak;
mod leak_disguised;
mod leak_kinds;
mod leak_midway;
mod leak_statements;
mod leak_types;
mod lifetime;
mod log;
mod metrics;
mod migrate;
mod opentelemetry;
mod provision;
mod recovery;
mod requests;
mod resilience;
mod runtimes;
mod scope;
mod secrets;
mod table_catalog;
mod transactions;
mod warm_up;

//! Rows leave, and get into, the tables of all tenants while the tenant is served: triggers log what changes meanwhile.

mod hostile;
mod workload;

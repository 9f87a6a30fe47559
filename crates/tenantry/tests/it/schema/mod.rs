//! What a schema holds, compared the way `pg_dump` prints it.

pub(crate) mod cases;
mod conformance;
pub(crate) mod corpus;
mod ddl;
mod dump;
mod histories;
pub(crate) mod judge;
mod lint;
mod names;
pub(crate) mod probe;
mod random;
mod references;
mod repair;
mod roles;
mod text;
mod truth;

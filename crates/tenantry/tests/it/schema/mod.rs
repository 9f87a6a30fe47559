//! What a schema holds, compared the way `pg_dump` prints it.

mod cases;
mod conformance;
mod corpus;
mod ddl;
mod dump;
mod histories;
mod judge;
mod lint;
mod names;
mod probe;
mod random;
mod references;
mod repair;
mod roles;
mod text;
mod truth;

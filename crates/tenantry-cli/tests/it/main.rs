//! What the commands promise, tried with the real binary on a real PostgreSQL.

mod exit_codes;
mod help;
mod settings;
mod support;

//! What the commands promise, tried with the real binary on a real PostgreSQL.

mod bad_input;
mod exit_codes;
mod help;
mod interrupt;
mod pipes;
mod settings;
mod support;

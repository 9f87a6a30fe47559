//! What the commands promise, tried with the real binary on a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "what fails says where, in helpers of tests, too")]

mod adoption;
mod archive;
mod bad_input;
mod catalogs;
mod dump;
mod existing;
mod exit_codes;
mod guide;
mod help;
mod init;
mod interrupt;
mod json;
mod kinds;
mod pipes;
mod prepare;
mod row_tables;
mod settings;
mod shell;
mod support;

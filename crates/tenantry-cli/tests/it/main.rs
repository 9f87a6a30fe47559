//! What the commands promise, tried with the real binary on a real PostgreSQL.

mod dump;
mod exit_codes;
mod help;
mod init;
mod prepare;
mod settings;
mod shell;
mod support;

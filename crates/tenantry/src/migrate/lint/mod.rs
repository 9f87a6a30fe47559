//! What must not be in a file that is run in the schema of every tenant, found before anything is run.
//!
//! The lint reads tokens, as PostgreSQL's own scanner makes them, and no grammar: it knows where a statement
//! begins, and where the name of a table, a type or a function stands. What is put together while a file runs,
//! such as the text of `execute` in a function, it does not see.

mod finding;
mod names;
mod options;
mod rules;
mod script;
#[cfg(test)]
mod tests;

pub use finding::{Finding, Rule};
pub use options::Lint;
pub(crate) use rules::{Of, Subject, check};
pub(crate) use script::{line_of, statements};

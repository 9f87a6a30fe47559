//! What must not be in a file that is run in the schema of every tenant, found before anything is run, and what
//! may hurt a service that is running.
//!
//! Statements are parsed one by one. Where the parser does not know one, the lint looks at its tokens, and keeps
//! to what words say for certain: a statement that is newer than the parser must not keep a deploy from
//! running. In a build without the feature `lint` there is no parser, and it goes by tokens alone. What is put
//! together while a file runs, such as the text of `execute` in a function, it does not see.
//!
//! A rule is a function in [`rules::RULES`](rules), in a file of its own, and a variant of [`Rule`].

mod allowed;
mod extension;
mod finding;
mod found;
mod lines;
mod literal;
mod live;
mod named_in_text;
mod options;
#[cfg(feature = "lint")]
mod parse;
#[cfg(not(feature = "lint"))]
#[path = "no_parse.rs"]
mod parse;
mod piece;
mod report;
mod role;
mod rules;
mod schemas;
mod script;
mod search_path;
mod set_config;
mod statement;
mod stored_name;
#[cfg(all(test, feature = "lint"))]
mod tests;
mod transaction;
mod tree;
mod unparsed;
mod words;

pub use finding::{Finding, Rule};
pub(crate) use found::Findings;
pub(crate) use lines::line_of;
pub use options::Lint;
pub(super) use parse::HAS_PARSER;
pub use report::{FileFinding, LintError, LintReport};
pub(crate) use rules::{Of, Subject, check};
pub(crate) use script::statements;
pub(crate) use statement::{Concurrent, Constraint, Name, NewIndex, Reindexed, Statement};
pub(crate) use transaction::within_pair;
pub(crate) use tree::unescaped;

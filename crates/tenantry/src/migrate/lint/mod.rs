//! Finds, before a run, statements that must not be in a file for every tenant's schema, and statements that can hurt
//! a running service.
//!
//! Statements are parsed one by one. If the parser does not know a statement, the lint falls back to its tokens and
//! reports only what the words prove: a statement newer than the parser must not block a deploy. A build without the
//! feature `lint` has no parser and uses tokens only. The lint does not see SQL that is assembled at run time, such
//! as the text of `execute` in a function.
//!
//! A rule is a variant of [`Rule`]. The functions in [`rules::RULES`](rules) check for one or several rules each, in
//! separate files: `live` has all warnings about a running service. Rules about the file as a whole are checked in
//! [`rules`] and [`transaction`], outside of that list.

mod allowed;
mod citus_rules;
mod context;
mod extension;
mod finding;
mod found;
mod lines;
mod literal;
mod live;
mod made;
mod name;
mod named_in_text;
mod options;
mod parse;
#[cfg(feature = "lint")]
mod parser;
#[cfg(not(feature = "lint"))]
#[path = "no_parser.rs"]
mod parser;
mod piece;
mod report;
mod role;
mod row_rules;
mod row_tables;
mod rule;
mod rules;
mod schema_name;
mod schemas;
mod script;
mod search_path;
mod set_config;
mod statement;
mod stored_name;
mod syntax;
#[cfg(all(test, feature = "lint"))]
mod tests;
mod transaction;
mod tree;
mod unparsed;
mod words;

pub(crate) use context::{Of, Subject};
pub use finding::Finding;
pub(crate) use found::Findings;
pub(crate) use lines::line_of;
pub(crate) use name::unescaped;
pub use options::Lint;
pub(super) use parser::HAS_PARSER;
pub use report::{FileFinding, LintError, LintReport};
pub(crate) use row_tables::RowTables;
pub use rule::Rule;
pub(crate) use rules::check;
pub(crate) use script::statements;
pub(crate) use statement::{Concurrent, Constraint, Name, NewIndex, Reindexed, Statement};
pub(crate) use transaction::within_pair;

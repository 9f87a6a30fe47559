//! A clone is what its source is, and nothing of its source.

mod anonymize;
mod cases;
mod refusals;
mod rows;
pub(crate) mod shop;
mod subset;

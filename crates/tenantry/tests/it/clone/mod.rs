//! A clone is what its source is, and nothing of its source.

mod anonymize;
mod cases;
mod refusals;
mod rows;
mod shop;
mod subset;

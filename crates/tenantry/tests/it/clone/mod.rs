//! A clone is what its source is, and nothing of its source.

mod cases;
mod masks;
mod refusals;
mod rows;
mod shop;
mod subset;

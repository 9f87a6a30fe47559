//! Exports of a model to other tools' formats.

mod dbml;
mod json;
mod json_schema;
pub(crate) mod keys;
mod mermaid;

pub use json::ModelError;

//! A model in the formats of other tools.

mod dbml;
mod json;
mod json_schema;
pub(crate) mod keys;
mod mermaid;

pub use json::ModelError;

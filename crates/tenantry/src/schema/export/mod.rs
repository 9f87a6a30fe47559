//! A model in the formats of other tools.

mod dbml;
mod json;
mod json_schema;
pub(super) mod keys;
mod mermaid;

pub use json::ModelError;
pub(crate) use keys::foreign_keys;

//! A model as JSON.

use std::{error, fmt};

use super::super::SchemaModel;

impl SchemaModel {
    /// Returns the model as JSON, a line for each attribute, so that differences can be read line by line.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a model holds nothing that JSON lacks")
    }

    /// Reads a model that [`SchemaModel::to_json`] has written.
    ///
    /// # Errors
    ///
    /// Returns where the text is no JSON, or no model, and why.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        serde_json::from_str(text).map_err(|source| ModelError {
            line: source.line(),
            column: source.column(),
            source,
        })
    }
}

/// A text is no model of a schema.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModelError {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1; 0 at the very beginning of a line.
    pub column: usize,
    source: serde_json::Error,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        write!(f, "not a model of a schema: line {line}, column {column}")
    }
}

impl error::Error for ModelError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::example;
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        let model = example();
        assert_eq!(SchemaModel::from_json(&model.to_json()).expect("it is a model"), model);
    }

    #[test]
    fn an_error_says_where() {
        let error = SchemaModel::from_json("{\n  \"schema\": 1\n}").expect_err("it is none");
        assert_eq!((error.line, error.column), (2, 13));
        assert_eq!(error.to_string(), "not a model of a schema: line 2, column 13");
    }
}

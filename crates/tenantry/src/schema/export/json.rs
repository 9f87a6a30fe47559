//! Exports a model as JSON.

use std::{error, fmt};

use serde::{Deserialize, Serialize};

use super::super::SchemaModel;

impl SchemaModel {
    /// Returns the model as JSON, with one line per attribute, so that line-based diffs are readable.
    #[must_use]
    pub fn to_json(&self) -> String {
        let saved = Saved { format: FORMAT, model: self };
        serde_json::to_string_pretty(&saved)
            .expect("a model contains nothing that JSON cannot represent")
    }

    /// Reads a model written by [`SchemaModel::to_json`].
    ///
    /// # Errors
    ///
    /// [`ModelError`] with the position and the reason, if the text is not JSON or not a model. A model in a
    /// different format, written by a later version of Tenantry, is rejected.
    pub fn from_json(text: &str) -> Result<Self, ModelError> {
        let error = |source: serde_json::Error, format| ModelError {
            line: source.line(),
            column: source.column(),
            format,
            source,
        };
        // If the format differs, the error is about the format.
        let format = serde_json::from_str::<Format>(text).ok().map(|read| read.format);
        let format = format.filter(|format| *format != FORMAT);
        if let Some(format) = format {
            let source = serde::de::Error::custom(format_args!("this version reads {FORMAT}"));
            return Err(error(source, Some(format)));
        }
        serde_json::from_str(text).map_err(|source| error(source, None))
    }
}

/// The format of models that are written.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Saved<'a> {
    format: u32,
    #[serde(flatten)]
    model: &'a SchemaModel,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The text is not a model of a schema.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModelError {
    /// The line, from 1.
    pub line: usize,
    /// The column in bytes, from 1; 0 at the very beginning of a line.
    pub column: usize,
    /// The format, if it differs from the one that this version writes.
    pub format: Option<u32>,
    source: serde_json::Error,
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        if let Some(format) = self.format {
            return write!(f, "a model of a schema in format {format}: save it again");
        }
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
    fn another_format_is_named() {
        let text = example().to_json().replacen("\"format\": 1", "\"format\": 99", 1);
        let error = SchemaModel::from_json(&text).expect_err("it is another");
        assert_eq!(error.to_string(), "a model of a schema in format 99: save it again");
    }

    #[test]
    fn an_error_says_where() {
        let error = SchemaModel::from_json("{\n  \"schema\": 1\n}").expect_err("it is none");
        assert_eq!((error.line, error.column), (2, 13));
        assert_eq!(error.to_string(), "not a model of a schema: line 2, column 13");
    }
}

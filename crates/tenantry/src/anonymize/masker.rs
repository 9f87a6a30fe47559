//! The masks of a whole value: of a scalar, of an array's elements, of a composite's fields, of a document.

use super::{
    json::JsonMasker,
    leaf::Leaf,
    literal::{Written, rewrite_array, rewrite_composite},
    outcome::{Outcome, Unfit},
    row::Row,
    tally::Sink,
};

/// The mask of a value of any type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Masker {
    Keep,
    Leaf(Leaf),
    Array(Box<Masker>),
    /// One for each field.
    Composite(Vec<Masker>),
    Json(JsonMasker),
}

impl Masker {
    /// Returns `true` if values are unchanged.
    pub(super) fn is_keep(&self) -> bool {
        match self {
            Self::Keep => true,
            Self::Array(element) => element.is_keep(),
            Self::Composite(fields) => fields.iter().all(Self::is_keep),
            Self::Leaf(_) | Self::Json(_) => false,
        }
    }

    /// Returns all masks in it.
    pub(super) fn leaves(&self) -> Vec<&Leaf> {
        match self {
            Self::Keep => Vec::new(),
            Self::Leaf(leaf) => vec![leaf],
            Self::Array(element) => element.leaves(),
            Self::Composite(fields) => fields.iter().flat_map(Self::leaves).collect(),
            Self::Json(json) => json.rules.iter().flat_map(|(_, mask)| mask.leaves()).collect(),
        }
    }

    /// Finds the columns that masks in it depend on.
    pub(super) fn resolve(&mut self, columns: &[String]) {
        match self {
            Self::Keep => {}
            Self::Leaf(leaf) => leaf.resolve(columns),
            Self::Array(element) => element.resolve(columns),
            Self::Composite(fields) => {
                for field in fields {
                    field.resolve(columns);
                }
            }
            Self::Json(json) => {
                for leaf in json.rules.iter_mut().flat_map(|(_, mask)| mask.leaves_mut()) {
                    leaf.resolve(columns);
                }
            }
        }
    }

    /// Appends the mask of a non-null value.
    pub(super) fn mask(
        &self,
        value: &[u8],
        row: &Row<'_>,
        sink: &mut Sink<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Written, Unfit> {
        match self {
            Self::Keep => return Ok(Written::Same),
            Self::Leaf(leaf) => {
                if sink.apply(leaf, value, row, out)? == Outcome::Null {
                    return Ok(Written::Null);
                }
            }
            Self::Array(element) => {
                rewrite_array(value, out, |value, out| element.mask(value, row, sink, out))?
            }
            Self::Composite(fields) => {
                rewrite_composite(value, fields.len(), out, |number, value, out| {
                    match fields.get(number) {
                        Some(field) => field.mask(value, row, sink, out),
                        None => Err(Unfit::NotAComposite),
                    }
                })?;
            }
            Self::Json(json) => json.mask(value, row, sink, out)?,
        }
        Ok(Written::Value)
    }
}

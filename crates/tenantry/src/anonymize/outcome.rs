//! The result of masking one value.

/// The result for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It became null.
    Null,
    /// It changed.
    Masked,
    /// It identifies no one and stays: 0 under a hash, an infinite date.
    Neutral,
    /// The mask equals the value, such as a constant that the value already has.
    Unchanged,
}

/// Why a value cannot be masked. Values are never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the value is not UTF-8: set client_encoding to UTF8")]
    NotUtf8,
    #[error("the value is not a number")]
    NotANumber,
    #[error("the value is not a date in ISO format: set DateStyle to ISO")]
    NotADate,
    #[error("the value is not an array as PostgreSQL writes it")]
    NotAnArray,
    #[error("the value is not a composite with the fields of its type")]
    NotAComposite,
    #[error("the value is not JSON")]
    NotJson,
    #[error("the JSON is nested more than 10,000 levels deep")]
    TooDeep,
}

/// The reason why a [`SlugPolicy`](super::SlugPolicy) refuses a name.
///
/// The messages are for the person who signs up: each is one sentence and never repeats the name.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SlugError {
    /// The name is shorter than the policy allows.
    #[error("use at least {min} characters")]
    TooShort {
        /// The minimum length.
        min: usize,
    },
    /// The name is longer than the policy allows.
    #[error("use at most {max} characters")]
    TooLong {
        /// The maximum length.
        max: usize,
    },
    /// The name contains something other than `a–z`, `0–9` and `-`.
    #[error("use only the letters a-z in lower case, digits and hyphens, not {found:?}")]
    Character {
        /// The first character that is not allowed.
        found: char,
    },
    /// The name starts or ends with a hyphen.
    #[error("start and end with a letter or a digit")]
    Edge,
    /// The name contains two hyphens in a row.
    #[error("use one hyphen at a time")]
    DoubleHyphen,
    /// The name is reserved.
    #[error("this name is reserved, choose another one")]
    Reserved,
}

crate::error_report::readable_debug!(SlugError);

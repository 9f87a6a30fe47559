/// An invalid option, and the values that it accepts.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} must {must}")]
pub struct OptionsError {
    option: &'static str,
    must: String,
}

crate::error_report::readable_debug!(OptionsError);

impl OptionsError {
    pub(crate) fn new(option: &'static str, must: impl Into<String>) -> Self {
        Self { option, must: must.into() }
    }

    /// Returns the name of the option.
    #[must_use]
    pub fn option(&self) -> &'static str {
        self.option
    }
}

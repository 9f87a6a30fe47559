use http::Response;

use crate::rejection::Rejection;

/// Turns a [`Rejection`] into a response.
///
/// Implemented by [`ProblemJson`] and by closures; see
/// [`TenantLayer::on_rejection`](crate::TenantLayer::on_rejection).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make a response with a body of type `{B}`",
    label = "cannot answer a refused request",
    note = "`ProblemJson`, the default, needs a body that is made from a `String`: set another response with `TenantLayer::on_rejection`"
)]
pub trait Respond<B> {
    /// Creates the response.
    fn respond(&self, rejection: &Rejection) -> Response<B>;
}

/// Responds with [`Rejection::problem`], in any body that can be created from a `String`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ProblemJson {}

impl<B: From<String>> Respond<B> for ProblemJson {
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        rejection.problem().to_response()
    }
}

#[diagnostic::do_not_recommend]
impl<F, B> Respond<B> for F
where
    F: Fn(&Rejection) -> Response<B>,
{
    fn respond(&self, rejection: &Rejection) -> Response<B> {
        self(rejection)
    }
}

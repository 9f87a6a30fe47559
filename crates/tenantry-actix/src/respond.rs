use actix_web::HttpResponse;

use crate::rejection::Rejection;

/// Turns a [`Rejection`] into a response.
///
/// Implemented by [`ProblemJson`] and by closures; see
/// [`TenantMiddleware::on_rejection`](crate::TenantMiddleware::on_rejection).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not make a response of a rejection",
    label = "cannot answer a refused request",
    note = "use a closure `|rejection: &Rejection| -> HttpResponse`"
)]
pub trait Respond: Send + Sync + 'static {
    /// Creates the response.
    fn respond(&self, rejection: &Rejection) -> HttpResponse;
}

/// Responds with [`Rejection::problem`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct ProblemJson {}

impl Respond for ProblemJson {
    fn respond(&self, rejection: &Rejection) -> HttpResponse {
        rejection.problem().to_response()
    }
}

#[diagnostic::do_not_recommend]
impl<F> Respond for F
where
    F: Fn(&Rejection) -> HttpResponse + Send + Sync + 'static,
{
    fn respond(&self, rejection: &Rejection) -> HttpResponse {
        self(rejection)
    }
}

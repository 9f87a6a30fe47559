use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response, request::Parts};
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::{
    rejection::Rejection,
    respond::{ProblemJson, Respond},
    served::Served,
};

/// Looks up a tenant and checks whether the caller may use it. One allocation, because the future
/// of an `async fn` has no name; everything around it is plain state.
type Admission = Pin<Box<dyn Future<Output = Result<(Parts, Served), Rejection>> + Send>>;

pin_project! {
    /// The response of a [`TenantService`](crate::TenantService).
    ///
    /// # Cancel safety
    ///
    /// As safe as the inner service's future, the `bound_to` closures and the authorize hook.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, ReqBody, P = ProblemJson>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody, P>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqBody, P>
    where
        S: Service<Request<ReqBody>>,
    {
        Admitting {
            admission: Admission,
            // Taken when the admission ends.
            next: Option<Next<S, ReqBody, P>>,
        },
        Serving {
            #[pin]
            response: S::Future,
            // Taken when the response is ready.
            served: Option<Served>,
        },
        Rejected {
            // Taken by the only poll.
            response: Option<S::Response>,
        },
    }
}

/// The state that is needed after the admission.
struct Next<S, ReqBody, P> {
    inner: S,
    body: ReqBody,
    respond: P,
}

impl<S, ReqBody, P> ResponseFuture<S, ReqBody, P>
where
    S: Service<Request<ReqBody>>,
{
    pub(crate) fn admitting(admission: Admission, inner: S, body: ReqBody, respond: P) -> Self {
        let next = Some(Next { inner, body, respond });
        Self { state: State::Admitting { admission, next } }
    }

    pub(crate) fn serving(response: S::Future) -> Self {
        Self { state: State::Serving { response, served: None } }
    }

    pub(crate) fn rejected(response: S::Response) -> Self {
        Self { state: State::Rejected { response: Some(response) } }
    }
}

impl<S, ReqBody, ResBody, P> Future for ResponseFuture<S, ReqBody, P>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    P: Respond<ResBody>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let after = match state.as_mut().project() {
                StateProj::Admitting { admission, next } => {
                    let admitted = ready!(admission.as_mut().poll(cx));
                    next.take().expect(POLLED_AGAIN).go_on(admitted)
                }
                StateProj::Serving { response, served } => {
                    let mut response = ready!(response.poll(cx))?;
                    if let Some(served) = served.take() {
                        served.answer(&mut response);
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProj::Rejected { response } => {
                    return Poll::Ready(Ok(response.take().expect(POLLED_AGAIN)));
                }
            };
            state.set(after);
        }
    }
}

const POLLED_AGAIN: &str = "a future is not polled again after it has completed";

impl<S, ReqBody, P> Next<S, ReqBody, P> {
    fn go_on<ResBody>(
        mut self,
        admitted: Result<(Parts, Served), Rejection>,
    ) -> State<S, ReqBody, P>
    where
        S: Service<Request<ReqBody>, Response = Response<ResBody>>,
        P: Respond<ResBody>,
    {
        match admitted {
            Ok((parts, served)) => {
                let response = self.inner.call(Request::from_parts(parts, self.body));
                State::Serving { response, served: Some(served) }
            }
            Err(rejection) => {
                rejection.log();
                State::Rejected { response: Some(self.respond.respond(&rejection)) }
            }
        }
    }
}

impl<S, ReqBody, P> fmt::Debug for ResponseFuture<S, ReqBody, P>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Admitting { .. } => "admitting",
            State::Serving { .. } => "serving",
            State::Rejected { .. } => "rejected",
        };
        f.debug_tuple("ResponseFuture").field(&state).finish()
    }
}

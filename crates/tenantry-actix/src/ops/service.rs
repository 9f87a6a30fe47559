use actix_web::{
    HttpRequest, HttpResponse, Resource,
    dev::{AppService, HttpServiceFactory},
    guard::{self, Guard},
    http::{
        StatusCode,
        header::{
            ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
        },
    },
    web,
};
use tenantry::ops::{Answer, Ops};

/// The routes `/health`, `/livez`, `/readyz` and `/metrics`, for
/// [`App::service`](actix_web::App::service), created by [`ops_scope`](crate::ops_scope) and
/// [`OpsScope`](crate::OpsScope).
///
/// Cheap to clone: all workers share the same state.
#[derive(Debug, Clone)]
#[must_use = "routes do nothing until they are in an app"]
pub struct OpsService {
    ops: Ops,
}

impl OpsService {
    pub(super) fn new(ops: Ops) -> Self {
        Self { ops }
    }
}

impl HttpServiceFactory for OpsService {
    fn register(self, config: &mut AppService) {
        // Four resources instead of a scope: a scope without a prefix would take all other paths,
        // too.
        resource("/health", &self.ops, async |ops, _| ops.health().await).register(config);
        resource("/livez", &self.ops, async |ops, _| ops.livez()).register(config);
        resource("/readyz", &self.ops, async |ops, _| ops.readyz().await).register(config);
        resource("/metrics", &self.ops, async |ops, request| {
            let values = request.headers().get_all(AUTHORIZATION);
            ops.metrics(values.map(HeaderValue::as_bytes))
        })
        .register(config);
    }
}

fn resource<F, Told>(path: &str, ops: &Ops, answer: F) -> Resource
where
    F: Fn(Ops, HttpRequest) -> Told + Copy + 'static,
    Told: Future<Output = Answer> + 'static,
{
    let ops = ops.clone();
    let handler = move |request: HttpRequest| {
        let told = answer(ops.clone(), request);
        async move { respond(told.await) }
    };
    web::resource(path)
        .route(web::route().guard(get_or_head()).to(handler))
        .default_service(web::to(not_allowed))
}

fn get_or_head() -> impl Guard {
    guard::Any(guard::Get()).or(guard::Head())
}

fn respond(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status_code());
    let mut response = HttpResponse::build(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    response.insert_header((CACHE_CONTROL, Answer::CACHE_CONTROL));
    response.insert_header((CONTENT_TYPE, answer.content_type()));
    if let Some(challenge) = answer.challenge() {
        response.insert_header((WWW_AUTHENTICATE, challenge));
    }
    response.body(answer.into_body())
}

async fn not_allowed() -> HttpResponse {
    let mut response = HttpResponse::MethodNotAllowed();
    response.insert_header((CACHE_CONTROL, Answer::CACHE_CONTROL));
    response.insert_header((ALLOW, "GET, HEAD"));
    response.finish()
}

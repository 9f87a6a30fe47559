//! What Prometheus scrapes.

use std::{error::Error as StdError, sync::Arc};

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, WWW_AUTHENTICATE},
};
use prometheus::{Registry, TextEncoder, core::Collector};
use tenantry::MetricsCollector;
use tenantry_tower::Problem;

use super::auth::{BasicAuth, CHALLENGE};

/// The text format, as prometheus names it, and the charset that it always has.
const TEXT_FORMAT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The figures, and who may read them.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) figures: Figures,
    pub(super) auth: Option<BasicAuth>,
}

/// Where the figures come from.
#[derive(Debug)]
pub(super) enum Figures {
    /// The collector alone. It needs no registry, and so nothing that could refuse it.
    Own(Box<MetricsCollector>),
    /// A registry in which the collector is one of perhaps many.
    Registry(Registry),
}

/// Answers with the figures.
pub(super) async fn metrics(State(page): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if page.auth.as_ref().is_some_and(|auth| !auth.admits(&headers)) {
        return unauthorized();
    }
    match page.figures.encode() {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            let error: &(dyn StdError + 'static) = &error;
            tracing::error!(error, "the metrics cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR).to_response()
        }
    }
}

impl Figures {
    fn encode(&self) -> prometheus::Result<String> {
        let families = match self {
            Self::Own(collector) => collector.collect(),
            Self::Registry(registry) => registry.gather(),
        };
        TextEncoder::new().encode_to_string(&families)
    }
}

fn unauthorized() -> Response {
    let mut response: Response = Problem::new(StatusCode::UNAUTHORIZED).to_response();
    let challenge = HeaderValue::from_static(CHALLENGE);
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

//! The types can be used where a server needs them.

use std::convert::Infallible;

use http::{Request, Response};
use tenantry::TenantId;
use tenantry_tower::{
    NoTenant, Problem, Rejection, ResponseFuture, TenantLayer, TenantService, resolve,
};
use tower::{Layer, Service, service_fn};

use crate::support::{manager, request};

fn is_send_sync_static<T: Send + Sync + 'static>(_: &T) {}
fn is_send<T: Send + 'static>(_: &T) {}
fn is_unpin<T: Unpin>() {}

#[tokio::test]
async fn are_send() {
    let layer = TenantLayer::new(manager())
        .resolver(resolve::Subdomain::of("example.com"))
        .bound_to(|parts| parts.extensions.get::<TenantId>().cloned())
        .bound_to(|_| async { None });
    is_send_sync_static(&layer.clone());
    let mut service = layer.layer(service_fn(async |_: Request<String>| {
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    is_send_sync_static(&service.clone());
    is_send(&service.call(request("acme", String::new())));
    is_unpin::<Rejection>();
    is_unpin::<Problem>();
    is_unpin::<NoTenant>();
}

/// All of the types have names, so that they can be fields of others.
#[derive(Debug)]
struct Named<S: Service<Request<()>>> {
    _layer: TenantLayer,
    _service: TenantService<S>,
    _future: Option<ResponseFuture<S, ()>>,
}

#[tokio::test]
async fn have_names_and_say_little() {
    type Answer = std::future::Ready<Result<Response<String>, Infallible>>;
    let layer = TenantLayer::new(manager());
    let answer: fn(Request<()>) -> Answer = |_| std::future::ready(Ok(Response::default()));
    let mut service = layer.layer(service_fn(answer));
    let future = service.call(request("acme", ()));
    let named = Named { _layer: layer, _service: service, _future: Some(future) };
    assert!(format!("{named:?}").contains("admitting"));
}

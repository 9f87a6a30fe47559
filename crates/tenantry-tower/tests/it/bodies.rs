//! Works with any body: of requests that are not `Send`, and of responses that no `String` becomes.

use std::{convert::Infallible, rc::Rc};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use tenantry_tower::{Rejection, TenantDb, TenantLayer};
use tower::{ServiceBuilder, ServiceExt, service_fn};

use crate::support::{manager, request};

#[tokio::test]
async fn full_bodies_hold_the_problem() {
    let greet = async |request: Request<()>| {
        let db = request.extensions().get::<TenantDb>().unwrap();
        let text = format!("hello {}", db.tenant().id());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    };
    let service = ServiceBuilder::new().layer(TenantLayer::new(manager())).service_fn(greet);
    for (tenant, status, text) in [
        ("acme", StatusCode::OK, "hello acme"),
        ("nobody", StatusCode::NOT_FOUND, "tenant nobody does not exist"),
    ] {
        let response = service.clone().oneshot(request(tenant, ())).await.unwrap();
        assert_eq!(response.status(), status);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(text), "{body:?}");
    }
}

#[tokio::test]
async fn other_bodies_need_an_answer_of_their_own() {
    let inner = service_fn(async |_: Request<Rc<str>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    let layer = TenantLayer::new(manager()).on_rejection(|rejection: &Rejection| {
        // As gRPC does it: the error is in the headers.
        let response = Response::builder().header("grpc-status", rejection.status().as_u16());
        response.body(Empty::<Bytes>::new()).unwrap()
    });
    let service = ServiceBuilder::new().layer(layer).service(inner);
    let refused = service.clone().oneshot(request("nobody", "x".into())).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "404");
    let served = service.oneshot(request("acme", "x".into())).await.unwrap();
    assert_eq!(served.status(), StatusCode::OK);
}

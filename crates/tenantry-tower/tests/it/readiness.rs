//! The service that was ready is the one that is called, and its errors are passed on.

use std::{
    future::{Ready, ready},
    task::{Context, Poll},
};

use http::{Request, Response};
use tenantry_tower::TenantLayer;
use tower::{Layer, Service, ServiceExt};

use crate::support::{manager, request};

/// Insists that it is asked before it is called, and that a clone is asked anew.
#[derive(Debug, Default)]
struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Strict {
    type Response = Response<String>;
    type Error = &'static str;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(self.ready, "called without having been ready");
        self.ready = false;
        ready(Err("the inner service failed"))
    }
}

#[tokio::test]
async fn is_kept_for_the_call() {
    let mut service = TenantLayer::new(manager()).optional().layer(Strict::default());
    for _ in 0..2 {
        let ready = service.ready().await.unwrap();
        let answer = ready.call(request("acme", ())).await;
        assert_eq!(answer.unwrap_err(), "the inner service failed");
        let ready = service.ready().await.unwrap();
        let answer = ready.call(Request::new(())).await;
        assert_eq!(answer.unwrap_err(), "the inner service failed");
        let ready = service.ready().await.unwrap();
        let refused = ready.call(request("nobody", ())).await;
        assert_eq!(refused.unwrap().status(), 404);
    }
}

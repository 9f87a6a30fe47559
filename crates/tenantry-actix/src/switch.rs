//! May an operator act for another tenant?

use std::{pin::Pin, sync::Arc};

use actix_web::dev::ServiceRequest;
use tenantry::admission::{AuthorizeError, Switch};

use crate::resolve::Resolve;

/// Reads which tenant to switch to, and asks whether the caller may; see
/// [`TenantMiddleware::switch`](crate::TenantMiddleware::switch).
#[derive(Clone)]
pub(crate) struct Switching {
    pub(crate) resolver: Arc<dyn Resolve>,
    hook: Arc<Hook>,
}

type Hook = dyn Fn(&Switch, &ServiceRequest) -> Verdict + Send + Sync;
type Verdict = Pin<Box<dyn Future<Output = Result<(), AuthorizeError>>>>;

impl Switching {
    pub(crate) fn new<F, V>(resolver: impl Resolve, hook: F) -> Self
    where
        F: Fn(&Switch, &ServiceRequest) -> V + Send + Sync + 'static,
        V: Future<Output = Result<(), AuthorizeError>> + 'static,
    {
        let hook = move |switch: &Switch, request: &ServiceRequest| -> Verdict {
            Box::pin(hook(switch, request))
        };
        Self { resolver: Arc::new(resolver), hook: Arc::new(hook) }
    }

    /// Asks the hook.
    pub(crate) async fn ask(
        &self,
        switch: &Switch,
        request: &ServiceRequest,
    ) -> Result<(), AuthorizeError> {
        (self.hook)(switch, request).await
    }
}

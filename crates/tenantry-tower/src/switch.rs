//! May an operator act for another tenant?

use std::{pin::Pin, sync::Arc};

use http::request::Parts;
use tenantry::admission::{AuthorizeError, Switch};

use crate::resolve::Resolve;

/// Reads which tenant to switch to, and asks whether the caller may; see
/// [`TenantLayer::switch`](crate::TenantLayer::switch).
#[derive(Clone)]
pub(crate) struct Switching {
    pub(crate) resolver: Arc<dyn Resolve>,
    hook: Arc<Hook>,
}

type Hook = dyn Fn(&Switch, &Parts) -> Verdict + Send + Sync;
type Verdict = Pin<Box<dyn Future<Output = Result<(), AuthorizeError>> + Send>>;

impl Switching {
    pub(crate) fn new<F, V>(resolver: impl Resolve, hook: F) -> Self
    where
        F: Fn(&Switch, &Parts) -> V + Send + Sync + 'static,
        V: Future<Output = Result<(), AuthorizeError>> + Send + 'static,
    {
        let hook =
            move |switch: &Switch, parts: &Parts| -> Verdict { Box::pin(hook(switch, parts)) };
        Self { resolver: Arc::new(resolver), hook: Arc::new(hook) }
    }

    /// Asks the hook.
    pub(crate) async fn ask(&self, switch: &Switch, parts: &Parts) -> Result<(), AuthorizeError> {
        (self.hook)(switch, parts).await
    }
}

use tracing::Span;

use crate::tenant::TenantId;

/// Records the tenant of a request in the field `tenant` of the current span, if that span declares
/// the field.
///
/// An adapter calls it after it has read the id and before it looks the tenant up, so that the span
/// of a rejected request has the tenant, too.
///
/// # Examples
///
/// ```
/// use tenantry::{TenantId, admission::record_tenant};
///
/// let span = tracing::info_span!("request", tenant = tracing::field::Empty);
/// let acme = TenantId::parse("acme")?;
/// span.in_scope(|| record_tenant(&acme));
/// # Ok::<(), tenantry::ParseTenantIdError>(())
/// ```
pub fn record_tenant(id: &TenantId) {
    let span = Span::current();
    if !span.is_none() {
        span.record("tenant", id.as_str());
    }
}

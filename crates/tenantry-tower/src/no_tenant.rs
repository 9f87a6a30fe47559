/// Stands in a request's extensions where an [optional](crate::TenantLayer::optional) layer has found
/// no tenant.
///
/// It tells such a request from one that no layer has seen, which is a mistake in the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoTenant {}

/// Stands in a request's extensions where a tenant is optional and none was found.
///
/// It tells such a request from one that no middleware has seen, which is a mistake in the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoTenant {}

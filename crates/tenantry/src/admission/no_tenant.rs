/// Marks a request, in its extensions, whose tenant is optional and missing.
///
/// It distinguishes such a request from one that no middleware has processed, which is a mistake in
/// the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoTenant {}

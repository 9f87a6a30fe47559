use tenantry::{Error, TenantId, admission::ResolveError};

/// How an app finds the tenant of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// By `x-tenant-id`.
    Header,
    /// By the label before [`DOMAIN`].
    Subdomain,
    /// By the whole host: [`tenant_of_host`].
    Host,
    /// By the segment after [`PATH_PREFIX`].
    Path,
    /// By a [`Claim`] in the request's extensions. A middleware outside of the tenant's puts it there,
    /// with what the header `x-verified` says; without that header there is none.
    Claim,
    /// By a closure: [`tenant_of_query`].
    Query,
}

/// The domain whose subdomains are tenants.
pub const DOMAIN: &str = "example.com";

/// What is before the tenant in a path.
pub const PATH_PREFIX: &str = "/t";

/// What a middleware has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which tenant the caller is of.
    pub tenant: String,
}

/// Reads the tenant that the caller belongs to.
#[must_use]
pub fn tenant_of_claim(claim: Option<&Claim>) -> Option<TenantId> {
    TenantId::parse(&claim?.tenant).ok()
}

/// Reads the tenant that the caller belongs to, as from the store of a session layer.
///
/// # Errors
///
/// [`Error`] when the claimed tenant is `down`.
pub async fn tenant_in_store(claim: Option<Claim>) -> Result<Option<TenantId>, Error> {
    tokio::task::yield_now().await;
    match claim {
        Some(claim) if claim.tenant == "down" => Err(Error::catalog("secret words")),
        claim => Ok(tenant_of_claim(claim.as_ref())),
    }
}

/// Finds the tenant to which a domain belongs.
#[must_use]
pub fn tenant_of_host(host: &str) -> Option<TenantId> {
    match host {
        "shop.acme.test" => TenantId::parse("acme").ok(),
        _ => None,
    }
}

/// Finds the tenant whose id is the whole query.
///
/// # Errors
///
/// [`ResolveError`] when the query is `bad`, or no id.
pub fn tenant_of_query(query: Option<&str>) -> Result<Option<TenantId>, ResolveError> {
    match query {
        None | Some("") => Ok(None),
        Some("bad") => Err(ResolveError::Other("the query is bad")),
        Some(query) => Ok(Some(TenantId::parse(query)?)),
    }
}

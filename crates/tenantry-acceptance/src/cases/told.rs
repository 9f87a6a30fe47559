//! What a middleware outside of the tenant's gets to know.

use crate::{adapter::Adapter, client::get, resolver::Resolver, stage::serve_offline};

/// The tenant that was served is in the response, whatever the handler answered; that of the innermost
/// middleware counts. A response without a tenant names none.
pub async fn responses_name_their_tenant<A: Adapter>() {
    let server = serve_offline::<A>(Resolver::Header).await;
    for (path, tenant, inner, status, served) in [
        ("/tenant", Some("acme"), None, 200, Some("acme")),
        ("/status/402", Some("acme"), None, 402, Some("acme")),
        // There is no server.
        ("/name", Some("acme"), None, 503, Some("acme")),
        ("/nested/tenant", Some("acme"), Some("globex"), 200, Some("globex")),
        // The outer one has let it in, the inner one has not.
        ("/nested/tenant", Some("acme"), Some("nobody"), 404, Some("acme")),
        ("/tenant", Some("nobody"), None, 404, None),
        ("/tenant", Some("frozen"), None, 403, None),
        ("/tenant", None, None, 400, None),
        ("/optional/name", None, None, 200, None),
        ("/outside/open", Some("acme"), None, 200, None),
    ] {
        let headers = [("x-tenant-id", tenant), ("x-inner", inner)];
        let given = headers.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let request = given.fold(get(path), |request, (name, value)| request.header(name, value));
        let answer = request.send(&server).await;
        assert_eq!(answer.status, status, "{path} for {tenant:?}");
        assert_eq!(answer.header("x-served-tenant"), served, "{path} for {tenant:?}");
    }
}

use super::{
    RequestHead, ResolveError,
    host::{host_of, normalize},
};
use crate::tenant::TenantId;

/// Reads the tenant id from the label before a domain: `acme.example.com`.
///
/// | host | with `Subdomain::of("example.com")` |
/// |---|---|
/// | `acme.example.com`, `ACME.example.com:8080`, `acme.example.com.` | `acme` |
/// | `example.com`, `www.example.com`, another [ignored](Self::ignore) label | none |
/// | `acme.test`, `notexample.com`, `127.0.0.1`, `[::1]`: not below the domain | none |
/// | `a.b.example.com` | malformed |
///
/// Host names are case-insensitive, so the id is in lower case; a tenant whose id is not cannot be
/// reached this way. A host with two labels is malformed rather than without a tenant, because its
/// client does not mean the tenant that a later resolver would find.
///
/// See [`Host`](super::Host) for how the host of a request is determined.
///
/// # Examples
///
/// ```
/// use tenantry::admission::Subdomain;
///
/// let resolver = Subdomain::of("example.com").and("example.org").ignore("api");
/// ```
#[derive(Debug, Clone)]
pub struct Subdomain {
    /// The first domain.
    main: String,
    /// Longest first, so that the more specific of two matching domains applies.
    domains: Vec<String>,
    ignored: Vec<String>,
}

impl Subdomain {
    /// Reads the label before this domain.
    ///
    /// # Panics
    ///
    /// When the text is not a host name.
    #[must_use]
    pub fn of(domain: &str) -> Self {
        let ignored = vec!["www".to_owned()];
        let mut resolver = Self { main: String::new(), domains: Vec::new(), ignored }.and(domain);
        resolver.main.clone_from(&resolver.domains[0]);
        resolver
    }

    /// Also reads the label before this domain.
    ///
    /// # Panics
    ///
    /// When the text is not a host name.
    #[must_use]
    pub fn and(mut self, domain: &str) -> Self {
        let Ok(Some(domain)) = normalize(domain) else {
            panic!("{domain:?} is not a domain such as \"example.com\"");
        };
        self.domains.push(domain.into_owned());
        self.domains.sort_by_key(|domain| std::cmp::Reverse(domain.len()));
        self
    }

    /// Treats this label as no tenant, like `www`.
    #[must_use]
    pub fn ignore(mut self, label: &str) -> Self {
        self.ignored.push(label.to_ascii_lowercase());
        self
    }

    /// Returns the host of a tenant, without a port: the inverse of [`read`](Self::read), for links
    /// and redirects. It is a subdomain of the domain passed to [`of`](Self::of).
    ///
    /// Returns `None` if that host would not lead back to the tenant: the id has an upper-case
    /// letter, is an [ignored](Self::ignore) label, names one of the other domains, or makes the
    /// host longer than 253 bytes. Reserve the ignored labels in a
    /// [`SlugPolicy`](crate::SlugPolicy) to prevent such ids.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{TenantId, admission::Subdomain};
    ///
    /// let resolver = Subdomain::of("example.com").ignore("api");
    /// let acme = TenantId::parse("acme")?;
    /// assert_eq!(resolver.host_of(&acme).as_deref(), Some("acme.example.com"));
    /// assert_eq!(resolver.host_of(&TenantId::parse("api")?), None);
    /// # Ok::<(), tenantry::ParseTenantIdError>(())
    /// ```
    #[must_use]
    pub fn host_of(&self, id: &TenantId) -> Option<String> {
        let host = format!("{id}.{}", self.main);
        let leads_back = normalize(&host).is_ok_and(|normal| {
            normal.is_some_and(|normal| self.tenant_of(&normal) == Ok(Some(id.clone())))
        });
        leads_back.then_some(host)
    }

    /// Replaces the host of a URL with the tenant's host, for links in e-mails and redirects.
    /// Scheme, port, path and query are kept.
    ///
    /// Returns `None` if [`host_of`](Self::host_of) does, if the text is not a URL with a host, or
    /// if it contains a user.
    ///
    /// # Examples
    ///
    /// ```
    /// use tenantry::{TenantId, admission::Subdomain};
    ///
    /// let resolver = Subdomain::of("example.com");
    /// let acme = TenantId::parse("acme")?;
    /// let link = resolver.url_of(&acme, "https://example.com:8443/confirm?token=t");
    /// assert_eq!(link.as_deref(), Some("https://acme.example.com:8443/confirm?token=t"));
    /// # Ok::<(), tenantry::ParseTenantIdError>(())
    /// ```
    #[must_use]
    pub fn url_of(&self, id: &TenantId, url: &str) -> Option<String> {
        let host = self.host_of(id)?;
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let port = authority.rfind(':').map_or("", |at| &authority[at..]);
        // The last colon of an IPv6 address is within brackets.
        let port = if port.contains(']') { "" } else { port };
        Some(format!("{scheme}://{host}{port}{path}"))
    }

    /// Reads the tenant id. `None` if the request has none.
    ///
    /// # Errors
    ///
    /// [`ResolveError`] when the host is invalid, when there are two that differ, or when the label
    /// before the domain is not a tenant id.
    pub fn read(&self, head: &impl RequestHead) -> Result<Option<TenantId>, ResolveError> {
        match host_of(head)? {
            Some(host) => self.tenant_of(&host),
            None => Ok(None),
        }
    }

    fn tenant_of(&self, host: &str) -> Result<Option<TenantId>, ResolveError> {
        match self.domains.iter().find_map(|domain| label(host, domain)) {
            None | Some("") => Ok(None),
            Some(label) if self.ignored.iter().any(|ignored| ignored == label) => Ok(None),
            Some(label) if label.contains('.') => Err(ResolveError::TooDeep),
            Some(label) => Ok(Some(TenantId::parse(label)?)),
        }
    }
}

/// Returns the text before a domain: empty for the domain itself, `None` for any other host.
fn label<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let before = host.strip_suffix(domain)?;
    match before {
        "" => Some(""),
        before => before.strip_suffix('.').filter(|label| !label.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::head::Head, *};
    use crate::tenant::ParseTenantIdError as Invalid;

    fn resolve(resolver: &Subdomain, host: &str) -> Result<Option<String>, ResolveError> {
        let headers = [("host", host.as_bytes())];
        let id = resolver.read(&Head { headers: &headers, ..Head::default() })?;
        Ok(id.map(|id| id.to_string()))
    }

    #[test]
    fn reads_the_label_before_the_domain() {
        let resolver = Subdomain::of("Example.com.").ignore("API");
        let cases = [
            ("acme.example.com", Some("acme")),
            ("ACME.Example.com:8080", Some("acme")),
            ("acme.example.com.", Some("acme")),
            ("acme-2.example.com", Some("acme-2")),
            ("example.com", None),
            ("example.com:80", None),
            ("www.example.com", None),
            ("api.example.com", None),
            ("notexample.com", None),
            ("acme.test", None),
            ("com", None),
            ("127.0.0.1", None),
            ("[::1]:3000", None),
            ("example.com.evil.test", None),
        ];
        for (host, id) in cases {
            assert_eq!(resolve(&resolver, host), Ok(id.map(str::to_owned)), "{host}");
        }
    }

    #[test]
    fn refuses_what_is_no_single_label() {
        let resolver = Subdomain::of("example.com");
        let cases = [
            ("a.b.example.com", ResolveError::TooDeep),
            ("www.acme.example.com", ResolveError::TooDeep),
            ("acme..example.com", ResolveError::Host),
            ("acme.example.com..", ResolveError::Host),
            ("public.example.com", Invalid::Reserved.into()),
            ("-a.example.com", Invalid::Start { found: '-' }.into()),
            ("a,b.example.com", ResolveError::Host),
        ];
        for (host, error) in cases {
            assert_eq!(resolve(&resolver, host), Err(error), "{host}");
        }
    }

    #[test]
    fn takes_the_closest_of_several_domains() {
        let resolver = Subdomain::of("example.com").and("eu.example.com").and("localhost");
        for (host, id) in [
            ("acme.example.com", Some("acme")),
            ("acme.eu.example.com", Some("acme")),
            ("eu.example.com", None),
            ("acme.localhost:3000", Some("acme")),
        ] {
            assert_eq!(resolve(&resolver, host), Ok(id.map(str::to_owned)), "{host}");
        }
    }

    #[test]
    fn the_host_of_a_tenant_leads_back_to_it() {
        let resolver = Subdomain::of("Example.com").and("eu.example.com").ignore("api");
        for (id, host) in [
            ("acme", Some("acme.example.com")),
            ("acme-2", Some("acme-2.example.com")),
            ("a_b", Some("a_b.example.com")),
            ("Acme", None),
            ("www", None),
            ("api", None),
            ("eu", None),
        ] {
            let found = resolver.host_of(&TenantId::parse(id).unwrap());
            assert_eq!(found.as_deref(), host, "{id}");
            if let Some(host) = found {
                assert_eq!(resolve(&resolver, &host), Ok(Some(id.to_owned())));
            }
        }
        let long = Subdomain::of(&format!("{}.test", "x.".repeat(120).trim_end_matches('.')));
        assert_eq!(long.host_of(&TenantId::parse("acme-and-sons").unwrap()), None);
    }

    #[test]
    #[should_panic = "is not a domain"]
    fn refuses_an_empty_domain() {
        let _ = Subdomain::of("");
    }

    #[test]
    fn a_link_leads_to_the_tenants_host() {
        let resolver = Subdomain::of("example.com");
        let of = |url| resolver.url_of(&TenantId::parse("acme").unwrap(), url);
        for (url, expected) in [
            ("http://example.com", Some("http://acme.example.com")),
            ("http://127.0.0.1:80/a?b=c:d#e", Some("http://acme.example.com:80/a?b=c:d#e")),
            ("http://[::1]/", Some("http://acme.example.com/")),
            ("http://[::1]:80?x", Some("http://acme.example.com:80?x")),
            ("http://user:word@example.com/", None),
            ("example.com/a", None),
            ("http:///a", None),
            ("", None),
        ] {
            assert_eq!(of(url).as_deref(), expected, "{url}");
        }
        assert_eq!(resolver.url_of(&TenantId::parse("Acme").unwrap(), "http://x"), None);
    }
}

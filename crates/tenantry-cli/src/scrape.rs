//! Fetches a service's metrics over HTTP.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use tenantry::activity::{Exposition, ServiceFigures};
use url::Url;

use crate::failure::{Failure, chain};

/// The timeout for a service's response.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest answer that is read, in bytes.
const MOST: u64 = 64 * 1024 * 1024;

/// The `/metrics` of a service.
#[derive(Clone)]
pub(crate) struct Service {
    /// Without user, password and query.
    shown: String,
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl Service {
    /// Reads the URL. A user and a password in it become basic authentication.
    pub(crate) fn new(text: &str) -> Result<Self, Failure> {
        // The parser's message can contain the password.
        let mut url = Url::parse(text)
            .map_err(|error| Failure::new(format!("invalid metrics URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::new(format!(
                "invalid metrics URL: the scheme is {}, not http or https",
                url.scheme()
            )));
        }
        let authorization = authorization(&url);
        // Both can only fail for URLs without a host, which http URLs have.
        let stripped = url.set_username("").and_then(|()| url.set_password(None));
        stripped.map_err(|()| Failure::new("invalid metrics URL: no host"))?;
        let agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().new_agent();
        let full = url.to_string();
        // It can contain a token.
        url.set_query(None);
        Ok(Self { shown: url.to_string(), url: full, authorization, agent })
    }

    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the text of the metrics.
    pub(crate) async fn text(&self) -> Result<String, Failure> {
        let service = self.clone();
        let read = tokio::task::spawn_blocking(move || service.text_blocking());
        read.await.map_err(|error| Failure::while_doing("reading the metrics", &error))?
    }

    fn text_blocking(&self) -> Result<String, Failure> {
        let failed = |error: ureq::Error| {
            Failure::new(format!("reading {}: {}", self.shown, chain(&error)))
                .hint("is the service running, and does it serve /metrics there?")
        };
        let mut request = self.agent.get(&self.url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut response = request.call().map_err(failed)?;
        response.body_mut().with_config().limit(MOST).read_to_string().map_err(failed)
    }

    /// Returns the pool's figures from the metrics.
    pub(crate) async fn figures(&self) -> Result<ServiceFigures, Failure> {
        let text = self.text().await?;
        let exposition: Exposition = text.parse().map_err(|error| {
            Failure::while_doing(
                format_args!("{} does not serve Prometheus metrics", self.shown),
                &error,
            )
        })?;
        ServiceFigures::read(&exposition).ok_or_else(|| {
            Failure::new(format!("{} has no Tenantry metrics", self.shown))
                .hint("does the service register TenantManager::collector, or serve ops_routes?")
        })
    }
}

/// Returns the header for the user and password of a URL, if it has them.
fn authorization(url: &Url) -> Option<String> {
    let (user, password) = match (url.username(), url.password()) {
        ("", None) => return None,
        login => login,
    };
    let decoded = |text| {
        url::form_urlencoded::parse(format!("v={text}").as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    let (user, password) = (decoded(user), password.and_then(decoded));
    let login = format!("{}:{}", user.unwrap_or_default(), password.unwrap_or_default());
    Some(format!("Basic {}", STANDARD.encode(login)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_are_sent_and_not_shown() {
        let service = Service::new("http://me:p%40ss@localhost:9/metrics").unwrap();
        assert_eq!(service.shown(), "http://localhost:9/metrics");
        assert_eq!(service.authorization.as_deref(), Some("Basic bWU6cEBzcw=="));
        assert!(!format!("{:?}", service.shown).contains("p@ss"));
        assert!(Service::new("ftp://x/").is_err() && Service::new("localhost:3000").is_err());
    }
}

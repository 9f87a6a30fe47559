//! The caller's identity and tenant, and signed tokens that contain them.

use std::{
    env,
    fs::File,
    io::{self, Read},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::Error};
use serde::{Deserialize, Serialize};

/// The shortest key that is as strong as HS256 itself
/// ([RFC 7518, 3.2](https://www.rfc-editor.org/rfc/rfc7518#section-3.2)), in bytes.
const SHORTEST_SECRET: usize = 32;

/// A caller's identity and tenant. A value returned by [`Keys::verify`], or stored in a session at
/// sign-in, can be trusted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) sub: String,
    /// For which tenant.
    pub(crate) tenant: String,
}

/// The claims of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    caller: Caller,
    /// The expiry, in seconds since 1970.
    exp: u64,
}

/// Signs and verifies tokens with one secret.
#[derive(Clone)]
pub(crate) struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

impl Keys {
    /// Uses the secret in `JWT_SECRET`, or otherwise a random one that is lost when the program
    /// exits.
    pub(crate) fn from_env() -> Result<Self, io::Error> {
        let secret = match env::var("JWT_SECRET") {
            Ok(secret) => secret.into_bytes(),
            Err(_) => {
                let mut secret = vec![0; SHORTEST_SECRET];
                File::open("/dev/urandom")?.read_exact(&mut secret)?;
                secret
            }
        };
        if secret.len() < SHORTEST_SECRET {
            return Err(io::Error::other("JWT_SECRET must have at least 32 bytes"));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                signing: EncodingKey::from_secret(&secret),
                verifying: DecodingKey::from_secret(&secret),
                // Only this algorithm, whatever the token's header says. The expiry is checked.
                validation: Validation::new(Algorithm::HS256),
            }),
        })
    }

    /// Creates a token that is valid for one hour.
    pub(crate) fn sign(&self, sub: &str, tenant: &str) -> Result<String, Error> {
        let end = SystemTime::now() + Duration::from_secs(3600);
        let exp = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let caller = Caller { sub: sub.to_owned(), tenant: tenant.to_owned() };
        let claims = Claims { caller, exp };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.inner.signing)
    }

    /// Reads a token that was signed by this service and has not expired.
    pub(crate) fn verify(&self, token: &str) -> Result<Caller, Error> {
        let Inner { verifying, validation, .. } = &*self.inner;
        Ok(jsonwebtoken::decode::<Claims>(token, verifying, validation)?.claims.caller)
    }
}

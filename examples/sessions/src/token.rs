//! Who a caller is and for which tenant, and tokens that say so, signed by us.

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

/// Who somebody is and for which tenant. A value that [`Keys::verify`] has returned, or that signing in has stored in a
/// session, is true.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) sub: String,
    /// For which tenant.
    pub(crate) tenant: String,
}

/// What a token claims.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    #[serde(flatten)]
    caller: Caller,
    /// Until when, in seconds since 1970.
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
    /// Takes the secret of `JWT_SECRET`, or else one that is forgotten at the end of the program.
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
                // This algorithm and no other, whatever the token says of itself; and its end is
                // checked.
                validation: Validation::new(Algorithm::HS256),
            }),
        })
    }

    /// Makes a token that is good for an hour.
    pub(crate) fn sign(&self, sub: &str, tenant: &str) -> Result<String, Error> {
        let end = SystemTime::now() + Duration::from_secs(3600);
        let exp = end.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let caller = Caller { sub: sub.to_owned(), tenant: tenant.to_owned() };
        let claims = Claims { caller, exp };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.inner.signing)
    }

    /// Reads a token that we have signed and that has not expired.
    pub(crate) fn verify(&self, token: &str) -> Result<Caller, Error> {
        let Inner { verifying, validation, .. } = &*self.inner;
        Ok(jsonwebtoken::decode::<Claims>(token, verifying, validation)?.claims.caller)
    }
}

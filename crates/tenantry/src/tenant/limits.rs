use std::{ops::RangeInclusive, time::Duration};

use jiff::SignedDuration;
use serde_json::Value;

/// The limits of one tenant, where they differ from those of all tenants.
///
/// They are read from the key `limits` of the tenant's [attributes](super::TenantRecord::attributes), and otherwise come from
/// its [tier](crate::ManagerBuilder::tier). Default: none, and the options of the pool apply.
///
/// They take effect when the tenant is next looked up: within
/// [`CatalogOptions::ttl`](crate::CatalogOptions::ttl) of a change, or at once if the catalog announces it.
/// Handles and tenant pools that already exist have them from then on, too. Requests that wait keep
/// their places.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use tenantry::TenantLimits;
///
/// let attributes = json!({
///     "plan": "gold",
///     "limits": { "max_connections": 8, "weight": 3, "statement_timeout": "30s" },
/// });
/// let limits = TenantLimits::in_attributes(&attributes)?;
/// let same = TenantLimits::new()
///     .max_connections(8)
///     .weight(3.0)
///     .statement_timeout(Duration::from_secs(30));
/// assert_eq!(limits, same);
/// # Ok::<(), tenantry::LimitsError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct TenantLimits {
    /// Maximum number of connections that it may use at a time, at least 1. Default: `None`,
    /// [`max_connections_per_tenant`](crate::PoolOptions::max_connections_per_tenant).
    ///
    /// It may be higher or lower than that. What the budget leaves to tenants is the maximum in any case.
    pub max_connections: Option<usize>,
    /// Maximum number of its requests that wait for a connection, at least 1. Default: `None`,
    /// [`max_waiting_per_tenant`](crate::PoolOptions::max_waiting_per_tenant).
    pub max_waiting: Option<usize>,
    /// Its share of the pool's time while tenants wait, relative to that of others: from 0.1 to 100, of which two
    /// decimals count. Default: `None`, which is 1.
    ///
    /// A tenant of weight 3 gets three times the connection time of one of weight 1 while both wait.
    /// Without contention, the weight has no effect.
    pub weight: Option<f64>,
    /// Maximum duration of a statement on a handle, longer than zero. Default: `None`,
    /// [`PoolOptions::statement_timeout`](crate::PoolOptions::statement_timeout), which describes it.
    pub statement_timeout: Option<Duration>,
    /// Maximum idle time of a transaction between two statements; zero disables it. Default: `None`,
    /// [`PoolOptions::idle_in_transaction_timeout`](crate::PoolOptions::idle_in_transaction_timeout),
    /// which describes it.
    ///
    /// A session has a new value from its next bind on, which follows before its next use.
    pub idle_in_transaction_timeout: Option<Duration>,
    /// Number of requests that are admitted per second on average, from 0.001 to 1,000,000. Default: `None`, no limit.
    ///
    /// One second's worth of them may come at once, and at least one. Further requests are refused as
    /// [`RateLimited`](crate::ErrorKind::RateLimited), which adapters answer with 429 and
    /// `Retry-After`. Each process counts for itself.
    pub requests_per_second: Option<f64>,
}

/// The reason why limits cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitsError {
    /// The attribute is not an object.
    #[error("the attribute limits must be an object, such as {{\"max_connections\": 4}}")]
    NoObject,
    /// There is no limit of this name.
    #[error("there is no limit {name:?}; the limits are {}", NAMES.join(", "))]
    Unknown {
        /// The name, of which the first characters are kept.
        name: String,
    },
    /// A value cannot be used.
    #[error("{limit} must be {must}")]
    Value {
        /// The limit.
        limit: &'static str,
        /// The accepted values.
        must: &'static str,
    },
}

const NAMES: [&str; 6] = [
    "max_connections",
    "max_waiting",
    "weight",
    "statement_timeout",
    "idle_in_transaction_timeout",
    "requests_per_second",
];

const COUNT: &str = "a whole number, at least 1";
const WEIGHT: &str = "a number from 0.1 to 100";
const RATE: &str = "a number from 0.001 to 1000000";
const TIMEOUT: &str = "a time longer than zero, such as \"5s\"";
const TIME: &str = "a time, such as \"5s\"";

const WEIGHTS: RangeInclusive<f64> = 0.1..=100.0;
const RATES: RangeInclusive<f64> = 0.001..=1e6;

/// Maximum number of characters of an unknown name in an error.
const NAME_SHOWN: usize = 40;

impl TenantLimits {
    /// Creates limits that are those of all tenants.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the limits in a tenant's attributes: the object under the key `limits`. Its keys are the names of the
    /// fields, durations are texts such as `"5s"` or `"250ms"`, and `null` stands for the default.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] when there is an unknown key or a value that cannot be used.
    pub fn in_attributes(attributes: &Value) -> Result<Self, LimitsError> {
        match attributes.get("limits") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Object(entries)) => {
                let mut limits = Self::default();
                for (name, value) in entries {
                    limits.read(name, value)?;
                }
                limits.check().map(|()| limits)
            }
            Some(_) => Err(LimitsError::NoObject),
        }
    }

    /// Takes the limits that are not set from others.
    pub(crate) fn or(self, others: Self) -> Self {
        Self {
            max_connections: self.max_connections.or(others.max_connections),
            max_waiting: self.max_waiting.or(others.max_waiting),
            weight: self.weight.or(others.weight),
            statement_timeout: self.statement_timeout.or(others.statement_timeout),
            idle_in_transaction_timeout: self
                .idle_in_transaction_timeout
                .or(others.idle_in_transaction_timeout),
            requests_per_second: self.requests_per_second.or(others.requests_per_second),
        }
    }

    /// Reads one limit.
    fn read(&mut self, name: &str, value: &Value) -> Result<(), LimitsError> {
        let known = NAMES.into_iter().find(|known| *known == name);
        let limit = known.ok_or_else(|| LimitsError::Unknown {
            name: name.chars().take(NAME_SHOWN).collect(),
        })?;
        if value.is_null() {
            return Ok(());
        }
        match limit {
            "max_connections" => self.max_connections = Some(count(limit, value)?),
            "max_waiting" => self.max_waiting = Some(count(limit, value)?),
            "weight" => self.weight = Some(number(limit, value, WEIGHT)?),
            "statement_timeout" => self.statement_timeout = Some(time(limit, value, TIMEOUT)?),
            "idle_in_transaction_timeout" => {
                self.idle_in_transaction_timeout = Some(time(limit, value, TIME)?);
            }
            _ => self.requests_per_second = Some(number(limit, value, RATE)?),
        }
        Ok(())
    }

    /// Checks that each limit can be used.
    ///
    /// # Errors
    ///
    /// [`LimitsError`] names the limit and the accepted values.
    pub fn check(&self) -> Result<(), LimitsError> {
        let usable = [
            ("max_connections", self.max_connections != Some(0), COUNT),
            ("max_waiting", self.max_waiting != Some(0), COUNT),
            ("weight", self.weight.is_none_or(|weight| WEIGHTS.contains(&weight)), WEIGHT),
            ("statement_timeout", self.statement_timeout != Some(Duration::ZERO), TIMEOUT),
            (
                "requests_per_second",
                self.requests_per_second.is_none_or(|rate| RATES.contains(&rate)),
                RATE,
            ),
        ];
        match usable.into_iter().find(|(_, usable, _)| !usable) {
            Some((limit, _, must)) => Err(LimitsError::Value { limit, must }),
            None => Ok(()),
        }
    }

    /// Sets [`max_connections`](Self::max_connections); takes a value or `None`.
    #[must_use]
    pub fn max_connections(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_connections = most.into();
        self
    }

    /// Sets [`max_waiting`](Self::max_waiting); takes a value or `None`.
    #[must_use]
    pub fn max_waiting(mut self, most: impl Into<Option<usize>>) -> Self {
        self.max_waiting = most.into();
        self
    }

    /// Sets [`weight`](Self::weight); takes a value or `None`.
    #[must_use]
    pub fn weight(mut self, weight: impl Into<Option<f64>>) -> Self {
        self.weight = weight.into();
        self
    }

    /// Sets [`statement_timeout`](Self::statement_timeout); takes a value or `None`.
    #[must_use]
    pub fn statement_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.statement_timeout = timeout.into();
        self
    }

    /// Sets [`idle_in_transaction_timeout`](Self::idle_in_transaction_timeout); takes a value or `None`.
    #[must_use]
    pub fn idle_in_transaction_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_in_transaction_timeout = timeout.into();
        self
    }

    /// Sets [`requests_per_second`](Self::requests_per_second); takes a value or `None`.
    #[must_use]
    pub fn requests_per_second(mut self, rate: impl Into<Option<f64>>) -> Self {
        self.requests_per_second = rate.into();
        self
    }
}

fn count(limit: &'static str, value: &Value) -> Result<usize, LimitsError> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
    count.ok_or(LimitsError::Value { limit, must: COUNT })
}

fn number(limit: &'static str, value: &Value, must: &'static str) -> Result<f64, LimitsError> {
    value.as_f64().ok_or(LimitsError::Value { limit, must })
}

fn time(limit: &'static str, value: &Value, must: &'static str) -> Result<Duration, LimitsError> {
    let time = value.as_str().and_then(|text| text.parse::<SignedDuration>().ok());
    let time = time.and_then(|time| Duration::try_from(time).ok());
    time.ok_or(LimitsError::Value { limit, must })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(limits: &Value) -> Result<TenantLimits, String> {
        let attributes = json!({ "plan": "gold", "limits": limits });
        TenantLimits::in_attributes(&attributes).map_err(|error| error.to_string())
    }

    #[test]
    fn each_limit_is_read() {
        let all = json!({
            "max_connections": 4, "max_waiting": 10, "weight": 0.5, "statement_timeout": "1m 30s",
            "idle_in_transaction_timeout": "0s", "requests_per_second": 20,
        });
        let expected = TenantLimits::new()
            .max_connections(4)
            .max_waiting(10)
            .weight(0.5)
            .statement_timeout(Duration::from_secs(90))
            .idle_in_transaction_timeout(Duration::ZERO)
            .requests_per_second(20.0);
        assert_eq!(read(&all), Ok(expected));
        let none = TenantLimits::default();
        for nothing in [json!(null), json!({}), json!({ "weight": null })] {
            assert_eq!(read(&nothing), Ok(none.clone()));
        }
        for attributes in [json!(null), json!([]), json!("limits"), json!({ "plan": "free" })] {
            assert_eq!(TenantLimits::in_attributes(&attributes), Ok(none.clone()));
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (limits, says) in [
            (json!(4), "the attribute limits must be an object"),
            (
                json!({ "max_conections": 4 }),
                "there is no limit \"max_conections\"; the limits are",
            ),
            (json!({ "max_connections": 0 }), "max_connections must be a whole number, at least 1"),
            (json!({ "max_connections": "4" }), "max_connections must be a whole number"),
            (json!({ "max_connections": -1 }), "max_connections must be a whole number"),
            (json!({ "max_connections": 1.5 }), "max_connections must be a whole number"),
            (json!({ "max_waiting": 0 }), "max_waiting must be a whole number"),
            (json!({ "weight": 0 }), "weight must be a number from 0.1 to 100"),
            (json!({ "weight": 100.01 }), "weight must be a number"),
            (json!({ "weight": true }), "weight must be a number"),
            (
                json!({ "statement_timeout": 5 }),
                "statement_timeout must be a time longer than zero",
            ),
            (json!({ "statement_timeout": "0s" }), "statement_timeout must be a time longer"),
            (json!({ "statement_timeout": "-5s" }), "statement_timeout must be a time longer"),
            (json!({ "statement_timeout": "soon" }), "statement_timeout must be a time longer"),
            (json!({ "idle_in_transaction_timeout": [] }), "idle_in_transaction_timeout must be"),
            (json!({ "requests_per_second": 0 }), "requests_per_second must be a number from"),
            (json!({ "requests_per_second": 1e7 }), "requests_per_second must be a number from"),
        ] {
            let said = read(&limits).expect_err("unusable");
            assert!(said.contains(says), "{limits}: {said}");
        }
        let long = read(&json!({ "x".repeat(10_000): 1 })).expect_err("unknown");
        assert!(long.len() < 250, "{long}");
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_refused() {
        for odd in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(TenantLimits::new().weight(odd).check().is_err(), "{odd}");
            assert!(TenantLimits::new().requests_per_second(odd).check().is_err(), "{odd}");
        }
    }
}

//! Events as lines of text.

use std::fmt::{self, Write};

use super::{
    AcquireTimeout, BreakerChange, BudgetChange, CatalogOutage, Drifted, Event, LongLease,
    Migrated, MoveStep, PoolCreated, PoolError, PoolEvicted, Query, Rebind, ReplicaChange, Retry,
    WarmedUp, kinds::as_millis,
};

/// Writes ` name=value`, quoted if the value could be read as more than one word.
pub(super) fn text(out: &mut impl Write, name: &str, value: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:/%+".contains(c);
    let always = matches!(name, "query" | "error");
    if !always && !value.is_empty() && value.chars().all(plain) {
        return write!(out, " {name}={value}");
    }
    write!(out, " {name}=\"")?;
    for character in value.chars() {
        match character {
            '"' | '\\' => write!(out, "\\{character}")?,
            _ if character.is_control() => write!(out, "{}", character.escape_default())?,
            _ => out.write_char(character)?,
        }
    }
    out.write_char('"')
}

/// Writes ` name=12ms`, with fractions of a millisecond for short durations.
pub(super) fn millis(out: &mut impl Write, name: &str, millis: f64) -> fmt::Result {
    match millis {
        ..10.0 => write!(out, " {name}={millis:.1}ms"),
        _ => write!(out, " {name}={millis:.0}ms"),
    }
}

fn optional(out: &mut impl Write, name: &str, value: Option<&str>) -> fmt::Result {
    value.map_or(Ok(()), |value| text(out, name, value))
}

/// Writes a line such as `tenant=acme POOL_EVICTED schema=tenant_acme reason=ttl`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = String::new();
        optional(&mut line, "tenant", self.tenant())?;
        optional(&mut line, "server", self.server())?;
        let out = &mut line;
        match self {
            Self::Query(of) => query(out, of),
            Self::SlowQuery(of) => slow_query(out, of),
            Self::LongLease(of) => long_lease(out, of),
            Self::PoolCreated(of) => pool_created(out, of),
            Self::PoolEvicted(of) => pool_evicted(out, of),
            Self::PoolError(of) => pool_error(out, of),
            Self::Rebind(of) => rebind(out, of),
            Self::WarmUp(of) => warm_up(out, of),
            Self::Retry(of) => retry(out, of),
            Self::Breaker(of) => breaker(out, of),
            Self::Budget(of) => budget(out, of),
            Self::Replica(of) => replica(out, of),
            Self::AcquireTimeout(of) => acquire_timeout(out, of),
            Self::CatalogOutage(of) => catalog_outage(out, of),
            Self::Drifted(of) => drifted(out, of),
            Self::Migrated(of) => migrated(out, of),
            Self::Move(of) => move_step(out, of),
        }?;
        f.write_str(line.trim_start())
    }
}

fn query(out: &mut String, of: &Query) -> fmt::Result {
    text(out, "query", &of.statement)?;
    millis(out, "duration", as_millis(of.duration))?;
    write!(out, " rows={}", of.rows)?;
    optional(out, "failed", of.error.map(|class| class.as_str()))
}

fn slow_query(out: &mut String, of: &Query) -> fmt::Result {
    out.write_str(" SLOW_QUERY")?;
    millis(out, "duration", as_millis(of.duration))?;
    text(out, "query", &of.statement)?;
    write!(out, " rows={}", of.rows)?;
    optional(out, "failed", of.error.map(|class| class.as_str()))
}

fn long_lease(out: &mut String, of: &LongLease) -> fmt::Result {
    out.write_str(" LONG_LEASE")?;
    millis(out, "duration", as_millis(of.duration))?;
    of.backend_pid.map_or(Ok(()), |pid| write!(out, " backend_pid={pid}"))
}

fn pool_created(out: &mut String, of: &PoolCreated) -> fmt::Result {
    out.write_str(" POOL_CREATED")?;
    text(out, "schema", &of.schema)
}

fn pool_evicted(out: &mut String, of: &PoolEvicted) -> fmt::Result {
    out.write_str(" POOL_EVICTED")?;
    text(out, "schema", &of.schema)?;
    text(out, "reason", of.reason.as_str())
}

fn pool_error(out: &mut String, of: &PoolError) -> fmt::Result {
    out.write_str(" POOL_ERROR")?;
    text(out, "attempted", of.attempted)?;
    text(out, "class", of.class.as_str())?;
    text(out, "error", &of.error)
}

fn rebind(out: &mut String, of: &Rebind) -> fmt::Result {
    out.write_str(" REBIND")?;
    text(out, "schema", &of.schema)?;
    millis(out, "duration", as_millis(of.duration))
}

fn warm_up(out: &mut String, of: &WarmedUp) -> fmt::Result {
    out.write_str(" WARMUP")?;
    text(out, "status", of.status)?;
    millis(out, "duration", as_millis(of.duration))
}

fn retry(out: &mut String, of: &Retry) -> fmt::Result {
    out.write_str(" CONNECTION_RETRY")?;
    text(out, "of", of.of.as_str())?;
    write!(out, " attempt={}/{}", of.attempt, of.max_attempts)?;
    millis(out, "delay", as_millis(of.delay))?;
    text(out, "error", &of.error)
}

fn breaker(out: &mut String, of: &BreakerChange) -> fmt::Result {
    out.write_str(" BREAKER")?;
    text(out, "state", of.state.as_str())?;
    of.retry_after.map_or(Ok(()), |after| millis(out, "retry_after", as_millis(after)))
}

fn budget(out: &mut String, of: &BudgetChange) -> fmt::Result {
    out.write_str(" BUDGET")?;
    text(out, "state", of.state.as_str())?;
    write!(out, " connections={}", of.connections)?;
    optional(out, "error", of.error.as_deref())
}

fn replica(out: &mut String, of: &ReplicaChange) -> fmt::Result {
    out.write_str(" REPLICA")?;
    text(out, "state", of.state.as_str())?;
    of.lag_bytes.map_or(Ok(()), |bytes| write!(out, " lag_bytes={bytes}"))
}

fn acquire_timeout(out: &mut String, of: &AcquireTimeout) -> fmt::Result {
    out.write_str(" ACQUIRE_TIMEOUT")?;
    millis(out, "waited", as_millis(of.waited))?;
    text(out, "reason", &of.reason)
}

fn catalog_outage(out: &mut String, of: &CatalogOutage) -> fmt::Result {
    out.write_str(" CATALOG_OUTAGE")?;
    write!(out, " ended={}", of.ended)?;
    millis(out, "duration", as_millis(of.duration))?;
    optional(out, "error", of.error.as_deref())
}

fn drifted(out: &mut String, of: &Drifted) -> fmt::Result {
    out.write_str(" DRIFT")?;
    optional(out, "database", of.database.as_deref())?;
    text(out, "finding", &of.finding)
}

fn migrated(out: &mut String, of: &Migrated) -> fmt::Result {
    out.write_str(" MIGRATION")?;
    optional(out, "database", of.database.as_deref())?;
    text(out, "outcome", of.outcome)?;
    write!(out, " files={}", of.files)?;
    millis(out, "duration", as_millis(of.duration))?;
    optional(out, "error", of.error.as_deref())
}

fn move_step(out: &mut String, of: &MoveStep) -> fmt::Result {
    out.write_str(" MOVE")?;
    text(out, "from", &of.from)?;
    text(out, "to", &of.to)?;
    text(out, "stage", of.stage)?;
    text(out, "method", of.method)?;
    of.pause.map_or(Ok(()), |pause| millis(out, "pause", as_millis(pause)))?;
    optional(out, "error", of.error.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_one_value() {
        for (name, value, expected) in [
            ("schema", "tenant_acme", " schema=tenant_acme"),
            ("schema", "a b", " schema=\"a b\""),
            ("schema", "", " schema=\"\""),
            ("schema", "a\"b\nc\\d", " schema=\"a\\\"b\\nc\\\\d\""),
            ("query", "select", " query=\"select\""),
        ] {
            let mut line = String::new();
            text(&mut line, name, value).unwrap();
            assert_eq!(line, expected);
        }
    }
}

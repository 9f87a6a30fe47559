use std::fmt::{self, Write};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::line;

/// A format for [`tracing_subscriber::fmt()`]: one plain line for each event, the tenant first.
///
/// ```text
/// [tenantry] tenant=acme POOL_CREATED schema=tenant_acme
/// [tenantry] tenant=acme schema=tenant_acme query="select * from users" duration=45ms rows=2
/// [tenantry] tenant=acme SLOW_QUERY schema=tenant_acme duration=1523ms query="…" rows=1
/// [tenantry] tenant=acme POOL_EVICTED schema=tenant_acme reason=ttl
/// [tenantry] CONNECTION_RETRY of=connect attempt=1/3 delay=100ms error="…"
/// [my_app] listening port=3000
/// ```
///
/// The line starts with the crate that emitted the event. Control characters are escaped, so that a
/// line stays a line, whatever the values contain.
///
/// # Examples
///
/// ```
/// use tracing_subscriber::EnvFilter;
///
/// tracing_subscriber::fmt()
///     .event_format(tenantry::PlainFormat::default())
///     .with_env_filter(EnvFilter::new("info,tenantry=debug"))
///     .init();
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct PlainFormat {}

impl<S, N> FormatEvent<S, N> for PlainFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut parts = Parts::default();
        event.record(&mut parts);
        let target = event.metadata().target();
        let speaker = target.split("::").next().unwrap_or(target);
        writeln!(writer, "[{speaker}]{}{}{}", parts.tenant, parts.message, parts.rest)
    }
}

/// The parts of a line, each with a leading space.
#[derive(Default)]
struct Parts {
    tenant: String,
    message: String,
    rest: String,
}

impl Parts {
    /// Returns the part for a field. Writing to a `String` does not fail.
    fn place(&mut self, field: &Field) -> &mut String {
        if field.name() == "tenant" { &mut self.tenant } else { &mut self.rest }
    }
}

impl Visit for Parts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = format!("{value:?}");
        self.record_str(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message.push(' ');
            self.message.extend(value.chars().flat_map(escaped));
        } else {
            let _ = line::text(self.place(field), field.name(), value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut next = value.source();
        while let Some(error) = next {
            let _ = write!(text, ": {error}");
            next = error.source();
        }
        self.record_str(field, &text);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let place = self.place(field);
        let _ = match field.name().strip_suffix("_ms") {
            Some(name) => line::millis(place, name, value),
            None => write!(place, " {}={value}", field.name()),
        };
    }
}

fn escaped(character: char) -> Box<dyn Iterator<Item = char>> {
    match character.is_control() {
        true => Box::new(character.escape_default()),
        false => Box::new(std::iter::once(character)),
    }
}

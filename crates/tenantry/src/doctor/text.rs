//! The doctor's results as text.

use std::{fmt, time::Duration};

pub(super) use crate::plain::{grouped, printable};

use super::{
    CheckReport, CheckStatus, DoctorHealth, DoctorReport, Finding, FindingPlace, FixReport,
    Severity,
    away::{Away, is_of_away, says_who_is_away},
    repeated::Repeated,
};

/// The maximum number of tenants per finding that the text report names.
const NAMED: usize = 5;

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let away = Away::of(&self.checks);
        let repeated = Repeated::of(&self.checks, |check, note| !away.tells(check, note));
        let (first, rest): (Vec<_>, Vec<_>) =
            self.checks.iter().partition(|check| says_who_is_away(check));
        for check in first.into_iter().chain(rest).filter(|check| !repeated.has_cause_of(check)) {
            write_check(f, check, |note| {
                !repeated.unseen.contains_key(note) && !away.tells(check, note)
            })?;
            away.lines(check).try_for_each(|line| write!(f, "\n  {line}"))?;
            writeln!(f)?;
        }
        write!(f, "{repeated}")?;
        if !self.recommendations.is_empty() {
            writeln!(f, "\n⚠ Recommendations:")?;
        }
        for (index, recommendation) in self.recommendations.iter().enumerate() {
            writeln!(f, "  {}. {recommendation}", index + 1)?;
        }
        write!(f, "\n📊 Health Summary:\n{}", self.health)?;
        let (first, rest): (Vec<_>, Vec<_>) =
            self.findings().partition(|(_, finding)| is_of_away(finding));
        for (check, finding) in first.into_iter().chain(rest) {
            write!(f, "\n\n{} [{}] {finding}", mark(finding.severity), check.name)?;
            write_details(f, finding)?;
        }
        Ok(())
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_check(f, self, |_| true)
    }
}

/// Writes the line of a check, and what it has not seen as far as that is to be told.
fn write_check(
    f: &mut fmt::Formatter<'_>,
    check: &CheckReport,
    tells: impl Fn(&str) -> bool,
) -> fmt::Result {
    let text = check.text.as_deref().unwrap_or(&check.message);
    let heading = check.heading.as_deref().unwrap_or(&check.title);
    write!(f, "{} {heading}: {text}", check.status.mark())?;
    let mut unseen = check.unseen.iter().filter(|unseen| tells(unseen));
    unseen.try_for_each(|unseen| write!(f, "\n  not seen: {unseen}"))
}

impl fmt::Display for DoctorHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { total_pools, degraded_pools, unhealthy_pools, .. } = self;
        writeln!(
            f,
            "  Pools: {total_pools} active, {degraded_pools} degraded, {unhealthy_pools} unhealthy"
        )?;
        match self.shared_db_latency {
            Some(latency) => write!(f, "  Shared DB: OK ({} latency)", millis(latency)),
            None => write!(f, "  Shared DB: no answer"),
        }
    }
}

fn write_details(f: &mut fmt::Formatter<'_>, finding: &Finding) -> fmt::Result {
    write!(f, "\n  Why: {}", finding.why)?;
    if !finding.how.is_empty() {
        write!(f, "\n  How: {}", finding.how)?;
    }
    for (index, sql) in finding.sql.iter().enumerate() {
        let heading = if index == 0 { "SQL:" } else { "    " };
        let sql = sql.trim_end().trim_end_matches(';').to_owned();
        write!(f, "\n  {heading} {};", printable(sql))?;
        if let Some(place) = finding.sql_in.get(index) {
            write!(f, " -- {}", printable(place.to_string()))?;
        }
    }
    let Some(tenants) = &finding.tenants else { return Ok(()) };
    for tenant in tenants.worst.iter().take(NAMED) {
        write!(f, "\n    {}", tenant.tenant_id)?;
        if let Some(server) = &tenant.server {
            let place = FindingPlace::new(server, tenant.database.clone());
            write!(f, " ({})", printable(place.to_string()))?;
        }
        write!(f, ": {}", tenant.detail)?;
    }
    match tenants.affected.saturating_sub(tenants.worst.len().min(NAMED)) {
        0 => Ok(()),
        more => write!(f, "\n    and {} more", grouped(more)),
    }
}

impl fmt::Display for FixReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for done in &self.statements {
            let mark = if done.error.is_none() { CheckStatus::Ok } else { CheckStatus::Error };
            let sql = printable(done.sql.clone());
            write!(f, "{} [{}] {sql}", mark.mark(), done.check)?;
            if let Some(place) = &done.place {
                write!(f, " -- {}", printable(place.to_string()))?;
            }
            match &done.error {
                Some(error) => writeln!(f, "\n  {}", printable(error.clone()))?,
                None => writeln!(f)?,
            }
        }
        write!(f, "{} done, {} failed", self.done, self.failed)
    }
}

fn mark(severity: Severity) -> char {
    match severity {
        Severity::Info => 'ℹ',
        Severity::Warning => CheckStatus::Warn.mark(),
        Severity::Error => CheckStatus::Error.mark(),
    }
}

/// Writes a duration in milliseconds: with a decimal below 10.
pub(super) fn millis(duration: Duration) -> String {
    match duration.as_secs_f64() * 1e3 {
        few if few < 10.0 => format!("{few:.1}ms"),
        many => format!("{many:.0}ms"),
    }
}

/// Writes a count and its noun, in the singular or the plural.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_times_are_easy_to_read() {
        assert_eq!(counted(1, "tenant", "tenants"), "1 tenant");
        assert_eq!(counted(2_000, "tenant", "tenants"), "2,000 tenants");
        assert_eq!(millis(Duration::from_micros(420)), "0.4ms");
        assert_eq!(millis(Duration::from_micros(12_420)), "12ms");
    }
}

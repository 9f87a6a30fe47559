//! The doctor's results as text.

use std::{fmt, time::Duration};

use crate::plain::is_plain;

use super::{CheckReport, CheckStatus, DoctorHealth, DoctorReport, Finding, FixReport, Severity};

/// The maximum number of tenants per finding that the text report names.
const NAMED: usize = 5;

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        if !self.recommendations.is_empty() {
            writeln!(f, "\n⚠ Recommendations:")?;
        }
        for (index, recommendation) in self.recommendations.iter().enumerate() {
            writeln!(f, "  {}. {recommendation}", index + 1)?;
        }
        write!(f, "\n📊 Health Summary:\n{}", self.health)?;
        for (check, finding) in self.findings() {
            write!(f, "\n\n{} [{}] {finding}", mark(finding.severity), check.name)?;
            write_details(f, finding)?;
        }
        Ok(())
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text.as_deref().unwrap_or(&self.message);
        let heading = self.heading.as_deref().unwrap_or(&self.title);
        write!(f, "{} {heading}: {text}", self.status.mark())?;
        for unseen in &self.unseen {
            write!(f, "\n  not seen: {unseen}")?;
        }
        Ok(())
    }
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
    }
    let Some(tenants) = &finding.tenants else { return Ok(()) };
    for tenant in tenants.worst.iter().take(NAMED) {
        write!(f, "\n    {}: {}", tenant.tenant_id, tenant.detail)?;
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

/// Makes a text printable in one line: names in the database can contain line breaks, terminal escape sequences and
/// characters that change the text direction.
pub(super) fn printable(text: String) -> String {
    if text.chars().all(is_plain) {
        return text;
    }
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => safe.push(' '),
            other if !is_plain(other) => safe.extend(other.escape_unicode()),
            other => safe.push(other),
        }
    }
    safe
}

/// Writes a number with a comma between thousands.
pub(super) fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or_default().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a count and its noun, in the singular or the plural.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        for (text, safe) in [
            ("plain ä 日本", "plain ä 日本"),
            ("two\nlines", "two lines"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("left\u{202e}right", "left\\u{202e}right"),
            ("\u{9b}31m", "\\u{9b}31m"),
        ] {
            assert_eq!(printable(text.to_owned()), safe);
        }
    }

    #[test]
    fn numbers_are_easy_to_read() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(counted(1, "tenant", "tenants"), "1 tenant");
        assert_eq!(counted(2_000, "tenant", "tenants"), "2,000 tenants");
        assert_eq!(millis(Duration::from_micros(420)), "0.4ms");
        assert_eq!(millis(Duration::from_micros(12_420)), "12ms");
    }
}

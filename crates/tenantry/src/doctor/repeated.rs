//! What many checks say, told once in the text report.

use std::{collections::BTreeMap, fmt};

use super::CheckReport;
use crate::plain::grouped;

/// The number of checks from which they are told together.
const MANY: usize = 3;

/// Causes and notes that are common to many checks, with the titles of these.
#[derive(Debug)]
pub(super) struct Repeated<'a> {
    causes: BTreeMap<&'a str, Vec<&'a CheckReport>>,
    pub(super) unseen: BTreeMap<&'a str, Vec<&'a CheckReport>>,
}

impl<'a> Repeated<'a> {
    /// Finds them among the causes, and the notes that pass a test.
    pub(super) fn of(
        checks: &'a [CheckReport],
        is_told: impl Fn(&CheckReport, &str) -> bool,
    ) -> Self {
        let mut causes = BTreeMap::<&str, Vec<_>>::new();
        let mut unseen = BTreeMap::<&str, Vec<_>>::new();
        for check in checks {
            match check.cause() {
                Some(cause) if is_all(check) => causes.entry(cause).or_default().push(check),
                _ => {
                    let notes = check.unseen.iter().filter(|note| is_told(check, note));
                    notes.for_each(|note| unseen.entry(note).or_default().push(check));
                }
            }
        }
        causes.retain(|_, checks| checks.len() >= MANY);
        unseen.retain(|_, checks| checks.len() >= MANY);
        Self { causes, unseen }
    }

    /// Returns `true` if the check is told with its cause.
    pub(super) fn has_cause_of(&self, check: &CheckReport) -> bool {
        let together = check.cause().filter(|_| is_all(check));
        together.is_some_and(|cause| self.causes.contains_key(cause))
    }
}

/// Returns `true` if the cause is all that the check has to say.
fn is_all(check: &CheckReport) -> bool {
    check.findings.is_empty() && check.unseen.is_empty()
}

impl fmt::Display for Repeated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (cause, checks) in &self.causes {
            let mark = checks[0].status.mark();
            writeln!(f, "{mark} {cause}: {} could not run: {}", counted(checks), titles(checks))?;
        }
        for (what, checks) in &self.unseen {
            writeln!(f, "  not seen by {}: {what} ({})", counted(checks), titles(checks))?;
        }
        Ok(())
    }
}

fn counted(checks: &[&CheckReport]) -> String {
    format!("{} checks", grouped(checks.len()))
}

fn titles(checks: &[&CheckReport]) -> String {
    checks.iter().map(|check| check.title.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::{Examined, Finding};

    fn check(title: &str, examined: Examined) -> CheckReport {
        CheckReport::new(&title.to_lowercase(), title, examined, Duration::ZERO)
    }

    #[test]
    fn a_cause_and_a_note_of_many_checks_are_told_once() {
        let without = || Examined::unknown("no list").because("no tenants");
        let partly = || Examined::ok("fine").unseen("server eu");
        let checks = [
            check("A", without()),
            check("B", without().finding(Finding::info("x", "y"))),
            check("C", without()),
            check("D", without()),
            check("E", Examined::unknown("alone").because("another cause")),
            check("F", partly().unseen("rare")),
            check("G", partly()),
            check("H", partly()),
        ];
        let repeated = Repeated::of(&checks, |_, note| note != "told elsewhere");
        let apart: Vec<_> = checks.iter().filter(|check| !repeated.has_cause_of(check)).collect();
        assert_eq!(titles(&apart), "B, E, F, G, H");
        assert_eq!(
            repeated.to_string(),
            "? no tenants: 3 checks could not run: A, C, D\n  not seen by 3 checks: server eu (F, G, H)\n"
        );
    }
}

//! Servers that are away, told once in the text report with all that could not be examined because of them.

use std::collections::BTreeMap;

use super::{CheckReport, Finding};
use crate::plain::{grouped, plain};

/// The servers that a finding says are away, with the number of checks that did not see them.
#[derive(Debug)]
pub(super) struct Away<'a>(BTreeMap<&'a str, usize>);

impl<'a> Away<'a> {
    pub(super) fn of(checks: &'a [CheckReport]) -> Self {
        let found = checks.iter().flat_map(|check| &check.findings);
        let mut away: BTreeMap<_, _> =
            found.filter_map(|finding| Some((finding.away.as_deref()?, 0))).collect();
        for check in checks {
            let mut servers: Vec<_> = check.away.values().map(String::as_str).collect();
            servers.dedup();
            for server in servers {
                away.entry(server).and_modify(|checks| *checks += 1);
            }
        }
        // Without a finding that says why, each note stays where it is.
        Self(away)
    }

    /// Returns `true` if a note of a check is told with its server.
    pub(super) fn tells(&self, check: &CheckReport, note: &str) -> bool {
        check.away.get(note).is_some_and(|server| self.0.contains_key(server.as_str()))
    }

    /// Returns the lines to be told under a check that says which servers are away.
    pub(super) fn lines(&self, check: &CheckReport) -> impl Iterator<Item = String> {
        let servers = check.findings.iter().filter_map(|finding| finding.away.as_deref());
        let told = servers.filter_map(|server| Some((server, *self.0.get(server)?)));
        told.filter(|(_, checks)| *checks > 0).map(|(server, checks)| {
            let checks = match checks {
                1 => "1 other check".to_owned(),
                many => format!("{} other checks", grouped(many)),
            };
            format!("not seen by {checks}: server {} and its tenants", plain(server))
        })
    }
}

/// Returns `true` if the check says which server is away: that comes before all else.
pub(super) fn says_who_is_away(check: &CheckReport) -> bool {
    check.findings.iter().any(is_of_away)
}

/// Returns `true` if the finding says that a server is away.
pub(super) fn is_of_away(finding: &Finding) -> bool {
    finding.away.is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::Examined;

    fn check(name: &str, examined: Examined) -> CheckReport {
        CheckReport::new(name, name, examined, Duration::ZERO)
    }

    #[test]
    fn what_was_not_seen_is_told_with_the_server_that_is_away() {
        let gone = Finding::error("server eu cannot be reached", "it hurts").about_away("eu");
        let checks = [
            check("a", Examined::ok("fine").away("eu", None).away("us", None).unseen("rare")),
            check("b", Examined::ok("fine").away("eu", Some(3))),
            check("c", Examined::ok("two databases").finding(gone)),
        ];
        let away = Away::of(&checks);
        let told = |check: &CheckReport| {
            check.unseen.iter().map(|note| away.tells(check, note)).collect::<Vec<_>>()
        };
        assert_eq!(told(&checks[0]), [true, false, false], "nothing says why us is away");
        assert_eq!(told(&checks[1]), [true]);
        let lines: Vec<_> = checks.iter().flat_map(|check| away.lines(check)).collect();
        assert_eq!(lines, ["not seen by 2 other checks: server eu and its tenants"]);
        assert_eq!(checks.iter().filter(|check| says_who_is_away(check)).count(), 1);
    }
}

//! The results of a check on several servers, as one.

use super::{Examined, Finding};
use crate::{finding::FindingPlace, plain::plain};

/// The result of a check on a further server.
pub(super) enum Seen {
    Examined(Examined),
    /// The server does not answer.
    Away,
}

/// Combines the results on the main server and on further ones. Each finding says which servers it is about.
pub(super) fn combined(main: Examined, further: Vec<(String, Seen)>) -> Examined {
    let mut examined = vec![(crate::tenant::MAIN.to_owned(), main)];
    let mut away = Vec::new();
    for (server, seen) in further {
        match seen {
            Seen::Examined(one) => examined.push((server, one)),
            Seen::Away => away.push(server),
        }
    }
    let mut all = Examined::ok(in_words(&examined, |one| &one.message));
    all.text = examined
        .iter()
        .any(|(_, one)| one.text.is_some())
        .then(|| in_words(&examined, |one| one.text.as_ref().unwrap_or(&one.message)));
    all.status = examined[0].1.status;
    all.latency = examined[0].1.latency;
    all.heading.clone_from(&examined[0].1.heading);
    let cause = examined[0].1.cause;
    all.cause = cause.filter(|_| examined.iter().all(|(_, one)| one.cause == cause));
    let mut findings = Vec::<Finding>::new();
    for (server, one) in examined {
        all.raise(one.status);
        let unseen =
            one.unseen.into_iter().map(|what| format!("server {}: {what}", plain(&server)));
        all.unseen.extend(unseen);
        for finding in one.findings {
            let finding = finding.on_server(&FindingPlace::new(&server, None));
            match findings.iter().position(|known| known.is_same_as(&finding)) {
                Some(at) => {
                    let known = findings.remove(at);
                    findings.insert(at, known.and(finding));
                }
                None => findings.push(finding),
            }
        }
    }
    all.findings = findings.into_iter().map(Finding::naming_servers).collect();
    away.iter().fold(all, |all, server| all.away(server, None))
}

/// Returns the text of all servers if it is the same, or that of each.
fn in_words<'a>(
    examined: &'a [(String, Examined)],
    of: impl Fn(&'a Examined) -> &'a String,
) -> String {
    let first = of(&examined[0].1);
    if examined.iter().all(|(_, one)| of(one) == first) {
        return first.clone();
    }
    let each = examined.iter().map(|(server, one)| format!("{}: {}", plain(server), of(one)));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    fn off(server: &str) -> Finding {
        Finding::error("fsync is off", "it hurts").how("turn it on").sql(format!("fix {server}"))
    }

    #[test]
    fn the_same_on_several_servers_is_one_finding_that_names_them() {
        let eu = Examined::ok("one").finding(off("eu")).finding(Finding::info("old", "it is"));
        let us = Examined::warn("other").unseen("sessions");
        let further = vec![
            ("eu".to_owned(), Seen::Examined(eu)),
            ("us".to_owned(), Seen::Examined(us)),
            ("gone".to_owned(), Seen::Away),
        ];
        let all = combined(Examined::ok("one").in_words("One").finding(off("main")), further);
        assert_eq!(all.status(), CheckStatus::Error);
        assert_eq!(all.message(), "main: one; eu: one; us: other");
        assert_eq!(all.text.as_deref(), Some("main: One; eu: one; us: other"));
        assert_eq!(all.unseen, ["server us: sessions", "server gone, which does not answer"]);
        let whats: Vec<_> = all.findings.iter().map(|of| of.what.as_str()).collect();
        assert_eq!(whats, ["fsync is off (servers main, eu)", "old (server eu)"]);
        assert_eq!(all.away["server gone, which does not answer"], "gone");
        assert_eq!(all.findings[0].servers, ["main", "eu"]);
        assert_eq!(all.findings[0].sql, ["fix main", "fix eu"]);
        assert_eq!(all.findings[0].sql_in[1].to_string(), "server eu");
    }

    #[test]
    fn a_server_that_is_away_leaves_the_check_unknown_at_most() {
        let away = || vec![("gone".to_owned(), Seen::Away)];
        let fine = combined(Examined::ok("fine"), away());
        assert_eq!((fine.status(), fine.message()), (CheckStatus::Unknown, "fine"));
        let warned = combined(Examined::warn("so so"), away());
        assert_eq!(warned.status(), CheckStatus::Warn);
    }
}

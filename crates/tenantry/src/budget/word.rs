//! The word at the end of a session's name, `tenantry/<instance>~<word>`: some letters that all processes of a budget
//! have in common, and some that only this process has.

use sha2::{Digest, Sha256};

use crate::tenant::Ident;

const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Number of letters that depend on the budget. Two budgets rarely have the same, and then wait for each other when
/// they are new.
const OF_BUDGET: usize = 2;

/// Number of letters that depend on the process.
const OF_PROCESS: usize = 6;

/// Returns a word that no other process has, for a budget in the table of a schema.
pub(super) fn word(schema: &Ident, budget: &str) -> String {
    let hash = Sha256::new().chain_update(schema.as_str()).chain_update([0]).chain_update(budget);
    let of_budget = hash.finalize().into_iter().take(OF_BUDGET).map(usize::from);
    let of_process = (0..OF_PROCESS).map(|_| fastrand::usize(..LETTERS.len()));
    let letter = |number: usize| char::from(LETTERS[number % LETTERS.len()]);
    of_budget.chain(of_process).map(letter).collect()
}

/// Returns `true` if two names are of processes that share a budget. Processes without a shared budget have no word.
pub(super) fn share_budget(one: &str, other: &str) -> bool {
    of_budget(one).is_some_and(|of| of_budget(other) == Some(of))
}

fn of_budget(name: &str) -> Option<&str> {
    let (_, word) = name.rsplit_once('~')?;
    if word.len() == OF_BUDGET + OF_PROCESS { word.get(..OF_BUDGET) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_budget_are_told_from_all_others() {
        let name = |schema: &str, budget: &str| {
            format!("tenantry/web~{}", word(&Ident::parse(schema).unwrap(), budget))
        };
        let service = name("public", "service");
        assert_ne!(service, name("public", "service"));
        // The letters are the same in every process and release.
        assert!(service.starts_with("tenantry/web~h4"), "{service}");
        assert!(share_budget(&service, &name("public", "service")));
        for other in [&name("public", "worker"), &name("other", "service"), "tenantry/cli.host.1"] {
            assert!(!share_budget(&service, other), "{other}");
            assert!(!share_budget(other, &service), "{other}");
        }
        assert!(!share_budget("tenantry/a~b", "tenantry/a~b"), "an instance of that name");
    }
}

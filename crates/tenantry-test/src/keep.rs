//! Whether the schemas of a test are kept, and how to access them.

use std::{env, time::Duration};

use tenantry_devdb::keep_server_up;
use url::Url;

/// The variable that causes schemas to be kept.
pub(crate) const VARIABLE: &str = "TENANTRY_TEST_KEEP";

/// How long a throwaway server with a kept schema keeps running after the tests.
const STAY: Duration = Duration::from_secs(15 * 60);

/// The outcome of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
}

/// Returns `true` if the schemas of a test with this outcome are kept.
pub(crate) fn is_kept(outcome: Outcome) -> bool {
    asks_to_keep(env::var(VARIABLE).ok().as_deref(), outcome)
}

fn asks_to_keep(asked: Option<&str>, outcome: Outcome) -> bool {
    match asked {
        Some("all") => true,
        Some("failed") => outcome == Outcome::Failed,
        _ => false,
    }
}

/// Prints where a schema, or a whole database, was kept.
pub(crate) fn tell(test: &str, database_url: &str, schema: &str) {
    let stays = match keep_server_up(STAY) {
        Ok(true) => format!(" (the throwaway server stays up for {} min)", STAY.as_secs() / 60),
        Ok(false) => String::new(),
        Err(error) => format!(" (not for long: {error:?})"),
    };
    let url = without_password(database_url);
    eprintln!(
        "tenantry-test: kept the data of test {test}{stays}; inspect it with\n  \
         PGOPTIONS='-c search_path=\"{schema}\"' psql '{url}'"
    );
}

fn without_password(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return "postgres://…".to_owned() };
    // It only fails for URLs without a host, which have no password either.
    let _ = url.set_password(None);
    let pairs: Vec<_> =
        url.query_pairs().into_owned().filter(|(key, _)| !key.contains("pass")).collect();
    url.set_query(None);
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_asked_for_is_kept() {
        for (asked, passed, failed) in [
            (None, false, false),
            (Some("failed"), false, true),
            (Some("all"), true, true),
            (Some("yes"), false, false),
        ] {
            assert_eq!(asks_to_keep(asked, Outcome::Passed), passed, "{asked:?}");
            assert_eq!(asks_to_keep(asked, Outcome::Failed), failed, "{asked:?}");
        }
    }

    #[test]
    fn no_password_is_printed() {
        for url in ["postgres://u:secret@h/x", "postgres://u@h/x?password=secret&sslmode=disable"] {
            let told = without_password(url);
            assert!(!told.contains("secret"), "{told}");
            assert!(told.starts_with("postgres://u@h/x"), "{told}");
        }
    }
}

//! Readable, unique names of tests' tenants and of their schemas.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// The prefix of the schemas of all tests.
pub(crate) const PREFIX: &str = "test_";

/// The maximum length of a test's name in an id: with prefix, process, number and suffix it makes 63 bytes.
const LONGEST: usize = 32;

/// A number that distinguishes this process from all others that use a database.
pub(crate) static PROCESS: LazyLock<u32> =
    LazyLock::new(|| (RandomState::new().hash_one(()) >> 32) as u32);

/// Returns the prefix of the schemas of this process.
pub(crate) fn prefix_of_process() -> String {
    format!("{PREFIX}{:08x}_", *PROCESS)
}

/// Returns the prefix of one test's tenants, after that of the process.
pub(crate) fn unique_number() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{}_", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The process that a schema of this name belongs to.
pub(crate) fn process_of(schema: &str) -> Option<u32> {
    let rest = schema.strip_prefix(PREFIX)?;
    let (process, _) = rest.split_once('_')?;
    (process.len() == 8).then(|| u32::from_str_radix(process, 16).ok()).flatten()
}

/// Converts the name of a test such as `users::lists_all` to a tenant id: its last part, in characters that are also
/// valid in a host name.
pub(crate) fn id_of(test: &str) -> String {
    let last = test.rsplit("::").next().unwrap_or(test);
    let words = last.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut id = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    id.truncate(LONGEST);
    let id = id.trim_end_matches('-');
    if id.is_empty() { "tenant".to_owned() } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_the_test_is_called() {
        for (test, id) in [
            ("users::lists_all", "lists-all"),
            ("Signs Up!", "signs-up"),
            ("__x", "x"),
            ("müller", "m-ller"),
            ("…", "tenant"),
            ("a_test_whose_name_is_long_enough_for_two", "a-test-whose-name-is-long-enough"),
        ] {
            assert_eq!(id_of(test), id);
        }
    }

    #[test]
    fn schemas_tell_their_process() {
        assert_ne!(unique_number(), unique_number());
        let schema = format!("{}{}a", prefix_of_process(), unique_number());
        assert_eq!(process_of(&schema), Some(*PROCESS));
        assert_eq!(process_of("test_x_1_a"), None);
        assert_eq!(process_of("tenant_acme"), None);
        let longest =
            format!("{PREFIX}{:08x}_{}_{}-neighbour", u32::MAX, 999_999, "x".repeat(LONGEST));
        assert!(longest.len() <= 63, "{}", longest.len());
    }
}

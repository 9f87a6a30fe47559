//! Shell-style name patterns.

/// Returns `true` if a name matches a pattern with `*` and `?`. Takes at most the product of their
/// lengths in steps.
pub(crate) fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<_>, Vec<_>) = (name.chars().collect(), pattern.chars().collect());
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(of) {
            Some('*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(character) if *character == '?' || *character == name[at] => {
                (at, of) = (at + 1, of + 1);
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    (at, of) = (taken + 1, place + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|character| *character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (name, pattern, expected) in [
            ("tmp_orders", "tmp_*", true),
            ("orders", "tmp_*", false),
            ("orders", "*", true),
            ("", "*", true),
            ("ab", "a?", true),
            ("a", "a?", false),
            ("orders_2024_tmp", "*_2024*", true),
            ("aaaaab", "*a*a*b", true),
            ("aaaaac", "*a*a*b", false),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        }
    }
}

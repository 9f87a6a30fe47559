//! Versions of PostgreSQL.

use std::fmt;

/// Version of a PostgreSQL server, such as 15.14.
///
/// Versions are ordered: `version >= Version::new(15, 0)`.
///
/// # Examples
///
/// ```
/// use tenantry_devdb::Version;
///
/// assert!(Version::new(15, 14) > Version::new(15, 2));
/// assert_eq!(Version::new(15, 14).to_string(), "15.14");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// Creates a version from its two numbers.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Returns the first number, the 15 of 15.14.
    #[must_use]
    pub const fn major(self) -> u32 {
        self.major
    }

    /// Returns the second number, the 14 of 15.14; 0 for a beta or a development version.
    #[must_use]
    pub const fn minor(self) -> u32 {
        self.minor
    }

    /// Reads the answer of `postgres --version`.
    pub(crate) fn parse(answer: &str) -> Option<Self> {
        let text = answer.trim().strip_prefix("postgres (PostgreSQL) ")?;
        let (major, rest) = leading_number(text)?;
        let minor = rest.strip_prefix('.').and_then(leading_number);
        Some(Self::new(major, minor.map_or(0, |(minor, _)| minor)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

fn leading_number(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::Version;

    #[test]
    fn reads_what_servers_print() {
        for (answer, version) in [
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some((15, 14))),
            ("postgres (PostgreSQL) 17.5", Some((17, 5))),
            ("postgres (PostgreSQL) 18beta1", Some((18, 0))),
            ("postgres (PostgreSQL) 19devel", Some((19, 0))),
            ("psql (PostgreSQL) 15.14", None),
            ("", None),
        ] {
            let expected = version.map(|(major, minor)| Version::new(major, minor));
            assert_eq!(Version::parse(answer), expected, "{answer:?}");
        }
    }
}

//! Server settings: fast by default, because no data here needs to survive a crash.

use crate::Error;

/// Every default, in the order of `postgresql.conf`.
const FAST: [(&str, &str); 14] = [
    ("listen_addresses", "127.0.0.1"),
    // Room for several test processes at a time.
    ("max_connections", "300"),
    ("shared_buffers", "128MB"),
    // A crash of the machine loses the folder anyway, so nothing is forced to disk. A commit still waits until it is
    // handed to the operating system: otherwise tests that stop the server midway would lose what they had committed.
    ("fsync", "off"),
    ("synchronous_commit", "on"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("autovacuum", "on"),
    // One file, which `log_tail` reads and error messages quote, so it must not be translated.
    ("logging_collector", "off"),
    ("lc_messages", "C"),
    ("log_line_prefix", "%m [%p] %d "),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
];

/// Settings as lines of `postgresql.conf`; if a setting occurs twice, the server uses the last line.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Settings {
    lines: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        let lines = FAST.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self { lines: lines.collect() }
    }
}

impl Settings {
    pub(crate) fn set(&mut self, name: String, value: String) {
        self.lines.push((name, value));
    }

    /// # Errors
    ///
    /// A name that is none, or a value that would end its line.
    pub(crate) fn to_conf(&self) -> Result<String, Error> {
        self.lines.iter().map(|(name, value)| line(name, value)).collect()
    }
}

fn line(name: &str, value: &str) -> Result<String, Error> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.is_empty() || !name.chars().all(is_name) || value.contains(['\n', '\r']) {
        return Err(Error::failed("setting up the server", format!("no such setting: {name:?}")));
    }
    let value = value.replace('\\', "\\\\").replace('\'', "''");
    Ok(format!("{name} = '{value}'\n"))
}

#[cfg(test)]
mod tests {
    use super::{Settings, line};

    #[test]
    fn values_are_quoted() {
        for (value, expected) in
            [("on", "x.y = 'on'\n"), ("it's", "x.y = 'it''s'\n"), ("a\\b", "x.y = 'a\\\\b'\n")]
        {
            assert_eq!(line("x.y", value).unwrap(), expected);
        }
    }

    #[test]
    fn what_would_break_the_file_is_refused() {
        for (name, value) in [("", "1"), ("a b", "1"), ("a", "1\nfsync = on")] {
            line(name, value).unwrap_err();
        }
    }

    #[test]
    fn own_settings_come_after_the_defaults() {
        let mut settings = Settings::default();
        settings.set("fsync".to_owned(), "on".to_owned());
        assert!(settings.to_conf().unwrap().ends_with("fsync = 'on'\n"));
    }
}

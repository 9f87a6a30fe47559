use std::{fmt, fmt::Write, process::Command};

use tenantry::url_parameters;

use crate::{failure::Failure, settings::Settings, settings::key};

/// The location of a database and the connecting role, as libpq parameters.
///
/// It is passed to other programs through their environment, which only this user can see, and never as arguments.
#[derive(Clone)]
pub(crate) struct Connection(Vec<(String, String)>);

/// The variables of libpq for its parameters.
const VARIABLES: [(&str, &str); 20] = [
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("port", "PGPORT"),
    ("dbname", "PGDATABASE"),
    ("user", "PGUSER"),
    ("password", "PGPASSWORD"),
    ("passfile", "PGPASSFILE"),
    ("application_name", "PGAPPNAME"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("sslmode", "PGSSLMODE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("sslcrl", "PGSSLCRL"),
    ("sslcrldir", "PGSSLCRLDIR"),
    ("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    ("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    ("gssencmode", "PGGSSENCMODE"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
];

/// Variables that libpq, or Debian's wrapper of its programs, uses and the manager does not.
const FOREIGN: [&str; 6] =
    ["PGSERVICE", "PGSERVICEFILE", "PGCLUSTER", "PGLOADBALANCEHOSTS", "PGOPTIONS", "PGAPPNAME"];

impl Connection {
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        Ok(Self(url_parameters(url)?))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Sets a parameter, or removes it.
    pub(crate) fn set(mut self, key: &str, value: Option<&str>) -> Self {
        self.0.retain(|(known, _)| known != key);
        self.0.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        self
    }

    /// Adds settings with which the session starts, after those of the URL.
    pub(crate) fn with_settings<'a>(
        self,
        settings: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut options = self.options();
        for (name, value) in settings {
            push_option(&mut options, name, value);
        }
        let mut own = self.set("options", Some(&options));
        own.0.retain(|(key, _)| !key.starts_with("options["));
        own
    }

    /// Returns the command-line options of the session, in the server's syntax.
    fn options(&self) -> String {
        let mut options = String::new();
        for (key, value) in &self.0 {
            let named = key.strip_prefix("options[").and_then(|name| name.strip_suffix(']'));
            match named {
                Some(name) => push_option(&mut options, name, value),
                None if key == "options" => {
                    options.push_str(if options.is_empty() { "" } else { " " });
                    options.push_str(value);
                }
                None => {}
            }
        }
        options
    }

    /// Passes it to a program.
    pub(crate) fn give_to(&self, command: &mut Command) {
        for name in FOREIGN {
            command.env_remove(name);
        }
        for (key, variable) in VARIABLES {
            if let Some(value) = self.get(key) {
                command.env(variable, value);
            }
        }
        let options = self.options();
        if !options.is_empty() {
            command.env("PGOPTIONS", options);
        }
    }

    /// Returns it as a URL, with the password, if there is one.
    pub(crate) fn url(&self) -> String {
        let host = self.get("host").filter(|host| is_plain_host(host));
        let in_place: &[&str] = match host {
            Some(_) => &["user", "password", "host", "port", "dbname"],
            None => &["dbname"],
        };
        let mut url = "postgres://".to_owned();
        if let Some(host) = host {
            if let Some(user) = self.get("user") {
                url.push_str(&encoded(user));
                if let Some(password) = self.get("password") {
                    url.push(':');
                    url.push_str(&encoded(password));
                }
                url.push('@');
            }
            url.push_str(host);
            url.extend(self.get("port").map(|port| format!(":{port}")));
        }
        url.extend(self.get("dbname").map(|name| format!("/{}", encoded(name))));
        // Without a user, a password cannot precede the host.
        let is_placed = |key: &str| {
            in_place.contains(&key) && !(key == "password" && self.get("user").is_none())
        };
        let mut mark = if self.get("dbname").is_some() || host.is_some() { '?' } else { '/' };
        if mark == '/' {
            url.push('/');
            mark = '?';
        }
        for (key, value) in self.0.iter().filter(|(key, _)| !is_placed(key)) {
            // The key is one that the parser accepts, or `options[…]`.
            let key = key.replace('[', "%5B").replace(']', "%5D");
            url.push(mark);
            url.push_str(&format!("{key}={}", encoded(value)));
            mark = '&';
        }
        url
    }

    /// Returns it as a URL without the password.
    pub(crate) fn url_to_show(&self) -> String {
        self.clone().set("password", None).url()
    }
}

impl Settings {
    /// Returns the connection of requests.
    pub(crate) fn connection(&self) -> Result<Connection, Failure> {
        Connection::parse(&self.database_url()?)
    }

    /// Returns the connection for maintenance: with a separate role, if one is set.
    pub(crate) fn upkeep_connection(&self) -> Result<Connection, Failure> {
        let connection = self.connection()?;
        if let Some(url) = self.upkeep_url()? {
            let upkeep = Connection::parse(url)?;
            let password = upkeep.get("password");
            return Ok(connection.set("user", upkeep.get("user")).set("password", password));
        }
        let Some(user) = self.text(&key::UPKEEP_USER) else { return Ok(connection) };
        let password = self.upkeep_password()?;
        Ok(connection.set("user", Some(user)).set("password", password.as_deref()))
    }
}

fn push_option(options: &mut String, name: &str, value: &str) {
    if !options.is_empty() {
        options.push(' ');
    }
    let _ = write!(options, "-c {name}=");
    for character in value.chars() {
        // See the parameter `options` in
        // https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-OPTIONS.
        if character.is_ascii_whitespace() || character == '\\' {
            options.push('\\');
        }
        options.push(character);
    }
}

/// Returns `true` for a host that needs no encoding in a URL.
fn is_plain_host(host: &str) -> bool {
    !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Never shows the password.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Connection {
        Connection::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
    }

    #[test]
    fn a_url_comes_out_as_it_went_in() {
        for url in [
            "postgres://app@db.example:5433/saas?sslmode=require",
            "postgres://app:p%2Fw%40%20x@h/d",
            "postgres://h",
            "postgres:///d?host=%2Frun%2Fpg&port=5433",
            "postgres:///?password=p%26w",
            "postgres://h/d?options%5Bsearch_path%5D=a%20b",
        ] {
            assert_eq!(parsed(url).url(), url);
        }
        for url in
            ["postgres://u:p@[::1]:5433/d", "postgres://h?password=x", "postgres://u:p@/d?host=/s"]
        {
            let mut first = parsed(url).0;
            let mut second = parsed(&parsed(url).url()).0;
            first.sort();
            second.sort();
            assert_eq!(first, second, "{url}");
        }
        let shown = parsed("postgres://app:geheim@h/d").url_to_show();
        assert_eq!(shown, "postgres://app@h/d");
    }

    #[test]
    fn settings_are_escaped_for_the_server() {
        let connection = parsed("postgres://h/d?options=-c+a%3Db&options[b]=c d");
        let options = connection.with_settings([("search_path", "\"A \\ b\", c")]);
        let expected = "-c a=b -c b=c\\ d -c search_path=\"A\\ \\\\\\ b\",\\ c";
        assert_eq!(options.get("options"), Some(expected));
        assert_eq!(options.options(), expected);
    }

    #[test]
    fn programs_get_all_of_it_by_their_environment() {
        let mut command = Command::new("psql");
        parsed("postgres://app:geheim@h:1/d?sslmode=require").give_to(&mut command);
        assert_eq!(command.get_args().count(), 0);
        let get = |name: &str| {
            let found = command.get_envs().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.map(|value| value.to_string_lossy().into_owned()))
        };
        assert_eq!(get("PGPASSWORD"), Some(Some("geheim".to_owned())));
        assert_eq!(get("PGPORT"), Some(Some("1".to_owned())));
        assert_eq!(get("PGSERVICE"), Some(None));
        assert_eq!(get("PGOPTIONS"), Some(None));
        assert!(!format!("{:?}", parsed("postgres://a:geheim@h")).contains("geheim"));
    }
}

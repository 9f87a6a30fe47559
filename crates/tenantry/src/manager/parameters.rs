//! Connection parameters: validation, and translation for sqlx.
//!
//! Parameters that cannot be honoured are refused. sqlx ignores unknown parameters, and an ignored
//! `verify-full` is an unverified connection.

use std::{
    borrow::Cow,
    env,
    fs::File,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use sqlx_core::percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::url::{Parameter, UrlError, parameters};
use crate::pool::{LoadBalanceHosts, TargetSessionAttrs};

/// The connection settings in a URL.
#[derive(Clone)]
pub(super) struct Connecting {
    /// One entry per host, at least one.
    pub(super) hosts: Vec<PgConnectOptions>,
    pub(super) target: TargetSessionAttrs,
    pub(super) order: LoadBalanceHosts,
    /// The `connect_timeout`.
    pub(super) timeout: Option<Duration>,
}

impl Connecting {
    /// Parses a URL, and reads missing parameters from the environment.
    pub(super) fn read(url: &str) -> Result<Self, UrlError> {
        Self::read_with(url, |name| env::var(name).ok())
    }

    fn read_with(
        url: &str,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, UrlError> {
        let mut given = parameters(url)?;
        given.iter().try_for_each(check_given)?;
        let from_environment = |given: &[Parameter], variable: &str, key: &str| {
            let is_given = given.iter().any(|parameter| parameter.key == key);
            environment(variable).filter(|value| !is_given && !value.is_empty())
        };
        for (variable, key) in VARIABLES {
            if let Some(value) = from_environment(&given, variable, key) {
                check_variable(variable, key, &value)?;
            }
        }
        let mode = from_environment(&given, "PGSSLMODE", "sslmode");
        let root = from_environment(&given, "PGSSLROOTCERT", "sslrootcert");
        let is_root_in_environment = environment("PGSSLROOTCERT").is_some();
        for (variable, key) in LISTS {
            let names_host = |other: &Parameter| is_host(key) && is_host(&other.key);
            if !given.iter().any(names_host)
                && let Some(value) = from_environment(&given, variable, key)
            {
                given.push(Parameter::new(key, value));
            }
        }
        settle_tls(&mut given, mode, root, is_root_in_environment)?;
        settle_rest(&mut given)?;
        Self::from_parameters(&given)
    }

    fn from_parameters(given: &[Parameter]) -> Result<Self, UrlError> {
        let target = get(given, "target_session_attrs").and_then(|value| value.parse().ok());
        let order = match get(given, "load_balance_hosts") {
            Some("random") => LoadBalanceHosts::Random,
            _ => LoadBalanceHosts::Disable,
        };
        let timeout = get(given, "connect_timeout").and_then(|seconds| seconds.parse().ok());
        let timeout = timeout.filter(|seconds| *seconds > 0).map(Duration::from_secs);
        // With the parser and not with setters, because only the parser reads the password file.
        let hosts = of_each_host(given)?.into_iter().map(|of_host| for_sqlx(&of_host).parse());
        let hosts = hosts.collect::<Result<_, sqlx::Error>>().map_err(|_| {
            UrlError::new("the database URL cannot be read; write postgres://user@host/database")
        })?;
        Ok(Self { hosts, target: target.unwrap_or_default(), order, timeout })
    }
}

/// Checks a parameter of the URL. Only a parameter without secrets is named in the error.
fn check_given(Parameter { key, value, is_safe }: &Parameter) -> Result<(), UrlError> {
    check(key, value).and_then(|()| check_file(key, value, *is_safe)).map_err(
        |said| match is_safe {
            true => UrlError::new(format!("{key} in the database URL {said}")),
            false => UrlError::new(format!("a parameter in the database URL {said}")),
        },
    )
}

/// Checks a parameter from an environment variable.
fn check_variable(variable: &str, key: &str, value: &str) -> Result<(), UrlError> {
    check(key, value).and_then(|()| check_file(key, value, true)).map_err(|said| {
        UrlError::new(format!("{key}, from the environment variable {variable}, {said}"))
    })
}

/// Environment variables that sqlx reads, and those that it should read but does not.
const VARIABLES: [(&str, &str); 18] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLCRLDIR", "sslcrldir"),
    ("PGSSLMINPROTOCOLVERSION", "ssl_min_protocol_version"),
    ("PGSSLMAXPROTOCOLVERSION", "ssl_max_protocol_version"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGREQUIREAUTH", "require_auth"),
    ("PGREQUIREPEER", "requirepeer"),
    ("PGREQUIRESSL", "requiressl"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
];

/// Variables that this module reads itself, because sqlx supports only one host.
const LISTS: [(&str, &str); 5] = [
    ("PGHOSTADDR", "hostaddr"),
    ("PGHOST", "host"),
    ("PGPORT", "port"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
];

fn is_host(key: &str) -> bool {
    matches!(key, "host" | "hostaddr")
}

type Said<T = ()> = Result<T, Cow<'static, str>>;

/// Checks one parameter. Those not rejected or rewritten here behave as in sqlx.
fn check(key: &str, value: &str) -> Said {
    if let Some((_, known)) = CHOICES.iter().find(|(parameter, _)| *parameter == key) {
        return check_choice(key, value, known);
    }
    match key {
        "user"
        | "password"
        | "dbname"
        | "application_name"
        | "fallback_application_name"
        | "options"
        | "sslrootcert"
        | "sslcert"
        | "sslkey" => Ok(()),
        "host" => value.split(',').try_for_each(check_host),
        "hostaddr" => value.split(',').try_for_each(|address| {
            address.parse::<IpAddr>().map(drop).map_err(|_| "must be an IP address".into())
        }),
        "port" => value.split(',').try_for_each(check_port),
        "connect_timeout" => {
            value.parse::<i32>().map(drop).map_err(|_| "must be a number of seconds".into())
        }
        "statement-cache-capacity" => {
            value.parse::<usize>().map(drop).map_err(|_| "must be a number of statements".into())
        }
        "target_session_attrs" => match value.parse::<TargetSessionAttrs>() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string().into()),
        },
        _ => Err(match key.strip_prefix("options[").and_then(|rest| rest.strip_suffix(']')) {
            Some(name) if is_setting(name) => return Ok(()),
            Some(_) => "does not name a setting of the server",
            None => why_unsupported(key),
        }
        .into()),
    }
}

/// Parameters with a fixed set of values, restricted to those that sqlx can honour.
const CHOICES: &[(&str, &[&str])] = &[
    ("sslmode", &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]),
    ("ssl", &["true"]),
    ("client_encoding", &["UTF8", "utf8", "UTF-8", "utf-8", "auto"]),
    ("load_balance_hosts", &["disable", "random"]),
    ("channel_binding", &["disable", "prefer"]),
    ("gssencmode", &["disable", "prefer"]),
    ("sslnegotiation", &["postgres"]),
    ("sslcertmode", &["allow"]),
    ("sslcompression", &["0"]),
    ("sslsni", &["1"]),
    ("replication", &["false", "off", "no", "0"]),
];

fn check_choice(key: &str, value: &str, known: &[&str]) -> Said {
    match (key, value) {
        _ if known.contains(&value) => Ok(()),
        ("channel_binding" | "gssencmode", "require") => {
            Err("cannot be required: sqlx does not support it".into())
        }
        _ => Err(format!("must be {}", known.join(", ")).into()),
    }
}

fn check_port(port: &str) -> Said {
    match port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0) {
        true => Ok(()),
        false => Err("must be a number from 1 to 65535".into()),
    }
}

/// Returns why a parameter is refused whatever its value is.
fn why_unsupported(key: &str) -> &'static str {
    match key {
        "passfile" => "is not supported: set the environment variable PGPASSFILE",
        "service" | "servicefile" => {
            "is not supported: write the settings of the service into the URL"
        }
        "requiressl" => "is not supported: write sslmode=require",
        "keepalives"
        | "keepalives_idle"
        | "keepalives_interval"
        | "keepalives_count"
        | "tcp_user_timeout" => {
            "is not supported: set PoolOptions::liveness_check_after, after which an idle connection is checked"
        }
        "sslpassword"
        | "sslcrl"
        | "sslcrldir"
        | "sslkeylogfile"
        | "ssl_min_protocol_version"
        | "ssl_max_protocol_version"
        | "min_protocol_version"
        | "max_protocol_version"
        | "requirepeer"
        | "require_auth"
        | "krbsrvname"
        | "gsslib"
        | "gssdelegation"
        | "scram_client_key"
        | "scram_server_key" => "is not supported by sqlx",
        _ => "is unknown: correct or remove it",
    }
}

fn is_setting(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.')
}

fn check_host(host: &str) -> Said {
    if host.is_empty() {
        return Err("has an empty entry in its list".into());
    }
    let address = host.split('%').next().unwrap_or_default();
    let is_name = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    if host.starts_with('/') || host.chars().all(is_name) || address.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    Err("must be a host, an IP address or the folder of a socket".into())
}

/// Checks that a file can be read, because sqlx does not name the file that it could not read.
fn check_file(key: &str, value: &str, may_be_shown: bool) -> Said {
    let is_file = matches!(key, "sslrootcert" | "sslcert" | "sslkey");
    let is_other = value.is_empty() || (key == "sslrootcert" && value == "system");
    let pem = value.trim();
    if !is_file || is_other || (pem.starts_with("-----BEGIN") && pem.ends_with("-----")) {
        return Ok(());
    }
    if value.contains("-----") || value.contains(|c: char| c.is_control()) {
        return Err("is neither a file nor a whole certificate or key".into());
    }
    match File::open(value) {
        Ok(_) => Ok(()),
        Err(_) if !may_be_shown => Err("names a file that cannot be read".into()),
        Err(error) => {
            Err(format!("names the file {value:?}, which cannot be read: {error}").into())
        }
    }
}

/// Makes sqlx as strict about TLS as libpq.
fn settle_tls(
    given: &mut Vec<Parameter>,
    mode: Option<String>,
    root: Option<String>,
    is_root_in_environment: bool,
) -> Result<(), UrlError> {
    if take(given, "ssl").is_some() && get(given, "sslmode").is_none() {
        given.push(Parameter::new("sslmode", "require".to_owned()));
    }
    let mode = get(given, "sslmode").map(str::to_owned).or(mode);
    let root = get(given, "sslrootcert").map(str::to_owned).or(root);
    let root = root.as_deref();
    let Some(required) = required_mode(root, mode.as_deref(), is_root_in_environment)? else {
        return Ok(());
    };
    if root == Some("system") {
        take(given, "sslrootcert");
    }
    take(given, "sslmode");
    given.push(Parameter::new("sslmode", required.to_owned()));
    Ok(())
}

/// Returns the mode with which sqlx is as strict as libpq, if it is not the given one.
fn required_mode(
    root: Option<&str>,
    mode: Option<&str>,
    is_root_in_environment: bool,
) -> Result<Option<&'static str>, UrlError> {
    match (root, mode) {
        (Some("system"), _) if is_root_in_environment => Err(UrlError::new(
            "sslrootcert=system: remove PGSSLROOTCERT from the environment, and keep the parameter in the database URL",
        )),
        (Some("system"), None | Some("verify-full")) => Ok(Some("verify-full")),
        (Some("system"), Some(_)) => {
            Err(UrlError::new("sslrootcert=system needs sslmode=verify-full"))
        }
        // libpq verifies the server whenever it has a root certificate.
        (Some(_), Some("require")) => Ok(Some("verify-ca")),
        _ => Ok(None),
    }
}

fn settle_rest(given: &mut Vec<Parameter>) -> Result<(), UrlError> {
    if get(given, "host").is_some() && get(given, "hostaddr").is_some() {
        return Err(UrlError::new("the database URL has a host and a hostaddr: give one of them"));
    }
    if let Some(name) = take(given, "fallback_application_name")
        && get(given, "application_name").is_none()
    {
        given.push(Parameter::new("application_name", name));
    }
    Ok(())
}

fn get<'a>(given: &'a [Parameter], key: &str) -> Option<&'a str> {
    given.iter().find(|parameter| parameter.key == key).map(|parameter| &*parameter.value)
}

fn take(given: &mut Vec<Parameter>, key: &str) -> Option<String> {
    let place = given.iter().position(|parameter| parameter.key == key)?;
    Some(given.remove(place).value)
}

/// Returns the parameters of each host, because the password file has entries per host.
fn of_each_host(given: &[Parameter]) -> Result<Vec<Vec<Parameter>>, UrlError> {
    let key = if get(given, "hostaddr").is_some() { "hostaddr" } else { "host" };
    let Some(hosts) = get(given, key) else {
        return Ok(vec![given.to_vec()]);
    };
    let hosts: Vec<&str> = hosts.split(',').collect();
    let ports: Vec<&str> = get(given, "port").unwrap_or_default().split(',').collect();
    if ports.len() > 1 && ports.len() != hosts.len() {
        let (hosts, ports) = (hosts.len(), ports.len());
        return Err(UrlError::new(format!(
            "the database has {hosts} hosts and {ports} ports: give one port for all, or one for each"
        )));
    }
    let of_host = |(index, host): (usize, &&str)| {
        let others = |parameter: &&Parameter| parameter.key != key && parameter.key != "port";
        let mut of_host: Vec<_> = given.iter().filter(others).cloned().collect();
        let port = ports.get(index).or(ports.first()).copied().unwrap_or_default();
        of_host.push(Parameter::new(key, (*host).to_owned()));
        // As with libpq, an empty entry is the default port, regardless of the environment.
        let port = if port.is_empty() && ports.len() > 1 { "5432" } else { port };
        of_host.push(Parameter::new("port", port.to_owned()));
        of_host
    };
    Ok(hosts.iter().enumerate().map(of_host).collect())
}

/// Parameters that sqlx's parser knows, in addition to `options[…]`.
const KNOWN_TO_SQLX: [&str; 13] = [
    "user",
    "password",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "application_name",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "statement-cache-capacity",
];

/// Writes a URL that sqlx parses as intended, without parameters that sqlx does not know.
fn for_sqlx(given: &[Parameter]) -> String {
    let is_known = |key: &str| KNOWN_TO_SQLX.contains(&key) || key.starts_with("options[");
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<_> = given
        .iter()
        .filter(|parameter| is_known(&parameter.key) && !parameter.value.is_empty())
        .map(|parameter| format!("{}={}", encoded(&parameter.key), encoded(&parameter.value)))
        .collect();
    format!("postgres:///?{}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, variables: &[(&str, &str)]) -> Result<Connecting, UrlError> {
        Connecting::read_with(url, |name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn refusal(url: &str, variables: &[(&str, &str)]) -> String {
        match read(url, variables) {
            Ok(_) => panic!("{url} is accepted"),
            Err(error) => error.to_string(),
        }
    }

    fn mode(url: &str) -> String {
        let connecting = read(url, &[]).unwrap_or_else(|error| panic!("{url}: {error}"));
        format!("{:?}", connecting.hosts[0].get_ssl_mode())
    }

    #[test]
    fn sqlx_is_told_what_the_url_says() {
        let url =
            "postgres://us%40er:p%2F@h:5433/d%3Fb?application_name=a%26b&options[lock_timeout]=5s";
        let options = &read(url, &[]).unwrap().hosts[0];
        assert_eq!((options.get_host(), options.get_port()), ("h", 5433));
        assert_eq!(options.get_username(), "us@er");
        assert_eq!(options.get_database(), Some("d?b"));
        assert_eq!(options.get_application_name(), Some("a&b"));
        assert!(options.get_options().is_some_and(|all| all.contains("lock_timeout=5s")));
    }

    #[test]
    fn hosts_of_every_kind() {
        for (url, host) in [
            ("postgres://[::1]/d", "::1"),
            ("postgres://[fe80::1%25eth0]/d", "fe80::1%eth0"),
            ("postgres://db.example.com/d", "db.example.com"),
            ("postgres:///d?hostaddr=10.0.0.1", "10.0.0.1"),
            ("postgres:///d?host=::1", "::1"),
        ] {
            assert_eq!(read(url, &[]).unwrap().hosts[0].get_host(), host, "{url}");
        }
        for url in ["postgres://%2Fvar%2Frun/d", "postgres://h/d?host=/var/run"] {
            let options = &read(url, &[]).unwrap().hosts[0];
            assert_eq!(options.get_socket().unwrap().to_str(), Some("/var/run"), "{url}");
        }
    }

    #[test]
    fn each_host_has_its_options() {
        let variables = [("PGHOST", "e1,e2"), ("PGPORT", "9"), ("PGTARGETSESSIONATTRS", "standby")];
        let found = |url: &str, variables: &[(&str, &str)]| {
            let connecting = read(url, variables).unwrap_or_else(|error| panic!("{url}: {error}"));
            let host = |of: &PgConnectOptions| format!("{}:{}", of.get_host(), of.get_port());
            let hosts: Vec<_> = connecting.hosts.iter().map(host).collect();
            assert!(connecting.hosts.iter().all(|of| of.get_username() == "u"), "{url}");
            (hosts.join(" "), connecting.target, connecting.order)
        };
        use TargetSessionAttrs as T;
        let (one, random) = (LoadBalanceHosts::Disable, LoadBalanceHosts::Random);
        for (url, variables, hosts, target, order) in [
            (
                "postgres://u@a:1,b:2/d?target_session_attrs=read-write",
                &[][..],
                "a:1 b:2",
                T::ReadWrite,
                one,
            ),
            ("postgres://u@a,[::1]:2,c/d", &[], "a:5432 ::1:2 c:5432", T::Any, one),
            (
                "postgres://u@/d?host=a,b&port=7&load_balance_hosts=random",
                &[],
                "a:7 b:7",
                T::Any,
                random,
            ),
            (
                "postgres://u@/d?hostaddr=10.0.0.1,10.0.0.2",
                &[],
                "10.0.0.1:5432 10.0.0.2:5432",
                T::Any,
                one,
            ),
            ("postgres://u@/d", &variables, "e1:9 e2:9", T::Standby, one),
            ("postgres://u@a:1/d?target_session_attrs=any", &variables, "a:1", T::Any, one),
        ] {
            assert_eq!(found(url, variables), (hosts.to_owned(), target, order), "{url}");
        }
    }

    #[test]
    fn tls_is_as_strict_as_with_libpq() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert_eq!(mode("postgres://h"), "Prefer");
        assert_eq!(mode("postgres://h?ssl=true"), "Require");
        assert_eq!(mode("postgres://h?sslmode=require"), "Require");
        assert_eq!(mode(&format!("postgres://h?sslmode=require&sslrootcert={file}")), "VerifyCa");
        assert_eq!(mode("postgres://h?sslrootcert=system"), "VerifyFull");
        let weak = refusal("postgres://h?sslrootcert=system&sslmode=require", &[]);
        assert_eq!(weak, "sslrootcert=system needs sslmode=verify-full");
        let variable = [("PGSSLROOTCERT", "system")];
        assert!(refusal("postgres://h", &variable).contains("PGSSLROOTCERT"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused_by_name() {
        for (url, words) in [
            ("mysql://h/d", "scheme"),
            ("host=h password=p", "key=value"),
            ("postgres://h1,,h2/d", "host in the database URL has an empty entry"),
            ("postgres://h1,h2/d?port=1,2,3", "2 hosts and 3 ports"),
            ("postgres://h1:1,h2:x/d", "port"),
            ("postgres://h1,h 2/d", "host"),
            ("postgres://h/d?sslmod=verify-full", "sslmod "),
            ("postgres://h/d?sslmode=verify_full", "sslmode in the database URL must be disable"),
            ("postgres://h/d?target_session_attrs=master", "must be any, read-write, read-only"),
            ("postgres://h/d?load_balance_hosts=yes", "load_balance_hosts"),
            ("postgres://h/d?channel_binding=require", "channel_binding"),
            ("postgres://h/d?sslrootcert=/nowhere/ca.pem", "\"/nowhere/ca.pem\""),
            ("postgres://h/d?sslmode=disable&sslmode=require", "sslmode twice"),
            ("postgres://h:0/d", "port"),
            ("postgres://h:port/d", "port"),
            ("postgres://::1/d", "brackets"),
            ("postgres://[::1/d", "]"),
            ("postgres://h/d?passfile=/x", "PGPASSFILE"),
            ("postgres://h/d?connect_timeout=soon", "connect_timeout"),
            ("postgres://u:100%@h/d", "password"),
        ] {
            let said = refusal(url, &[]);
            assert!(said.contains(words), "{url}: {said}");
        }
    }

    #[test]
    fn the_environment_is_checked_where_it_counts() {
        for (variable, value) in [
            ("PGSSLMODE", "verify-ful"),
            ("PGPORT", "5432x"),
            ("PGHOST", "h1,,h2"),
            ("PGSSLROOTCERT", "/nowhere/ca.pem"),
            ("PGCHANNELBINDING", "require"),
            ("PGREQUIREAUTH", "scram-sha-256"),
        ] {
            let said = refusal("postgres:///d", &[(variable, value)]);
            assert!(said.contains(variable), "{said}");
        }
        let settled = read(
            "postgres://h:1/d?sslmode=disable",
            &[("PGSSLMODE", "verify-ful"), ("PGPORT", "5432x"), ("PGHOST", "h1,h2")],
        );
        assert!(settled.is_ok());
    }

    #[test]
    fn a_timeout_is_read() {
        let timeout = |url: &str| read(url, &[]).unwrap().timeout;
        assert_eq!(timeout("postgres://h?connect_timeout=7"), Some(Duration::from_secs(7)));
        assert_eq!(timeout("postgres://h?connect_timeout=0"), None);
    }
}

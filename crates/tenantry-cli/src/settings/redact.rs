//! Redacts secrets in output.

/// Shows a URL without its password, even if the URL is invalid.
pub(crate) fn url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // For any other text, such as `password=…`, nothing is shown.
        return "***".to_owned();
    };
    // The part before the last @ can be a password that contains an @, a slash or a ?.
    let (login, address) = match rest.rsplit_once('@') {
        Some((login, address)) => (Some(login), address),
        None => (None, rest),
    };
    let is_odd = |text: &str| text.contains(['?', '/', '@']);
    let login = match login.map(|login| (login, login.split_once(':'))) {
        None => String::new(),
        Some((_, Some((user, _)))) if !is_odd(user) => format!("{user}:***@"),
        Some((login, None)) if !is_odd(login) => format!("{login}@"),
        Some(_) => "***@".to_owned(),
    };
    let (address, query) =
        address.split_once('?').map_or((address, None), |(address, query)| (address, Some(query)));
    let parameter = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if is_shown(key, value) => pair.to_owned(),
        Some((key, _)) => format!("{key}=***"),
        None => "***".to_owned(),
    };
    let query = query.map(|query| query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{scheme}://{login}{address}{query}")
}

/// Returns `true` for parameters that contain no secret.
fn is_shown(key: &str, value: &str) -> bool {
    const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    match key {
        "sslmode" | "ssl-mode" => MODES.contains(&value),
        // A value with an @ can be the rest of a password that contains a ?.
        "host" | "port" | "user" | "dbname" | "application_name" | "sslrootcert" => {
            !value.contains('@')
        }
        _ => false,
    }
}

/// Returns `true` if the URL contains a password.
pub(crate) fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return url.contains("password") };
    let in_login = rest.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'));
    in_login || rest.split(['?', '&']).any(|pair| pair.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (given, shown) in [
            ("postgres://app@h/d", "postgres://app@h/d"),
            (
                "postgres://app:geheim@h:5432/d?sslmode=require",
                "postgres://app:***@h:5432/d?sslmode=require",
            ),
            ("postgres://app:ge@he/im@h/d", "postgres://app:***@h/d"),
            ("postgres:///d?password=geheim&host=/run", "postgres:///d?password=***&host=/run"),
            ("postgres://app:g?eheim@h/d", "postgres://app:***@h/d"),
            ("postgres://app:a@geheim?rest@h/d", "postgres://app:***@h/d"),
            ("postgres://h/d?password=geheim@x", "postgres://***@x"),
            ("http://me:geheim@h:9/metrics", "http://me:***@h:9/metrics"),
            ("http://h:9/m?token=geheim", "http://h:9/m?token=***"),
            ("host=h password=geheim", "***"),
        ] {
            let told = url(given);
            assert!(!told.contains("heim"), "{told}");
            assert_eq!(told, shown);
        }
        assert!(
            has_password("postgres://a:b?c@h/d")
                && has_password("postgres://a:b@h/d")
                && has_password("postgres:///d?password=x")
        );
        assert!(!has_password("postgres://a@h:5432/d"));
    }
}

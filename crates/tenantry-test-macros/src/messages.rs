//! The compiler's messages, and their places, if the attribute is misused.

use syn::{Error, ItemFn, parse_str};

use crate::{arguments::Arguments, expand::expand};

/// Returns the text that an error points at, and its message.
fn told(error: &Error) -> (String, String) {
    (error.span().source_text().unwrap_or_default(), error.to_string())
}

#[track_caller]
fn arguments(written: &str) -> (String, String) {
    told(&parse_str::<Arguments>(written).err().unwrap())
}

#[track_caller]
fn function(written: &str) -> (String, String) {
    told(&expand(&Arguments::default(), parse_str::<ItemFn>(written).unwrap()).unwrap_err())
}

#[test]
fn arguments_that_do_not_fit_are_pointed_at() {
    for (written, place, says) in [
        (
            "migration = \"m\"",
            "migration",
            "unknown argument `migration`: the arguments are `migrations`",
        ),
        ("migrations", "", "expected `=`"),
        ("migrations = 5", "5", "expected string literal"),
        ("alone, alone", "alone", "`alone` is given twice"),
        ("migrations = \"a\", tenants = b", "\"a\"", "remove `migrations`"),
        ("fixtures = \"users\"", "=", "expected parentheses"),
        ("fixtures(users)", "users", "expected string literal"),
        ("alone shared = \"s\"", "shared", "expected `,`"),
        ("flavor = \"tokio\"", "\"tokio\"", "\"current_thread\" and \"multi_thread\""),
        ("worker_threads = 2", "2", "needs `flavor = \"multi_thread\"`"),
        ("flavor = \"multi_thread\", worker_threads = 0", "0", "at least one worker thread"),
        (
            "flavor = \"multi_thread\", worker_threads = 9999999999999999999999",
            "9999999999999999999999",
            "number too large",
        ),
    ] {
        let (found, text) = arguments(written);
        assert_eq!(found, place, "{written}: {text}");
        assert!(text.contains(says), "{written}: {text}");
    }
}

#[test]
fn functions_that_are_no_tests_are_pointed_at() {
    for (written, place, says) in [
        ("fn t() {}", "fn", "`async fn`"),
        ("async fn t<T>(t: T) {}", "<T>", "must not have type parameters"),
        ("async fn t(a: TestTenant, b: TestTenant) {}", "b: TestTenant", "`another()`"),
        ("async fn t(self) {}", "self", "not a method"),
    ] {
        let (found, text) = function(written);
        assert_eq!(found, place, "{written}: {text}");
        assert!(text.contains(says), "{written}: {text}");
    }
}

/// A macro does not know types: the compiler reports errors at the place of the written code.
#[test]
fn types_that_do_not_fit_are_pointed_at() {
    let written = "async fn t(t: String) -> u8 {}";
    let expanded = expand(&Arguments::default(), parse_str(written).unwrap()).unwrap();
    let places: Vec<_> = places(expanded);
    for (token, place) in [("TestTenant", "String"), ("run", "u8")] {
        assert!(places.contains(&(token.to_owned(), place.to_owned())), "{token}: {places:?}");
    }
}

/// Returns all names in the code, with the text that they are placed at.
fn places(code: proc_macro2::TokenStream) -> Vec<(String, String)> {
    code.into_iter()
        .flat_map(|token| match token {
            proc_macro2::TokenTree::Group(group) => places(group.stream()),
            proc_macro2::TokenTree::Ident(name) => {
                vec![(name.to_string(), name.span().source_text().unwrap_or_default())]
            }
            _ => Vec::new(),
        })
        .collect()
}

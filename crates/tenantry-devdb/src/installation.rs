//! Server binaries, regardless of their origin.

use crate::{
    Error,
    blocking::blocking,
    discover::{Binaries, Search},
};

/// Finds binaries on this machine; otherwise downloads them if the feature `download` is on.
pub(crate) async fn find() -> Result<Binaries, Error> {
    find_by(Search::this_machine()).await
}

async fn find_by(search: Search) -> Result<Binaries, Error> {
    let here = search.clone();
    if let Some(binaries) = blocking(move || here.newest()).await? {
        return Ok(binaries);
    }
    let mut tried = vec!["DATABASE_URL: not set, or unusable for a separate server".to_owned()];
    tried.extend(search.places());
    match download().await {
        Ok(binaries) => Ok(binaries),
        Err(problem) => {
            tried.push(format!("download: {problem}"));
            Err(Error::no_server(&tried))
        }
    }
}

#[cfg(feature = "download")]
use crate::download::download;

#[cfg(not(feature = "download"))]
async fn download() -> Result<Binaries, String> {
    Err("the feature `download` of tenantry-devdb is off".to_owned())
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Search, find_by};

    fn nowhere() -> Search {
        Search { pg_bin: None, path: OsString::new(), patterns: vec!["/nowhere/*/bin".into()] }
    }

    #[cfg(not(feature = "download"))]
    #[tokio::test]
    async fn one_error_says_what_was_tried_and_what_to_do() {
        let error = find_by(nowhere()).await.unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            for phrase in [
                "no PostgreSQL server is available",
                "- DATABASE_URL: not set",
                "- TENANTRY_PG_BIN: not set",
                "- PATH: no folder contains postgres, initdb, pg_ctl",
                "- pg_config --bindir: ",
                "- /nowhere/*/bin: does not exist",
                "- download: the feature `download` of tenantry-devdb is off",
                "- install PostgreSQL",
                "- set DATABASE_URL to a server",
                "- set TENANTRY_PG_BIN to the folder",
                "- enable the feature `download`",
            ] {
                assert!(text.contains(phrase), "{phrase:?} is not in {text}");
            }
        }
    }

    #[cfg(feature = "download")]
    #[tokio::test]
    #[ignore = "fetches some megabytes"]
    async fn what_is_not_on_this_machine_is_fetched_or_it_is_told_why_not() {
        match find_by(nowhere()).await {
            Ok(binaries) => assert!(binaries.program("initdb").is_file()),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("- download: https://github.com/"), "{text}");
            }
        }
    }
}

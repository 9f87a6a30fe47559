//! Drift: a fleet of 50 tenants, one of which was tampered with.
//!
//! Run it with `cargo run -p drift-and-clone`. It prints its steps and then exits.
//!
//! `drift URL A B` compares two schemas of a database instead, and exits with 0 if they are equal,
//! 1 if they differ, and 2 if the comparison failed. `repair URL A B` prints the SQL that makes B
//! like A. `clone URL A B [--data]` copies A to a new schema B, optionally with its rows;
//! `anonymize URL A B RULES.toml` also masks personal data.

mod fleet;
mod masks;
mod two;

use std::{env, process::ExitCode};

use tenantry::clone::CloneOptions;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [] => fleet::show().await.map(|()| ExitCode::SUCCESS),
        ["drift", url, expected, actual] => two::drift(url, expected, actual).await,
        ["repair", url, expected, actual] => two::show_repair(url, expected, actual).await,
        ["clone", url, from, to] => two::clone(url, from, to, CloneOptions::default()).await,
        ["clone", url, from, to, "--data"] => {
            two::clone(url, from, to, CloneOptions::default().data(true)).await
        }
        ["anonymize", url, from, to, rules] => match masks::read(rules) {
            Ok(rules) => two::clone(url, from, to, CloneOptions::default().anonymize(rules)).await,
            Err(error) => Err(error),
        },
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

const USAGE: &str = "usage: drift-and-clone [drift|repair URL A B] [clone URL A B [--data]] \
                     [anonymize URL A B RULES.toml]";

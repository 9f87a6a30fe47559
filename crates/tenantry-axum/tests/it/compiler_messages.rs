//! What the compiler says about the common mistakes.

use tenantry_acceptance::compiler_messages::Mistakes;

use crate::support::TestResult;

#[test]
fn say_what_to_do() -> TestResult {
    let mistakes = Mistakes {
        folder: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ui"),
        output: env!("CARGO_TARGET_TMPDIR"),
        crates: &["tenantry_axum", "tenantry", "axum", "sqlx"],
    };
    assert_eq!(mistakes.check()?, 9);
    Ok(())
}

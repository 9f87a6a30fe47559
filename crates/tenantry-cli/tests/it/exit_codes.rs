//! 0 is fine, 1 found problems, 2 could not run; `--strict` makes warnings problems.

use crate::support::Fleet;

#[tokio::test]
async fn a_sound_fleet_is_fine() {
    let fleet = Fleet::new().await;
    for command in [
        "config",
        "status --strict",
        "migrate --all --strict",
        "migrate --all --dry-run --strict",
        "migrate lint --strict",
        "tenant list",
        "tenant show acme",
        "drift",
        "schema export acme",
        "health --all --strict",
    ] {
        let ran = fleet.run(command).await;
        assert_eq!(ran.code, Some(0), "{command}: {ran:#?}");
        assert_eq!(ran.stderr, "", "{command}");
        assert!(!ran.stdout.is_empty(), "{command}");
    }
}

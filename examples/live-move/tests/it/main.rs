//! Runs the program as the README shows it.

use example_support::testing::{Program, works_as_shown};

#[test]
fn works_as_the_readme_shows() {
    works_as_shown(&Program::new(env!("CARGO_BIN_EXE_live-move")), env!("CARGO_MANIFEST_DIR"));
}

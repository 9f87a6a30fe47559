//! Where no server can be had, one error says what to do.

use crate::{
    child::{Running, command},
    folder::Folder,
};

#[test]
fn a_useless_pg_bin_is_told_and_nothing_else_is_tried() {
    let folder = Folder::new();
    let missing = folder.path().join("missing");
    for (place, problem) in
        [(folder.path(), "it does not contain postgres"), (&missing, "the folder does not exist")]
    {
        let mut child = Running::start(command("fails").env("TENANTRY_PG_BIN", place));
        let error = child.hear();
        for phrase in ["TENANTRY_PG_BIN is set to", place.to_str().unwrap(), problem] {
            assert!(error.contains(phrase), "{error}");
        }
        assert!(child.end());
    }
}

//! A file that is cut off or damaged changes nothing.

use tenantry::ErrorKind;

use super::{Login, Scene, beside};
use crate::support::TestResult;

/// Places in a file: around each line's beginning, and some between.
fn places(file: &[u8]) -> Vec<usize> {
    let near = |at: usize| (at.saturating_sub(2)..at + 2).collect::<Vec<_>>();
    let ends = file.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut places: Vec<_> = ends.flat_map(near).chain((0..file.len()).step_by(41)).collect();
    places.retain(|place| *place < file.len());
    places.sort_unstable();
    places.dedup();
    places
}

#[tokio::test]
async fn a_file_that_is_cut_off_anywhere_is_refused() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    let file = scene.export("acme").await;
    let mut told = Vec::new();
    for end in places(&file) {
        let error = scene.refusal(&file[..end], beside()).await;
        // A row that is cut off can be one that PostgreSQL does not understand.
        assert!(
            matches!(
                error.kind(),
                ErrorKind::RowsFile | ErrorKind::InvalidValue | ErrorKind::Database
            ),
            "{end}: {error}"
        );
        told.push(error.to_string());
    }
    for part in [
        "it is not a file with the rows of a tenant",
        "it is cut off before the end of its header",
        "it is cut off in the rows of table users",
        "it is cut off before the end of the line after the rows of a table",
        "it is cut off in the rows of table notes",
        "it is cut off before the end of its last line",
    ] {
        assert!(told.iter().any(|told| told.contains(part)), "{part}: {told:#?}");
    }
    assert_eq!(scene.rows("users").await, "acme 3");
    scene.restore("copy", &file, beside()).await?;
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_changed_anywhere_is_refused() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let file = scene.export("acme").await;
    for place in places(&file) {
        let mut changed = file.clone();
        changed[place] ^= if place % 2 == 0 { 1 } else { 0x80 };
        let error = scene.refusal(&changed, beside()).await;
        assert_ne!(error.kind(), ErrorKind::Unavailable, "{place}: {error}");
    }
    let longer = [&file[..], b"\n"].concat();
    let error = scene.refusal(&longer, beside()).await;
    assert!(error.to_string().ends_with("there is more after its last line"), "{error}");
    let other = [b"tenantry rows 2\n", &file[16..]].concat();
    let error = scene.refusal(&other, beside()).await;
    assert!(error.to_string().ends_with("its format is that of another version"), "{error}");
    assert_eq!(scene.rows("users").await, "acme 3");
    scene.manager.close().await;
    Ok(())
}

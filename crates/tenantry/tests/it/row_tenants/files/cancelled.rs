//! An export or a restore that is dropped, or whose file fails, leaves nothing behind.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tenantry::{ErrorKind, rows::ExportOptions};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    time::timeout,
};

use super::{Login, Scene, beside};
use crate::support::{TestResult, eventually, observe, run};

/// A file whose rest cannot be read or written.
struct Failing;

impl AsyncRead for Failing {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::Error::other("the disk is gone")))
    }
}

impl AsyncWrite for Failing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::Error::other("the disk is full")))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A file whose rest never comes.
struct Silent;

impl AsyncRead for Silent {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

/// Waits until no session is in a transaction or copies.
async fn is_at_rest(scene: &mut Scene) {
    let busy = "select count(*)::text from pg_stat_activity where datname = current_database() \
                and pid <> pg_backend_pid() and application_name like 'tenantry/%' and state <> 'idle'";
    let admin = &mut scene.admin;
    eventually("all sessions are idle", async || observe(&mut *admin, busy).await == "Some(\"0\")")
        .await;
}

#[tokio::test]
async fn a_restore_that_is_dropped_or_fails_leaves_nothing() -> TestResult {
    let mut scene = Scene::new(Login::Owner).await;
    scene.create(&["acme"]).await;
    let file = scene.export("acme").await;
    for end in [20, file.len() / 2, file.len() - 90, file.len() - 1] {
        let provisioner = scene.provisioner();
        let restore = provisioner.restore_rows("copy", file[..end].chain(Silent), beside());
        let cut = timeout(Duration::from_millis(200), restore).await;
        assert!(cut.is_err(), "{end}");
        is_at_rest(&mut scene).await;
        let failing = file[..end].chain(Failing);
        let failed = scene.provisioner().restore_rows("copy", failing, beside()).await.unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::RowsFile);
        assert_eq!(format!("{failed:?}").matches("the disk is gone").count(), 1, "{failed:?}");
        is_at_rest(&mut scene).await;
        assert_eq!(scene.rows("users").await, "acme 3");
        assert_eq!(
            scene.manager.tenant("copy").await.unwrap_err().kind(),
            ErrorKind::UnknownTenant
        );
    }
    scene.restore("copy", &file, beside()).await?;
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_export_that_is_dropped_or_fails_frees_its_session() -> TestResult {
    let mut scene = Scene::new(Login::Superuser).await;
    scene.create(&["acme"]).await;
    let acme = scene.manager.tenant("acme").await?;
    let many =
        "insert into users (id, name) select n, repeat('x', 500) from generate_series(10, 60000) n";
    run(&acme, many).await;
    let options = ExportOptions::default;
    let failed = scene.provisioner().export_rows("acme", Failing, options()).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::RowsFile);
    assert!(format!("{failed:?}").contains("the disk is full"), "{failed:?}");
    is_at_rest(&mut scene).await;
    let (writer, _reader) = tokio::io::duplex(64);
    let provisioner = scene.provisioner();
    let export = provisioner.export_rows("acme", writer, options());
    assert!(timeout(Duration::from_millis(500), export).await.is_err());
    is_at_rest(&mut scene).await;
    // The tables are not locked any longer.
    run(&mut scene.admin, "set lock_timeout = '2s'; alter table app.users add column more text")
        .await;
    scene.manager.close().await;
    Ok(())
}

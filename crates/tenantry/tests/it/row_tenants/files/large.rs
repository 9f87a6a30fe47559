//! Many rows, and writers during an export.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tenantry::{
    provision::CreateOptions,
    rows::{ExportOptions, RestoreOptions},
};
use tokio::io::AsyncReadExt;

use super::{Login, Scene};
use crate::support::{TestResult, eventually, observe, run};

const ROWS: u64 = 100_000;

async fn with_many(login: Login) -> Scene {
    let scene = Scene::new(login).await;
    scene.provisioner().create("acme", CreateOptions::default()).await.expect("it is new");
    let acme = scene.manager.tenant("acme").await.expect("it was created");
    let sql = format!(
        "insert into users (id, name, boss) select n, repeat(md5(n::text), 5), 1 from generate_series(1, {ROWS}) n"
    );
    run(&acme, &sql).await;
    run(&acme, "insert into notes (user_id) select id from users").await;
    scene
}

#[tokio::test]
async fn many_rows_pass_through_a_narrow_pipe() -> TestResult {
    let mut scene = with_many(Login::Owner).await;
    let (writer, reader) = tokio::io::duplex(1024);
    let (told, disordered) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let (tell, is_disordered) = (Arc::clone(&told), Arc::clone(&disordered));
    let provisioner = scene.provisioner();
    let export = ExportOptions::default().on_progress(move |progress| {
        let goes_back = tell.swap(progress.rows, Ordering::Relaxed) > progress.rows;
        let is_wrong = goes_back || progress.tables > 2 || progress.tables_total != 2;
        is_disordered.fetch_or(is_wrong, Ordering::Relaxed);
    });
    let restore = RestoreOptions::default().new_ids(true).on_progress(|_| panic!("it is caught"));
    let (exported, restored) = tokio::join!(
        // It is dropped at the end, which closes the pipe.
        async { provisioner.export_rows("acme", writer, export).await },
        provisioner.restore_rows("copy", reader, restore),
    );
    let (exported, restored) = (exported?, restored?);
    assert_eq!((exported.rows(), restored.rows()), (2 * ROWS, 2 * ROWS));
    assert_eq!(told.load(Ordering::Relaxed), 2 * ROWS);
    assert!(!disordered.load(Ordering::Relaxed));
    assert!(exported.bytes > 17_000_000, "{exported}");
    assert_eq!(scene.rows("users").await, format!("acme {ROWS}, copy {ROWS}"));
    assert_eq!(scene.rows("notes").await, format!("acme {ROWS}, copy {ROWS}"));
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn rows_wait_at_the_server_until_there_is_room() -> TestResult {
    let mut scene = with_many(Login::Superuser).await;
    let (writer, mut reader) = tokio::io::duplex(1024);
    let provisioner = scene.provisioner();
    let export = tokio::spawn(async move {
        provisioner.export_rows("acme", writer, ExportOptions::default()).await
    });
    let mut first = [0; 16];
    reader.read_exact(&mut first).await?;
    assert_eq!(&first, b"tenantry rows 1\n");
    // The server cannot send the rest: this process does not take it.
    let waits = "select count(*)::text from pg_stat_activity where datname = current_database() \
                 and query like 'copy (select%' and wait_event = 'ClientWrite'";
    let admin = &mut scene.admin;
    eventually("the server waits", async || observe(&mut *admin, waits).await == "Some(\"1\")")
        .await;
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await?;
    let report = export.await??;
    assert_eq!(report.bytes, rest.len() as u64 + 16);
    scene.manager.close().await;
    Ok(())
}

#[tokio::test]
async fn an_export_has_one_state_of_all_tables_while_others_write() -> TestResult {
    let scene = Scene::new(Login::Owner).await;
    scene.provisioner().create("acme", CreateOptions::default()).await?;
    let acme = scene.manager.tenant("acme").await?;
    let stop = Arc::new(AtomicBool::new(false));
    let writers = (0..3).map(|writer| {
        let (acme, stop) = (acme.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut at = writer;
            while !stop.load(Ordering::Relaxed) {
                let mut tx = acme.begin().await.expect("the server is running");
                let user = format!("insert into users (id, name) values ({at}, 'x')");
                run(&mut *tx, &user).await;
                run(&mut *tx, &format!("insert into notes (user_id) values ({at})")).await;
                tx.commit().await.expect("nothing is in the way");
                at += 3;
            }
            at
        })
    });
    let writers: Vec<_> = writers.collect();
    let (provisioner, mut last) = (scene.provisioner(), 0);
    for round in 0..20 {
        let mut file = Vec::new();
        let exported = provisioner.export_rows("acme", &mut file, ExportOptions::default());
        let report = exported.await?;
        assert_eq!(report.tables[0].rows, report.tables[1].rows, "{round}: {report}");
        assert!(report.rows() >= last, "{round}");
        last = report.rows();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await?;
    }
    assert!(last > 40, "the writers were at work: {last}");
    scene.manager.close().await;
    Ok(())
}

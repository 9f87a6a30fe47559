//! A target without room: the move is undone, and succeeds once there is room.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tenantry::moves::{MoveMethod, MoveOptions};
use tenantry_devdb::DevServer;

use super::{Two, is_undone, options, replicated::logical, value};
use crate::support::{TestResult, connect, run, server_version, skip};

/// A small file system, in which a server has its database.
struct Small(PathBuf);

impl Small {
    /// `None` where none can be mounted, which takes root.
    async fn of(server: &DevServer) -> Option<Self> {
        let home = std::env::temp_dir().join(format!("tenantry-small-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&home).expect("a folder can be created");
        let small = Self(home);
        if !mount(&small.0, "size=20m") {
            skip("a full target of a move: no file system can be mounted, which takes root");
            return None;
        }
        let tables = small.tables();
        std::fs::create_dir(&tables).expect("it has room for that");
        let owner = server.data_dir();
        let reference = format!("--reference={}", owner.display());
        for program in [["chown", &reference], ["chmod", "0700"]] {
            let changed = Command::new(program[0]).arg(program[1]).arg(&tables).status();
            assert!(changed.is_ok_and(|status| status.success()), "{program:?}");
        }
        open_to_all(&small.0);
        let mut conn = connect(&server.database_url("template1")).await;
        run(&mut conn, &format!("create tablespace small location '{}'", tables.display())).await;
        run(&mut conn, "alter database postgres set tablespace small").await;
        Some(small)
    }

    fn tables(&self) -> PathBuf {
        self.0.join("tables")
    }

    fn grow(&self) {
        assert!(mount(&self.0, "remount,size=200m"), "it can grow");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("--lazy").arg(&self.0).output());
        drop(std::fs::remove_dir(&self.0));
    }
}

fn mount(at: &Path, options: &str) -> bool {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
    mount.output().is_ok_and(|output| output.status.success())
}

fn open_to_all(folder: &Path) {
    let changed = Command::new("chmod").arg("0755").arg(folder).status();
    assert!(changed.is_ok_and(|status| status.success()), "it can be entered");
}

async fn moves_once_there_is_room(two: Two, told: &str, options: MoveOptions) -> TestResult {
    let Some(small) = Small::of(&two.eu).await else { return Ok(()) };
    run(
        &mut two.at_main().await,
        "create table tenant_acme.big (id int primary key, line text); \
         insert into tenant_acme.big select n, repeat(md5(n::text), 30) from generate_series(1, 20000) n",
    )
    .await;
    let manager = two.manager();
    let moved = manager.mover().move_tenant("acme", "eu-1", options.clone()).await;
    let error = format!("{:?}", moved.expect_err("there is no room"));
    assert!(error.contains(told), "{error}");
    is_undone(&two, &manager, "acme").await;
    small.grow();
    manager.mover().move_tenant("acme", "eu-1", options).await?;
    let big = "select count(*) from tenant_acme.big";
    assert_eq!(value(&mut two.at_eu().await, big).await, "20000");
    manager.close().await;
    drop(two);
    drop(small);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_under_the_fence_is_undone_when_the_target_is_full() -> TestResult {
    let two = Two::with(&["acme"]).await;
    moves_once_there_is_room(
        two,
        "the table big of the copy: SQLSTATE 53100, the server's disk is full",
        options(),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replicated_move_is_undone_when_the_target_is_full() -> TestResult {
    let two = logical(&["acme"]).await;
    if server_version(&mut two.at_eu().await).await < 15 {
        // Failures are not counted, and a copy that does not advance is given up after a minute.
        skip("a full target of a replicated move: PostgreSQL is older than 15");
        return Ok(());
    }
    run(&mut two.at_eu().await, "alter system set wal_retrieve_retry_interval = '200ms'").await;
    run(&mut two.at_eu().await, "select pg_reload_conf()").await;
    let options = options().method(MoveMethod::Replication);
    let told = "times to copy the tenant's rows; its log says why";
    moves_once_there_is_room(two, told, options).await
}

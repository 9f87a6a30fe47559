//! A server is killed at each point of a move, and comes back: no acknowledged write is lost, and the move ends in done or
//! undone.

use std::time::Duration;

use tenantry::{
    IsolationKind, TenantManager,
    moves::{Destination, MoveMethod, MoveStage},
    provision::CreateOptions,
};
use tenantry_devdb::DevServer;

use super::{
    failures::halting_at,
    kinds::{Scene, own_rows},
    kinds_killed::STAGES,
    latest,
    load::Writers,
    value,
};
use crate::{
    sampling,
    support::{TestResult, eventually_within},
};

/// How a tenant moves, and what is killed when.
#[derive(Debug, Clone, Copy)]
struct Case {
    method: MoveMethod,
    from: &'static str,
    to: &'static str,
    /// The catalog is on the main server, which is the source or the target.
    victim: &'static str,
    stage: MoveStage,
    is_worked_off: bool,
}

fn cases(method: MoveMethod) -> Vec<Case> {
    let is_live = |stage| [MoveStage::Copying, MoveStage::CatchingUp].contains(&stage);
    let mut cases = Vec::new();
    for stage in STAGES.into_iter().filter(|of| method != MoveMethod::UnderFence || !is_live(*of)) {
        for is_worked_off in [false, true] {
            for (from, to) in [("main", "eu-1"), ("eu-1", "main")] {
                for victim in [from, to] {
                    cases.push(Case { method, from, to, victim, stage, is_worked_off });
                }
            }
        }
    }
    cases
}

async fn server_dies(method: MoveMethod, kind: IsolationKind) -> TestResult {
    let scene = Scene::new(&[("wal_level", "logical"), ("max_wal_senders", "10")]).await;
    // Neighbours in the list differ in what is killed, so a step must not leave one of them out.
    let (first, every) = sampling::every(7);
    for (nth, case) in cases(method).into_iter().enumerate().skip(first).step_by(every) {
        case.run(&scene, &format!("t{nth}"), kind).await?;
    }
    scene.others_are_untouched().await;
    for server in ["main", "eu-1"] {
        let mut admin = scene.at(server).await;
        for left in [
            "pg_publication",
            "pg_replication_slots",
            "pg_subscription",
            "pg_namespace where nspname like 'tenantry\\_moved\\_%\\_log'",
            "pg_trigger where tgname like 'tenantry\\_moved\\_%'",
        ] {
            let count = format!("select count(*) from {left}");
            assert_eq!(value(&mut admin, &count).await, "0", "{server}: {left}");
        }
    }
    scene.manager.close().await;
    Ok(())
}

impl Case {
    async fn run(self, scene: &Scene, tenant: &str, kind: IsolationKind) -> TestResult {
        let options = CreateOptions::default().isolation(kind).server(self.from);
        scene.provisioner().create(tenant, options).await?;
        scene.fill(tenant).await;
        let stale = scene.stale();
        let writers = Writers::start(&[scene.manager.clone(), stale.clone()], tenant, 1, true);
        let options = scene.options().method(self.method);
        let (options, mut halted, go_on) = halting_at((self.stage, self.is_worked_off), options);
        let mover = scene.manager.mover();
        let to = Destination::server(self.to).isolated_by(IsolationKind::Schema);
        let id = tenant.to_owned();
        let moving = tokio::spawn(async move { mover.move_tenant(id, to, options).await });
        halted().await;
        let victim: &DevServer = if self.victim == "main" { &scene.main } else { &scene.eu };
        victim.stop_now().await?;
        drop(go_on);
        tokio::time::sleep(Duration::from_millis(400)).await;
        victim.start_again().await?;
        let result = moving.await?;
        eventually_within(Duration::from_secs(60), "the move is over", async || {
            drop(scene.manager.mover().take_over().await);
            let moves = scene.manager.mover().list().await;
            moves.is_ok_and(|moves| moves.first().is_some_and(|of| of.stage.is_over()))
        })
        .await;
        let ended = latest(&scene.manager).await;
        if result.is_ok() {
            assert_eq!(ended.stage, MoveStage::Done, "{self:?}: {ended:?}");
        }
        self.is_served(scene, tenant).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let written = writers.stop().await;
        let db = scene.manager.tenant(tenant).await?;
        let is = if ended.stage == MoveStage::Done { self.to } else { self.from };
        assert_eq!(db.tenant().placement().server(), is, "{self:?}: {ended:?}");
        let found: i64 = sqlx::query_scalar("select count(*) from users where id >= 1000")
            .fetch_one(&db)
            .await?;
        let (least, most) = (written.acknowledged, written.acknowledged + written.in_doubt);
        let found = u64::try_from(found)?;
        assert!((least..=most).contains(&found), "{self:?}: {found} of {least} to {most}");
        for manager in [&scene.manager, &stale] {
            let seen = own_rows(manager, tenant).await;
            assert_eq!(seen, format!("{tenant} two a b {tenant}"), "{self:?}");
        }
        stale.close().await;
        Ok(())
    }

    async fn is_served(self, scene: &Scene, tenant: &str) {
        let answers = async |manager: &TenantManager| {
            let Ok(db) = manager.tenant(tenant).await else { return false };
            sqlx::query("select from users").execute(&db).await.is_ok()
        };
        eventually_within(Duration::from_secs(20), "it is served", async || {
            answers(&scene.manager).await
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_dies_during_a_copy_under_the_fence() -> TestResult {
    server_dies(MoveMethod::UnderFence, IsolationKind::Schema).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_dies_during_replication() -> TestResult {
    server_dies(MoveMethod::Replication, IsolationKind::Schema).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_server_dies_while_changes_are_logged() -> TestResult {
    server_dies(MoveMethod::ChangeLog, IsolationKind::Row).await
}

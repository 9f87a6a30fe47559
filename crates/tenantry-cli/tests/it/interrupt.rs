//! Ctrl-C and SIGTERM end a command as cleanly as the library can, and say what was not done.

use std::{process, time::Duration};

use sqlx::PgConnection;
use tokio::{io::AsyncReadExt, process::Child, time};

use crate::support::{Fleet, Ran, eventually, execute, value};

/// A command that hangs at a lock.
struct Hanging {
    child: Child,
    /// What it has said on standard error.
    said: String,
}

impl Hanging {
    /// Starts a command, and waits until that many sessions of it wait for a lock.
    async fn start(fleet: &Fleet, admin: &mut PgConnection, command: &str, waiting: &str) -> Self {
        Self::start_words(fleet, admin, command.split(' '), waiting).await
    }

    async fn start_words<'w>(
        fleet: &Fleet,
        admin: &mut PgConnection,
        words: impl IntoIterator<Item = &'w str>,
        waiting: &str,
    ) -> Self {
        let child = fleet.tenantry(words).command.spawn().unwrap();
        let sql = "select count(*) from pg_stat_activity where datname = current_database() \
                   and wait_event_type = 'Lock'";
        eventually("the command waits", async || value(admin, sql).await == waiting).await;
        Self { child, said: String::new() }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let sent = process::Command::new("kill").args(["-s", name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    /// Sends the first signal, and waits until the command says that it has heard it.
    async fn ask_to_stop(&mut self, signal: &str) {
        self.signal(signal);
        let stderr = self.child.stderr.as_mut().unwrap();
        while !self.said.ends_with('\n') {
            let mut byte = [0];
            assert_eq!(stderr.read(&mut byte).await.unwrap(), 1, "{}", self.said);
            self.said.push(char::from(byte[0]));
        }
        assert!(self.said.starts_with("stopping: "), "{}", self.said);
    }

    async fn end(self) -> Ran {
        let output = time::timeout(Duration::from_secs(20), self.child.wait_with_output());
        let output = output.await.expect("the command ends").unwrap();
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: format!("{}{}", self.said, String::from_utf8(output.stderr).unwrap()),
        }
    }
}

/// A fleet, and a session that holds a lock, so that what asks for it waits.
async fn gate() -> (Fleet, PgConnection, PgConnection) {
    let fleet = Fleet::new().await;
    let (admin, mut holder) = (fleet.admin().await, fleet.admin().await);
    execute(&mut holder, "begin; select pg_advisory_xact_lock(7)").await;
    (fleet, admin, holder)
}

#[tokio::test]
async fn a_run_of_migrations_ends_with_the_tenants_under_way() {
    for signal in ["INT", "TERM"] {
        let (fleet, mut admin, mut holder) = gate().await;
        fleet.add_migration("0003_gate", "select pg_advisory_xact_lock(7); create table done ();");
        let command = "migrate --all --concurrency 1 --lock-timeout 30s";
        let mut hanging = Hanging::start(&fleet, &mut admin, command, "1").await;
        hanging.ask_to_stop(signal).await;
        // The library lets the tenant that it is at come to its end.
        execute(&mut holder, "commit").await;
        let ran = hanging.end().await;
        assert_eq!(ran.code, Some(2), "{ran:#?}");
        let ran = ran.says("stopping").says("1 of 3 tenants migrated").says("2 not started");
        drop(ran);
        let done = "select count(*) from pg_tables where tablename = 'done'";
        assert_eq!(value(&mut admin, done).await, "1");
        fleet.run("migrate --all").await.ended_with(0).says("2 of 3 tenants migrated");
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (fleet, mut admin, _holder) = gate().await;
    fleet.add_migration("0003_gate", "select pg_advisory_xact_lock(7); create table done ();");
    let command = "migrate --all --concurrency 1 --lock-timeout 30s";
    let mut hanging = Hanging::start(&fleet, &mut admin, command, "1").await;
    hanging.ask_to_stop("INT").await;
    hanging.signal("INT");
    assert_eq!(hanging.end().await.code, Some(130));
    // The server notices that its client is gone, and nothing is left of the file.
    let sessions = "select count(*) from pg_stat_activity where datname = current_database() \
                    and application_name like 'tenantry/%' and wait_event_type is distinct from 'Lock'";
    eventually("its sessions end", async || value(&mut admin, sessions).await == "0").await;
    let done = "select count(*) from pg_tables where tablename = 'done'";
    assert_eq!(value(&mut admin, done).await, "0");
}

#[tokio::test]
async fn seeds_clones_and_comparisons_are_given_up_and_leave_nothing_half_done() {
    let (fleet, mut admin, mut holder) = gate().await;
    fleet.folder.write(
        "seeds/slow.sql",
        "insert into users (email) values ('x@y'); select pg_advisory_xact_lock(7);",
    );
    let hanging = Hanging::start(&fleet, &mut admin, "seed admin slow --tenant acme", "1").await;
    hanging.signal("TERM");
    let ran = hanging.end().await.ended_with(2);
    ran.says("interrupted: 1 of 2 seeds were complete; slow is incomplete");
    let emails = "select string_agg(email, ',') from tenant_acme.users";
    assert_eq!(value(&mut admin, emails).await, "admin@example.com");

    execute(&mut holder, "rollback; begin; lock table tenant_acme.users").await;
    let hanging = Hanging::start(&fleet, &mut admin, "tenant clone acme copy --data", "1").await;
    hanging.signal("INT");
    hanging.end().await.ended_with(2).says("interrupted: the tenant was not cloned");
    execute(&mut holder, "rollback").await;
    eventually("the copy is gone", async || {
        value(&mut admin, "select count(*) from pg_namespace where nspname = 'tenant_copy'").await
            == "0"
    })
    .await;
    fleet.run("tenant show copy").await.ended_with(2);
    fleet.run("tenant clone acme copy --data").await.ended_with(0);

    execute(&mut holder, "begin; lock table pg_catalog.pg_attrdef").await;
    let hanging = Hanging::start(&fleet, &mut admin, "drift", "1").await;
    hanging.signal("INT");
    let ran = hanging.end().await.ended_with(2);
    assert!(ran.stdout.is_empty(), "{ran:?}");
    ran.says("interrupted: the comparison did not finish");
    execute(&mut holder, "rollback").await;
}

#[tokio::test]
async fn a_statement_over_all_tenants_tells_which_it_did_not_reach() {
    let (fleet, mut admin, mut holder) = gate().await;
    let sql = "select pg_advisory_xact_lock(7)";
    let words = ["sql", "--concurrency", "1", "--lock-timeout", "30s", sql];
    let mut hanging = Hanging::start_words(&fleet, &mut admin, words, "1").await;
    hanging.ask_to_stop("INT").await;
    execute(&mut holder, "rollback").await;
    hanging.end().await.ended_with(2).says("1 of 3 done").says("2 not started");
}

use futures_util::FutureExt;

use super::Settings;
use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck, Severity},
    error::Error,
};

/// Server settings that can lose data or hide what happens.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "settings",
    title: "Server settings",
    reads: "the settings of the server",
    look: |on| look(on).boxed(),
};

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let settings = on.settings().await?;
    let asked = sqlx::query_scalar(PENDING).persistent(false).fetch_all(on.system()).await;
    let pending: Vec<String> = asked?;
    let examined = judge(settings);
    if pending.is_empty() {
        return Ok(examined);
    }
    let what = format!("settings wait for a restart: {}", pending.join(", "));
    let why = "the server still uses the old values, and the next restart applies the new ones unexpectedly";
    Ok(examined.finding(Finding::info(what, why).how("schedule a restart of the server")))
}

fn judge(settings: &Settings) -> Examined {
    let mut examined = Examined::ok("nothing that loses data");
    if settings.is_off("track_activities") {
        examined = examined.unseen("what sessions do: track_activities is off");
    }
    if settings.is_off("track_counts") {
        examined = examined.unseen("dead rows and use of tables: track_counts is off");
    }
    let found: Vec<_> = [dangerous(settings), less_safe(settings)].concat();
    if let Some(first) = found.iter().find(|finding| finding.severity > Severity::Info) {
        examined.message.clone_from(&first.what);
    }
    examined.findings(found)
}

/// Settings that lose or damage data.
fn dangerous(settings: &Settings) -> Vec<Finding> {
    let error = |what, why, how: &str| Finding::error(what, why).how(how);
    let found = [
        settings.is_off("fsync").then(|| {
            let why = "a crash of the machine damages the database beyond repair";
            error("fsync is off", why, "turn fsync on, unless the server is a throwaway")
        }),
        settings.is_off("full_page_writes").then(|| {
            let why = "a crash in the middle of a write damages pages, unless the file system writes pages as a whole";
            error("full_page_writes is off", why, "turn full_page_writes on, unless the server is a throwaway")
        }),
        settings.is_on("zero_damaged_pages").then(|| {
            let why = "pages that are damaged are emptied instead of being reported";
            error("zero_damaged_pages is on", why, "turn zero_damaged_pages off, and restore from a backup")
        }),
        settings.is_on("ignore_system_indexes").then(|| {
            let why = "look-ups in the catalogs scan whole tables, and the indexes may be damaged";
            error("ignore_system_indexes is on", why, "turn ignore_system_indexes off, and reindex the system catalogs")
        }),
    ];
    found.into_iter().flatten().collect()
}

/// Settings that can lose something, or are out of date.
fn less_safe(settings: &Settings) -> Vec<Finding> {
    let found = [
        settings.is_off("synchronous_commit").then(|| {
            let why = "the last confirmed commits are lost when the server crashes";
            Finding::info("synchronous_commit is off", why)
                .how("turn synchronous_commit on where that must not happen")
        }),
        (settings.text("password_encryption") == Some("md5")).then(|| {
            let why = "MD5 hashes can be cracked, and a stolen hash is enough to log in";
            Finding::warning("password_encryption is md5", why)
                .how("change password_encryption to scram-sha-256, and set the passwords again")
        }),
        (settings.text("wal_level") == Some("minimal")).then(|| {
            let why = "neither a standby nor a backup to a point in time is possible";
            Finding::info("wal_level is minimal", why)
                .how("change wal_level to replica, and take base backups")
        }),
        settings.is_off("data_checksums").then(|| {
            let why = "reads do not detect pages that a disk has damaged";
            Finding::info("data checksums are off", why)
                .how("turn data checksums on with pg_checksums while the server is stopped")
        }),
    ];
    found.into_iter().flatten().collect()
}

const PENDING: &str = "\
    select s.name from pg_catalog.pg_settings s where s.pending_restart order by 1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn settings_are_judged() {
        for (setting, status) in [
            (("fsync", "off"), CheckStatus::Error),
            (("fsync", "on"), CheckStatus::Ok),
            (("full_page_writes", "off"), CheckStatus::Error),
            (("zero_damaged_pages", "on"), CheckStatus::Error),
            (("ignore_system_indexes", "on"), CheckStatus::Error),
            (("password_encryption", "md5"), CheckStatus::Warn),
            (("synchronous_commit", "off"), CheckStatus::Ok),
            (("track_counts", "off"), CheckStatus::Unknown),
            (("track_activities", "off"), CheckStatus::Unknown),
        ] {
            assert_eq!(judge(&Settings::from([setting])).status(), status, "{setting:?}");
        }
    }
}

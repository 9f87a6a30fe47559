use std::time::SystemTime;

use futures_util::FutureExt;
use jiff::{Timestamp, civil::Date, tz::Offset};

use crate::{
    doctor::{Examined, Finding, OnServer, ServerCheck},
    error::Error,
};

/// Until when the major version is supported.
pub(super) const CHECK: ServerCheck = ServerCheck {
    name: "versionEndOfLife",
    title: "PostgreSQL support",
    reads: "the version",
    look: |on| look(on).boxed(),
};

/// The last release of each major version, from <https://www.postgresql.org/support/versioning/>.
const LAST_RELEASES: [(i32, Date); 5] = [
    (14, Date::constant(2026, 11, 12)),
    (15, Date::constant(2027, 11, 11)),
    (16, Date::constant(2028, 11, 9)),
    (17, Date::constant(2029, 11, 8)),
    (18, Date::constant(2030, 11, 14)),
];

/// How many days before its end of life a version is reported.
const SOON: i32 = 180;

async fn look(on: OnServer<'_>) -> Result<Examined, Error> {
    let version = on.version().await?;
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    Ok(judge(version.major(), Offset::UTC.to_datetime(now).date()))
}

fn judge(major: i32, today: Date) -> Examined {
    let Some((_, last)) = LAST_RELEASES.iter().find(|(version, _)| *version == major) else {
        let oldest = LAST_RELEASES[0].0;
        return match major < oldest {
            true => Examined::ok(format!("PostgreSQL {major} is no longer supported"))
                .finding(ended(major)),
            false => {
                Examined::ok(format!("PostgreSQL {major} is newer than this release of tenantry"))
            }
        };
    };
    let days = (*last - today).get_days();
    let examined = Examined::ok(format!("PostgreSQL {major} is supported until {last}"));
    match days {
        ..0 => Examined::ok(format!("PostgreSQL {major} was supported until {last}"))
            .finding(ended(major)),
        0..SOON => {
            let what =
                format!("PostgreSQL {major} gets its last release on {last}, in {days} days");
            let why = "after that, security holes are no longer fixed";
            examined.finding(Finding::info(what, why).how(UPGRADE))
        }
        _ => examined,
    }
}

const UPGRADE: &str =
    "plan the upgrade to a newer major version (pg_upgrade, or logical replication)";

fn ended(major: i32) -> Finding {
    let what = format!("PostgreSQL {major} receives no more bug fixes");
    Finding::warning(what, "security holes and bugs that lose data are no longer fixed")
        .how(UPGRADE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckStatus;

    #[test]
    fn a_version_ends_on_its_day() {
        let date = |year, month, day| Date::constant(year, month, day);
        for (major, today, status, findings) in [
            (13, date(2026, 1, 1), CheckStatus::Warn, 1),
            (14, date(2026, 1, 1), CheckStatus::Ok, 0),
            (14, date(2026, 6, 1), CheckStatus::Ok, 1),
            (14, date(2026, 11, 12), CheckStatus::Ok, 1),
            (14, date(2026, 11, 13), CheckStatus::Warn, 1),
            (18, date(2026, 11, 13), CheckStatus::Ok, 0),
            (19, date(2026, 11, 13), CheckStatus::Ok, 0),
        ] {
            let examined = judge(major, today);
            assert_eq!(
                (examined.status(), examined.findings.len()),
                (status, findings),
                "{major} {today}"
            );
        }
    }
}

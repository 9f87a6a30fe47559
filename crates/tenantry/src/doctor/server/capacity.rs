//! The number of connections that the server has for the manager's role.

use crate::{
    doctor::{Finding, OnServer, text::counted},
    error::Error,
    sql::Sql,
};

/// The limits of a server that concern one role in one database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Capacity {
    /// `max_connections` of the server.
    most: i64,
    /// `superuser_reserved_connections`, and `reserved_connections` from PostgreSQL 16 on.
    reserved: i64,
    /// `rolconnlimit`; a negative value means no limit.
    of_role: i64,
    /// `datconnlimit`; a negative value means no limit.
    of_database: i64,
    /// Sessions of other programs.
    others: i64,
    superuser: bool,
}

/// The number of connections that the services need.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand {
    pub(super) budget: usize,
    pub(super) instances: usize,
}

impl Demand {
    fn total(self) -> i64 {
        i64::try_from(self.budget.saturating_mul(self.instances)).unwrap_or(i64::MAX)
    }

    /// Returns how many of some connections each instance can have.
    fn per_instance(self, connections: i64) -> i64 {
        connections.max(0) / i64::try_from(self.instances).unwrap_or(i64::MAX).max(1)
    }

    fn in_words(self) -> String {
        let Self { budget, instances } = self;
        match instances {
            1 => format!("the budget is {}", counted(budget, "connection", "connections")),
            _ => format!(
                "{instances} instances with {budget} connections each need {}",
                self.total()
            ),
        }
    }
}

impl Capacity {
    pub(super) async fn read(on: OnServer<'_>) -> Result<Self, Error> {
        let settings = on.settings().await?;
        let asked = sqlx::query_as(LIMITS).persistent(false).fetch_one(on.system()).await;
        let (superuser, of_role, of_database, reserves, others): (bool, i32, i32, bool, i64) =
            asked?;
        let kept = if reserves { 0 } else { settings.number("reserved_connections") };
        let reserved = settings.number("superuser_reserved_connections") + kept;
        Ok(Self {
            most: settings.number("max_connections"),
            reserved: if superuser { 0 } else { reserved },
            of_role: of_role.into(),
            of_database: of_database.into(),
            others,
            superuser,
        })
    }

    /// Returns how many connections the role can have if there are no other sessions.
    pub(super) fn available(&self) -> i64 {
        let limits = [self.of_role, self.of_database].into_iter();
        let limits = limits.filter(|limit| *limit >= 0 && !self.superuser);
        limits.fold(self.most - self.reserved, i64::min)
    }

    /// Compares it with the demand of the services.
    pub(super) fn judge(&self, demand: Demand) -> Option<Finding> {
        let (available, free) = (self.available(), self.most - self.reserved - self.others);
        match demand.total() {
            wanted if wanted > available => Some(self.too_few(demand, available)),
            wanted if wanted > free => Some(self.too_busy(demand, free)),
            _ => None,
        }
    }

    /// Checks that the server itself keeps a budget that processes share: the limit of the role is
    /// not below it, and not above what the server has.
    pub(super) fn judge_wall(&self, budget: usize, role: &str) -> Option<Finding> {
        let total = i64::try_from(budget).unwrap_or(i64::MAX);
        let why = "the processes keep the budget among themselves; the limit of the role keeps it also after a failover \
                   or while many of them start at once";
        let what = match self.of_role {
            _ if self.superuser => {
                let what = format!("{role} is a superuser, to whom no connection limit applies");
                let how =
                    "serve requests as a role without SUPERUSER, and set its connection limit";
                return Some(Finding::info(what, why).how(how));
            }
            limit if limit < 0 => {
                format!("{role} has no connection limit, and shares a budget of {total}")
            }
            limit if limit > self.most - self.reserved => format!(
                "the connection limit of {role} is {limit}, and the server has {}",
                self.most - self.reserved
            ),
            _ => return None,
        };
        let mut sql = Sql::new("alter role ");
        sql.name(role).text(" connection limit ").integer(total);
        Some(
            Finding::info(what, why)
                .how("set the connection limit to the budget")
                .sql(sql.as_str()),
        )
    }

    /// The services need more than the server has.
    fn too_few(&self, demand: Demand, available: i64) -> Finding {
        let what = format!("{}, and the server has {available} for this role", demand.in_words());
        let why = "under load the server refuses connections (53300), including those of other programs and of \
                   administrators";
        let how = format!(
            "lower max_connections to {} per instance, or raise {}",
            demand.per_instance(available),
            self.tightest()
        );
        Finding::error(what, why).how(how)
    }

    /// The services need more than other programs leave.
    fn too_busy(&self, demand: Demand, free: i64) -> Finding {
        let what = format!(
            "{}, and other programs use {} of {} now",
            demand.in_words(),
            self.others,
            self.most - self.reserved
        );
        let why = "the server does not have enough connections for all of them: under load it refuses some (53300)";
        let how = format!(
            "lower max_connections to {} per instance, use fewer connections in the other programs, or raise \
             max_connections of the server",
            demand.per_instance(free)
        );
        Finding::warning(what, why).how(how)
    }

    /// Returns the limit that decides.
    fn tightest(&self) -> &'static str {
        let available = self.available();
        match self {
            _ if self.most - self.reserved == available => "max_connections of the server",
            _ if self.of_role == available => {
                "the connection limit of the role (alter role … connection limit)"
            }
            _ => "the connection limit of the database (alter database … connection limit)",
        }
    }
}

/// Superuser status, limit of the role, limit of the database, whether the role can use `reserved_connections`,
/// sessions of others. Processes of the server have no user.
const LIMITS: &str = "\
    select r.rolsuper, r.rolconnlimit, d.datconnlimit, \
      exists (select from pg_catalog.pg_roles p \
        where p.rolname operator(pg_catalog.=) 'pg_use_reserved_connections' \
        and pg_catalog.pg_has_role(r.oid, p.oid, 'usage')), \
      (select pg_catalog.count(*) from pg_catalog.pg_stat_activity a where a.usesysid is not null \
        and not pg_catalog.starts_with(a.application_name, 'tenantry')) \
    from pg_catalog.pg_roles r, pg_catalog.pg_database d \
    where r.rolname operator(pg_catalog.=) session_user \
    and d.datname operator(pg_catalog.=) pg_catalog.current_database()";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    #[test]
    fn the_limit_of_the_role_stands_behind_a_shared_budget() {
        let server =
            Capacity { most: 100, reserved: 3, of_role: -1, of_database: -1, ..Default::default() };
        let found = server.judge_wall(40, "app").unwrap();
        assert_eq!(found.sql, [r#"alter role "app" connection limit 40"#]);
        assert!(Capacity { of_role: 98, ..server.clone() }.judge_wall(40, "app").is_some());
        for of_role in [40, 97] {
            assert_eq!(Capacity { of_role, ..server.clone() }.judge_wall(40, "app"), None);
        }
        // Below the budget it is an error.
        let tight = Capacity { of_role: 30, ..server.clone() };
        let demand = Demand { budget: 40, instances: 1 };
        assert_eq!(tight.judge(demand).unwrap().severity, Severity::Error);
        let superuser = Capacity { superuser: true, ..server };
        assert_eq!(superuser.judge_wall(40, "app").unwrap().sql, [""; 0]);
    }

    #[test]
    fn the_tightest_limit_counts() {
        let server = Capacity {
            most: 100,
            reserved: 3,
            of_role: -1,
            of_database: -1,
            others: 0,
            superuser: false,
        };
        let of = |capacity: &Capacity, budget, instances| {
            let finding = capacity.judge(Demand { budget, instances });
            finding.map(|finding| (finding.severity, finding.how))
        };
        assert_eq!(of(&server, 20, 4), None);
        assert_eq!(of(&server, 97, 1), None);
        let (severity, how) = of(&server, 20, 5).unwrap();
        assert_eq!(severity, Severity::Error);
        assert!(
            how.starts_with("lower max_connections to 19 per instance, or raise max_connections"),
            "{how}"
        );
        let busy = Capacity { others: 60, ..server.clone() };
        let (severity, how) = of(&busy, 20, 2).unwrap();
        assert_eq!(severity, Severity::Warning);
        assert!(how.contains("to 18 per instance"), "{how}");
        let role = Capacity { of_role: 10, of_database: 50, ..server.clone() };
        assert!(of(&role, 20, 1).unwrap().1.contains("limit of the role"));
        let database = Capacity { of_database: 0, ..server.clone() };
        assert!(of(&database, 20, 1).unwrap().1.contains("limit of the database"));
        let superuser = Capacity { superuser: true, reserved: 0, of_role: 1, ..server };
        assert_eq!(of(&superuser, 100, 1), None);
    }
}

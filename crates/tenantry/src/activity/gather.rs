//! Aggregation of the server's sessions by application and tenant.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    ApplicationActivity, Blocked, SessionCounts, SlowStatement, TenantActivity, Unseen, Wait,
};
use crate::pool::application_name::{self, Named};

/// A session as listed by the server.
#[derive(Debug, Clone, Default)]
pub(super) struct Session {
    /// The name of its server, if there are several.
    pub(super) server: Option<Arc<str>>,
    /// Its database, if it is not the one in the URL of the server.
    pub(super) database: Option<Arc<str>>,
    pub(super) pid: i32,
    pub(super) name: String,
    pub(super) user: String,
    pub(super) state: Option<String>,
    /// The type of the wait event, and the event.
    pub(super) wait: Option<(String, String)>,
    pub(super) in_transaction: Option<Duration>,
    pub(super) in_statement: Option<Duration>,
    pub(super) blocked_by: Option<Vec<i32>>,
    /// The text of a slow statement.
    pub(super) text: Option<String>,
    /// `true` if it belongs to another role, so the server hides its details.
    pub(super) is_hidden: bool,
}

/// All results of the session list.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) sessions: SessionCounts,
    pub(super) applications: Vec<ApplicationActivity>,
    pub(super) tenants: Vec<TenantActivity>,
    pub(super) waits: Vec<Wait>,
    pub(super) blocked: Vec<Blocked>,
    pub(super) slow: Vec<SlowStatement>,
    pub(super) unseen: Vec<Unseen>,
}

/// Sums over some sessions.
#[derive(Debug, Default)]
struct Sums {
    sessions: SessionCounts,
    longest_transaction: Option<Duration>,
    longest_statement: Option<Duration>,
}

impl Session {
    fn is_active(&self) -> bool {
        matches!(self.state.as_deref(), Some("active" | "fastpath function call"))
    }

    fn named(&self) -> Named<'_> {
        let other = Named { application: &self.name, tenant: None, is_cut: false };
        application_name::read(&self.name).unwrap_or(other)
    }

    /// Returns its wait event while it runs a statement. An idle session waits for its client.
    fn waits_for(&self) -> Option<&(String, String)> {
        self.wait.as_ref().filter(|_| self.is_active())
    }

    fn tenant(&self) -> Option<String> {
        self.named().tenant.map(ToOwned::to_owned)
    }
}

impl Sums {
    fn add(&mut self, session: &Session) {
        let counts = &mut self.sessions;
        counts.total += 1;
        counts.waiting += usize::from(session.waits_for().is_some());
        match session.state.as_deref() {
            Some(state) if state.starts_with("idle in transaction") => {
                counts.idle_in_transaction += 1;
            }
            Some("idle") => counts.idle += 1,
            _ if session.is_active() => counts.active += 1,
            _ => counts.unknown += 1,
        }
        self.longest_transaction = self.longest_transaction.max(session.in_transaction);
        if session.is_active() {
            self.longest_statement = self.longest_statement.max(session.in_statement);
        }
    }
}

/// Counts sessions by state.
pub(super) fn count<'a>(sessions: impl IntoIterator<Item = &'a Session>) -> SessionCounts {
    let mut sums = Sums::default();
    sessions.into_iter().for_each(|session| sums.add(session));
    sums.sessions
}

/// The key of a tenant's sessions: id, whether it may be truncated, server, database.
type OfTenant<'a> = (&'a str, bool, Option<&'a Arc<str>>, Option<&'a Arc<str>>);

/// Aggregates sessions.
pub(super) fn gather(sessions: &[Session], most_slow: usize) -> Gathered {
    let mut all = Sums::default();
    let mut applications = BTreeMap::<_, Sums>::new();
    let mut tenants = BTreeMap::<OfTenant<'_>, Sums>::new();
    let mut waits = HashMap::<_, usize>::new();
    for session in sessions {
        let Named { application, tenant, is_cut } = session.named();
        all.add(session);
        let is_tenantry = application.starts_with(application_name::PREFIX);
        applications.entry((Reverse(is_tenantry), application)).or_default().add(session);
        if let Some(tenant) = tenant {
            let key = (tenant, is_cut, session.server.as_ref(), session.database.as_ref());
            tenants.entry(key).or_default().add(session);
        }
        if let Some(wait) = session.waits_for() {
            *waits.entry(wait).or_default() += 1;
        }
    }
    let mut gathered = Gathered {
        sessions: all.sessions,
        applications: applications.into_iter().map(of_application).collect(),
        tenants: tenants.into_iter().map(of_tenant).collect(),
        waits: by_frequency(waits),
        blocked: sessions.iter().filter_map(blocked).collect(),
        slow: slow(sessions, most_slow),
        unseen: Vec::new(),
    };
    gathered.unseen = unseen(sessions, &gathered);
    gathered
}

fn of_application(
    ((Reverse(is_tenantry), application), sums): ((Reverse<bool>, &str), Sums),
) -> ApplicationActivity {
    let Sums { sessions, longest_transaction, longest_statement } = sums;
    let application = application.to_owned();
    ApplicationActivity {
        application,
        is_tenantry,
        sessions,
        longest_transaction,
        longest_statement,
    }
}

fn of_tenant(((tenant, is_cut, server, database), sums): (OfTenant<'_>, Sums)) -> TenantActivity {
    let Sums { sessions, longest_transaction, longest_statement } = sums;
    TenantActivity {
        tenant_id: tenant.to_owned(),
        is_cut,
        server: server.cloned(),
        database: database.cloned(),
        sessions,
        longest_transaction,
        longest_statement,
    }
}

fn by_frequency(waits: HashMap<&(String, String), usize>) -> Vec<Wait> {
    let wait = |(wait, sessions): (&(String, String), usize)| {
        let (event_type, event) = wait.clone();
        Wait { event_type, event, sessions }
    };
    let mut waits: Vec<_> = waits.into_iter().map(wait).collect();
    waits.sort_by(|one, other| {
        let key =
            |wait: &Wait| (Reverse(wait.sessions), wait.event_type.clone(), wait.event.clone());
        key(one).cmp(&key(other))
    });
    waits
}

fn blocked(session: &Session) -> Option<Blocked> {
    let by = session.blocked_by.clone().filter(|by| !by.is_empty())?;
    Some(Blocked {
        server: session.server.clone(),
        database: session.database.clone(),
        pid: session.pid,
        application: session.named().application.to_owned(),
        tenant_id: session.tenant(),
        lock: session.wait.as_ref().map(|(_, lock)| lock.clone()).unwrap_or_default(),
        running: session.in_statement.unwrap_or_default(),
        by,
    })
}

fn slow(sessions: &[Session], most: usize) -> Vec<SlowStatement> {
    let statement = |session: &Session| {
        Some(SlowStatement {
            server: session.server.clone(),
            database: session.database.clone(),
            pid: session.pid,
            application: session.named().application.to_owned(),
            tenant_id: session.tenant(),
            user: session.user.clone(),
            running: session.in_statement?,
            wait: session.waits_for().map(|(of, event)| format!("{of}: {event}")),
            text: session.text.clone()?,
        })
    };
    let mut slow: Vec<_> = sessions.iter().filter_map(statement).collect();
    slow.sort_by_key(|statement| Reverse(statement.running));
    slow.truncate(most);
    slow
}

fn unseen(sessions: &[Session], gathered: &Gathered) -> Vec<Unseen> {
    let mut unseen = Vec::new();
    let mut hidden = BTreeMap::<_, usize>::new();
    for session in sessions.iter().filter(|session| session.is_hidden) {
        *hidden.entry(&session.server).or_default() += 1;
    }
    for (server, hidden) in hidden {
        let why = "the role cannot see sessions of other roles: grant pg_read_all_stats to it";
        let what = format!("the activity of {hidden} sessions of other roles");
        unseen.push(Unseen::new(what, why).on(server.clone()));
    }
    let is_ours = |of: &ApplicationActivity| of.is_tenantry;
    if gathered.tenants.is_empty() && gathered.applications.iter().any(is_ours) {
        let why = "no session is named after its tenant: turn on PoolOptions::name_tenants, or read a service's \
                   metrics";
        unseen.push(Unseen::new("the tenants of sessions", why));
    }
    unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, state: &str, seconds: u64) -> Session {
        Session {
            pid: 1,
            name: name.to_owned(),
            state: Some(state.to_owned()),
            in_transaction: Some(Duration::from_secs(seconds)),
            in_statement: Some(Duration::from_secs(seconds)),
            ..Session::default()
        }
    }

    #[test]
    fn sums_up_by_process_and_by_tenant() {
        let mut waits = session("tenantry/web/acme", "active", 7);
        waits.wait = Some(("Lock".into(), "relation".into()));
        waits.blocked_by = Some(vec![42]);
        waits.text = Some("select 1".into());
        let mut idle = session("psql", "idle", 0);
        idle.wait = Some(("Client".into(), "ClientRead".into()));
        let hidden = Session { is_hidden: true, ..Session::default() };
        let sessions = [
            idle,
            waits,
            session("tenantry/web/acme", "idle in transaction (aborted)", 9),
            session("tenantry/worker", "idle", 0),
            hidden,
        ];
        let gathered = gather(&sessions, 20);
        let counts = SessionCounts {
            total: 5,
            active: 1,
            waiting: 1,
            idle: 2,
            idle_in_transaction: 1,
            unknown: 1,
        };
        assert_eq!(gathered.sessions, counts);
        let names: Vec<_> = gathered.applications.iter().map(|of| &*of.application).collect();
        assert_eq!(names, ["tenantry/web", "tenantry/worker", "", "psql"]);
        let [tenant] = &gathered.tenants[..] else { panic!("{gathered:?}") };
        assert_eq!((&*tenant.tenant_id, tenant.sessions.total), ("acme", 2));
        assert_eq!(tenant.longest_transaction, Some(Duration::from_secs(9)));
        assert_eq!(tenant.longest_statement, Some(Duration::from_secs(7)));
        let wait = Wait { event_type: "Lock".into(), event: "relation".into(), sessions: 1 };
        assert_eq!(gathered.waits, [wait]);
        assert_eq!(gathered.blocked[0].by, [42]);
        assert_eq!(gathered.slow[0].wait.as_deref(), Some("Lock: relation"));
        assert!(gather(&sessions, 0).slow.is_empty());
        assert_eq!(gathered.unseen.len(), 1);
        let unnamed = gather(&sessions[3..4], 20);
        assert_eq!(unnamed.unseen[0].what, "the tenants of sessions");
    }

    #[test]
    fn sessions_of_several_servers_are_told_apart_by_tenant_and_summed_by_process() {
        let on = |server: &str, database: Option<&str>| Session {
            server: Some(server.into()),
            database: database.map(Arc::from),
            ..session("tenantry/web/acme", "active", 2)
        };
        let hidden = |server: &str| Session { is_hidden: true, ..on(server, None) };
        let sessions = [on("main", None), on("eu", Some("db_acme")), on("eu", None), hidden("eu")];
        let gathered = gather(&sessions, 20);
        let places = gathered.tenants.iter().map(|of| {
            let place = [&of.server, &of.database].map(Option::as_deref);
            (place, of.sessions.total)
        });
        let expected = [
            ([Some("eu"), None], 2),
            ([Some("eu"), Some("db_acme")], 1),
            ([Some("main"), None], 1),
        ];
        assert_eq!(places.collect::<Vec<_>>(), expected);
        assert_eq!(gathered.applications.len(), 1, "a process has sessions on both");
        assert_eq!(gathered.applications[0].sessions.total, 4);
        assert_eq!(count(sessions.iter().filter(|of| of.server.as_deref() == Some("eu"))).total, 3);
        let [unseen] = &gathered.unseen[..] else { panic!("{gathered:?}") };
        assert_eq!(unseen.to_string(), "the activity of 1 sessions of other roles on server eu");
    }
}

//! How connections to the server are opened: host, credentials and hook.

use std::{error::Error as StdError, fmt, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use sqlx::{Connection, Executor, PgConnection, Row, postgres::PgConnectOptions, raw_sql};
use tokio::time::{Instant, timeout_at};

use super::{
    credentials::Credentials,
    deadline::{after, within},
    hook::run_hook,
    hosts::{LoadBalanceHosts, NoHost, Role, TargetSessionAttrs},
    replicas::{Lineage, look},
    session_error::{leaves_session_usable, timed_out},
};
use crate::{
    error::{Error, ErrorClass, ErrorKind, class_of},
    tenant::Ident,
};

/// Asks for the credentials of the next connection.
pub(crate) type AskAtConnect = Arc<
    dyn Fn() -> BoxFuture<'static, Result<Credentials, Box<dyn StdError + Send + Sync>>>
        + Send
        + Sync,
>;

/// Prepares a new connection.
pub(crate) type AfterConnect =
    Arc<dyn for<'c> Fn(&'c mut PgConnection) -> BoxFuture<'c, sqlx::Result<()>> + Send + Sync>;

/// Opens the connections of a manager.
#[derive(Clone)]
pub(crate) struct Connector {
    /// Never empty.
    pub(crate) hosts: Arc<[PgConnectOptions]>,
    pub(crate) target: TargetSessionAttrs,
    pub(crate) order: LoadBalanceHosts,
    /// Timeout for trying all hosts once.
    pub(crate) timeout: Duration,
    pub(crate) credentials: Option<AskAtConnect>,
    pub(crate) after_connect: Option<AfterConnect>,
    /// `true` if the connections lead to a pooler in transaction mode, and are bound for one transaction at a time.
    pub(crate) by_transaction: bool,
    /// Which servers may take its writes, if it has replicas.
    pub(crate) lineage: Option<Arc<Lineage>>,
    /// Parameters of libpq with which other servers connect to it, besides those that follow from the options.
    pub(crate) from_others: Option<Arc<str>>,
}

impl Connector {
    /// Returns the configured options of the first host.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.hosts[0]
    }

    /// Returns the name of the database.
    pub(crate) fn database(&self) -> String {
        let options = self.options();
        options.get_database().unwrap_or_else(|| options.get_username()).to_owned()
    }

    pub(super) async fn connect(&self, log_in: LogInAs<'_>) -> sqlx::Result<PgConnection> {
        let deadline = after(self.timeout);
        let LogInAs { login, home } = log_in;
        // The closure is not called for connections with a tenant's or the maintenance login.
        let asked = if login.is_none() { self.ask().await? } else { None };
        let log_in = LogInAs { login: login.or(asked.as_ref()), home };
        match &self.lineage {
            Some(lineage) => Ok(self.find_newest(lineage, log_in, deadline).await?.1),
            None => Ok(self.find(log_in, self.target, deadline).await?.1),
        }
    }

    /// Returns the options of a writable host, for a connection that other code opens. A single
    /// host is not checked.
    ///
    /// # Errors
    ///
    /// This crate's [`Error`] when the credentials are not available in time, or no host is
    /// writable.
    pub(crate) async fn primary(&self) -> sqlx::Result<PgConnectOptions> {
        let deadline = after(self.timeout);
        let asked = timeout_at(deadline, self.ask()).await.unwrap_or_else(|_| Err(timed_out()))?;
        let log_in = LogInAs { login: asked.as_ref(), home: None };
        if let Some(lineage) = &self.lineage {
            let (host, conn) = self.find_newest(lineage, log_in, deadline).await?;
            conn.close().await?;
            return Ok(host);
        }
        if let [only] = &*self.hosts {
            return Ok(log_in.at(only));
        }
        let (index, conn) = self.find(log_in, TargetSessionAttrs::Primary, deadline).await?;
        conn.close().await?;
        Ok(log_in.at(&self.hosts[index]))
    }

    async fn ask(&self) -> sqlx::Result<Option<Credentials>> {
        let Some(ask) = &self.credentials else {
            return Ok(None);
        };
        // Inside the future, so that a panic before its first await is caught as well.
        let Ok(asked) = AssertUnwindSafe(async { ask().await }).catch_unwind().await else {
            return Err(Error::new(ErrorKind::Hook, "connect_credentials panicked").into());
        };
        asked.map(Some).map_err(|error| {
            let attempted = "asking for the credentials of a connection";
            Error::new(ErrorKind::Unavailable, attempted).with_source(error).into()
        })
    }

    /// Tries the hosts in turn. Each gets an equal share of the remaining time.
    async fn find(
        &self,
        log_in: LogInAs<'_>,
        target: TargetSessionAttrs,
        deadline: Instant,
    ) -> sqlx::Result<(usize, PgConnection)> {
        if let ([only], TargetSessionAttrs::Any) = (&*self.hosts, target) {
            return Ok((0, PgConnection::connect_with(&log_in.at(only)).await?));
        }
        let rounds = target.rounds();
        let mut left = u32::try_from(self.hosts.len() * rounds.len()).unwrap_or(u32::MAX);
        let mut tried = Tried::default();
        for target in rounds {
            for index in self.order() {
                let host = log_in.at(&self.hosts[index]);
                let share = deadline.saturating_duration_since(Instant::now()) / left;
                left -= 1;
                match within(share, open(&host, *target)).await {
                    Ok(Opened::Suitable(conn)) => return Ok((index, conn)),
                    Ok(Opened::Unsuitable(why)) => tried.note(&host, ErrorClass::Connection, why),
                    // As with libpq, a password that one host refuses is not sent to the others.
                    Err(error) if class_of(&error) == ErrorClass::Authentication => {
                        return Err(error);
                    }
                    Err(error) => tried.note(&host, class_of(&error), &error.to_string()),
                }
            }
        }
        Err(tried.error(self.hosts.len()).into())
    }

    /// Connects to the newest primary among the hosts of the server and of its replicas: the first one that is not
    /// known to be superseded, or the newest of all if that is in doubt.
    async fn find_newest(
        &self,
        lineage: &Lineage,
        log_in: LogInAs<'_>,
        deadline: Instant,
    ) -> sqlx::Result<(PgConnectOptions, PgConnection)> {
        let is_doubtful = lineage.is_doubtful();
        let own = self.order().into_iter().map(|index| (&self.hosts[index], true));
        let replicas = lineage.hosts().iter().map(|host| (host, false));
        let hosts: Vec<_> = own.chain(replicas).collect();
        let mut left = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        let mut tried = Tried::default();
        let mut found = None;
        for (host, is_own) in hosts.iter().copied() {
            if !is_own && !lineage.is_known() {
                // It could be a copy of another server.
                break;
            }
            let host = log_in.at(host);
            let share = deadline.saturating_duration_since(Instant::now()) / left;
            left -= 1;
            let share = if found.is_some() { share.min(COMPARED_WITHIN) } else { share };
            let as_named = log_in.home.is_none();
            match within(share, open_newest(&host, lineage, (is_own, as_named))).await {
                Ok(Opened::Suitable(conn)) => {
                    if let Some((_, former)) = found.replace((host, conn)) {
                        let former: PgConnection = former;
                        former.close().await?;
                    }
                    if !is_doubtful {
                        break;
                    }
                }
                Ok(Opened::Unsuitable(why)) => tried.note(&host, ErrorClass::Connection, why),
                Err(error) if class_of(&error) == ErrorClass::Authentication && found.is_none() => {
                    return Err(error);
                }
                Err(error) => tried.note(&host, class_of(&error), &error.to_string()),
            }
        }
        match found {
            Some(found) => {
                lineage.settle();
                Ok(found)
            }
            None => Err(tried.error(hosts.len()).into()),
        }
    }

    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        if self.order == LoadBalanceHosts::Random {
            order.sort_by_cached_key(|_| fastrand::u64(..));
        }
        order
    }

    /// Runs the application's hook on a new connection.
    ///
    /// # Errors
    ///
    /// This crate's [`Error`] when the hook fails or panics, with the hook's error as the source.
    pub(super) async fn prepare(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let Some(hook) = &self.after_connect else {
            return Ok(());
        };
        run_hook("after_connect", async { hook(conn).await }).await?;
        // Its statements were prepared under settings that the first bind resets.
        conn.clear_cached_statements().await
    }
}

/// How a connection differs from what is configured for its host.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LogInAs<'a> {
    pub(super) login: Option<&'a Credentials>,
    /// The database, if it is not the manager's.
    pub(super) home: Option<&'a Ident>,
}

impl LogInAs<'_> {
    fn at(&self, host: &PgConnectOptions) -> PgConnectOptions {
        let host = self.login.map_or_else(|| host.clone(), |login| login.log_in(host));
        self.home.into_iter().fold(host, |host, home| host.database(home.as_str()))
    }
}

/// A host that has accepted a connection.
enum Opened {
    Suitable(PgConnection),
    /// It is not the kind of server that is wanted; the connection is closed.
    Unsuitable(&'static str),
}

/// Connects to a host, and checks whether it is the kind of server that is wanted.
async fn open(host: &PgConnectOptions, target: TargetSessionAttrs) -> sqlx::Result<Opened> {
    let mut conn = PgConnection::connect_with(host).await?;
    if target == TargetSessionAttrs::Any {
        return Ok(Opened::Suitable(conn));
    }
    let ask = "select pg_catalog.pg_is_in_recovery(), \
               pg_catalog.texteq(pg_catalog.current_setting('transaction_read_only'), 'on')";
    let row = conn.fetch_one(raw_sql(ask)).await?;
    let role = Role { in_recovery: row.try_get(0)?, read_only: row.try_get(1)? };
    match target.objection(role) {
        None => Ok(Opened::Suitable(conn)),
        Some(objection) => {
            // Do not try the next host while this connection still counts.
            conn.close().await?;
            Ok(Opened::Unsuitable(objection))
        }
    }
}

/// How long a host is waited for that may be a newer primary than the one that was found.
const COMPARED_WITHIN: Duration = Duration::from_secs(1);

/// Connects to a host, and checks whether it takes writes and has not been superseded.
/// `is_own` is `true` for the hosts of the server itself, and `as_named` if the database is the one of its URL.
async fn open_newest(
    host: &PgConnectOptions,
    lineage: &Lineage,
    (is_own, as_named): (bool, bool),
) -> sqlx::Result<Opened> {
    let mut conn = PgConnection::connect_with(host).await?;
    let objection = match look(&mut conn).await {
        Ok(seen) if seen.in_recovery => Some("is in recovery"),
        Ok(seen) if as_named && !is_own && lineage.is_other(seen.database) => {
            Some("leads to another database than the server's URL")
        }
        Ok(seen) if lineage.note(seen.history) => {
            if as_named && is_own {
                lineage.note_database(seen.database);
            }
            None
        }
        Ok(_) => {
            Some("is a former primary, or no copy of the server: its timeline is not the newest")
        }
        // It does not tell its timeline to this user.
        Err(error) if leaves_session_usable(&error) => {
            let ask = "select pg_catalog.pg_is_in_recovery()";
            let in_recovery = conn.fetch_one(raw_sql(ask)).await?.try_get(0)?;
            if in_recovery { Some("is in recovery") } else { None }
        }
        Err(error) => return Err(error),
    };
    match objection {
        None => Ok(Opened::Suitable(conn)),
        Some(objection) => {
            conn.close().await?;
            Ok(Opened::Unsuitable(objection))
        }
    }
}

/// Errors of the hosts tried so far.
#[derive(Default)]
struct Tried {
    said: Vec<(String, String)>,
    class: Option<ErrorClass>,
}

impl Tried {
    fn note(&mut self, host: &PgConnectOptions, class: ErrorClass, said: &str) {
        // A retry is worthwhile if one of the hosts may come back.
        if self.class.is_none_or(|class| !class.is_transient()) {
            self.class = Some(class);
        }
        let name = match host.get_socket() {
            Some(folder) => folder.display().to_string(),
            None if host.get_host().contains(':') => format!("[{}]", host.get_host()),
            None => host.get_host().to_owned(),
        };
        self.said.push((format!("{name}:{}", host.get_port()), said.to_owned()));
    }

    fn error(self, hosts: usize) -> Error {
        let attempted = match hosts {
            1 => "the host cannot be used".to_owned(),
            _ => format!("none of {hosts} hosts can be used"),
        };
        let error = Error::new(ErrorKind::Unavailable, attempted).with_class(self.class);
        error.with_source(NoHost(self.said))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omits the options, which contain the password.
        f.debug_struct("Connector")
            .field("hosts", &self.hosts.len())
            .field("target", &self.target)
            .field("credentials", &self.credentials.is_some())
            .field("after_connect", &self.after_connect.is_some())
            .finish_non_exhaustive()
    }
}

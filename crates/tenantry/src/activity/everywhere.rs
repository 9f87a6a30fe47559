//! Reads the activity of all servers at the same time. One that cannot be read spoils nothing of the others.

use std::{
    cmp::Reverse,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{FutureExt, future::join_all};
use tokio::time::{Instant, timeout};

use super::{
    Activity, ActivityOptions, Connections, DatabaseTotals, ServerActivity, ServerReading, Unseen,
    databases::TenantDatabases,
    gather::{Gathered, count, gather},
    read::{self, Reading},
};
use crate::{
    error::{Error, ErrorKind},
    error_report::ErrorReport,
    fleet::Fleet,
};

/// What was read from a server, if it could be.
struct Answer {
    server: Arc<str>,
    result: Result<Reading, Error>,
    duration: Duration,
}

/// Reads the load of all servers as they see it.
///
/// # Cancel safety
///
/// Safe.
pub(crate) async fn read(fleet: &Fleet, options: &ActivityOptions) -> Result<Activity, Error> {
    let began = Instant::now();
    let databases = TenantDatabases::new(options.server_timeout / 3);
    let each = fleet.servers().homes().map(|home| {
        let (fleet, databases) = (fleet.at(&home), &databases);
        async move {
            let began = Instant::now();
            let reading = read::read(&fleet, options, databases).boxed();
            let result = timeout(options.server_timeout, reading).await.unwrap_or_else(|_| {
                let attempted = format!("no answer within {:?}", options.server_timeout);
                Err(Error::new(ErrorKind::Timeout, attempted))
            });
            Answer { server: home.server().into(), result, duration: began.elapsed() }
        }
    });
    let answers = join_all(each).await;
    let unlisted = databases.unseen();
    let mut activity = match fleet.servers().are_several() {
        true => of_several(answers, options)?,
        false => of_one(answers, options)?,
    };
    activity.unseen.extend(unlisted);
    activity.duration = began.elapsed();
    Ok(activity)
}

/// Reports on the only server.
fn of_one(answers: Vec<Answer>, options: &ActivityOptions) -> Result<Activity, Error> {
    let mut answers = answers;
    let Some(Answer { result: Ok(mut main), .. }) = answers.pop_if(|answer| answer.result.is_ok())
    else {
        return Err(first_error(answers));
    };
    let mut activity = summed(gather(&main.sessions, options.most_slow));
    activity.statements = main.statements.take();
    activity.unseen.append(&mut main.unseen);
    activity.of_main(&main);
    Ok(activity)
}

/// Reports on several servers, unless none of them could be read.
fn of_several(answers: Vec<Answer>, options: &ActivityOptions) -> Result<Activity, Error> {
    if answers.iter().all(|answer| answer.result.is_err()) {
        return Err(first_error(answers));
    }
    let (mut sessions, mut statements, mut unseen) = (Vec::new(), None, Vec::new());
    let (mut servers, mut main) = (Vec::with_capacity(answers.len()), None);
    for Answer { server, result, duration } in answers {
        let on = || Some(Arc::clone(&server));
        let (reading, error) = match result {
            Ok(mut reading) => {
                reading.sessions.iter_mut().for_each(|session| session.server = on());
                for mut top in reading.statements.take().into_iter().flatten() {
                    top.server = on();
                    statements.get_or_insert_with(Vec::new).push(top);
                }
                unseen.extend(reading.unseen.drain(..).map(|unseen| unseen.on(on())));
                let figures = figures(&reading);
                sessions.append(&mut reading.sessions);
                if servers.is_empty() {
                    main = Some(reading);
                }
                (Some(figures), None)
            }
            Err(error) => {
                let why = ErrorReport::new(&error).to_string();
                unseen.push(Unseen::new("sessions and statements", why.clone()).on(on()));
                (None, Some(why))
            }
        };
        servers.push(ServerActivity { server, duration, reading, error });
    }
    let mut activity = summed(gather(&sessions, options.most_slow));
    activity.servers = servers;
    activity.statements = statements.map(|mut all| {
        all.sort_by_key(|top| Reverse(top.total));
        all.truncate(options.top_statements);
        all
    });
    activity.unseen.append(&mut unseen);
    if let Some(main) = &main {
        activity.of_main(main);
    }
    Ok(activity)
}

/// Returns the error of the first server, which is the main one.
fn first_error(answers: Vec<Answer>) -> Error {
    let error = answers.into_iter().find_map(|answer| answer.result.err());
    error.unwrap_or_else(|| Error::new(ErrorKind::Database, "there is no server to read"))
}

fn figures(reading: &Reading) -> ServerReading {
    ServerReading {
        at: reading.at,
        server_version: reading.version.clone(),
        connections: reading.connections,
        sessions: count(&reading.sessions),
        database: reading.totals,
    }
}

/// Returns sums over sessions, without figures of a server.
fn summed(gathered: Gathered) -> Activity {
    let Gathered { sessions, applications, tenants, waits, blocked, slow, unseen } = gathered;
    Activity {
        at: SystemTime::now(),
        duration: Duration::ZERO,
        server_version: String::new(),
        connections: Connections::default(),
        servers: Vec::new(),
        sessions,
        applications,
        tenants,
        waits,
        blocked,
        slow,
        database: DatabaseTotals::default(),
        statements: None,
        unseen,
    }
}

impl Activity {
    /// Sets the figures of the main server.
    fn of_main(&mut self, main: &Reading) {
        self.at = main.at;
        self.server_version.clone_from(&main.version);
        self.connections = main.connections;
        self.database = main.totals;
    }
}

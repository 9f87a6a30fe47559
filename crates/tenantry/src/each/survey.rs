use std::{fmt, future::IntoFuture, marker::PhantomData, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use sqlx::{Decode, Executor, Postgres, Row, SqlStr, Type, raw_sql};
use tokio::time::{Instant, timeout};

use super::{
    EachEnd, EachOptions, EachOutcome, EachReport, TenantEach, for_each,
    together::{Places, Together},
};
use crate::{
    db::TenantDb,
    error::{Error, ErrorKind, OptionsError},
    fan_out::{
        RefusedStatement,
        readable::{self, Reader},
        targets::{Found, Target, targets},
    },
    fleet::Fleet,
    migrate::Schemas,
    sql::Sql,
};

/// A query of one value from each tenant.
///
/// Created by [`TenantManager::survey`](crate::TenantManager::survey); it runs when it is awaited.
#[must_use = "a survey does nothing until it is awaited"]
pub struct Survey<T> {
    fleet: Fleet,
    query: SqlStr,
    only: Option<Vec<Arc<str>>>,
    statement_timeout: Duration,
    value: PhantomData<fn() -> T>,
}

/// How much longer than the server the library waits for a statement.
const GRACE: Duration = Duration::from_secs(10);

impl<T> Survey<T> {
    pub(crate) fn new(fleet: Fleet, query: SqlStr) -> Self {
        let statement_timeout = Duration::from_secs(10);
        Self { fleet, query, only: None, statement_timeout, value: PhantomData }
    }

    /// Queries only these tenants, like [`EachOptions::only`]. Default: all tenants that the
    /// catalog lists.
    pub fn only<I>(mut self, tenants: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.only = Some(tenants.into_iter().map(|tenant| tenant.as_ref().into()).collect());
        self
    }

    /// Sets how long the query may take per tenant, and wait for each lock. Default: 10 s.
    ///
    /// In a batch, a query that takes longer than half a second is run again separately, so that it
    /// does not delay the other tenants.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.statement_timeout = timeout;
        self
    }
}

impl<T> Survey<T>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + 'static,
{
    async fn run(self) -> Result<EachReport<T>, Error> {
        let began = Instant::now();
        if self.statement_timeout.is_zero() {
            let wrong = OptionsError::new("statement_timeout", "be longer than zero");
            let attempted = format!("surveying tenants: {wrong}");
            return Err(Error::new(ErrorKind::Config, attempted).with_source(wrong));
        }
        let select = self.check().await?;
        let schemas = self.only.clone().map_or(Schemas::AllTenants, Schemas::Tenants);
        let targets = targets(&self.fleet, schemas, false).await?;
        let mut places: Places<T> = targets.iter().map(known).collect();
        let together = Together::new(&self.fleet, &targets, &select, self.statement_timeout);
        together.ask(&mut places).await;
        let end = self.ask_alone(&targets, &mut places, &select).await?;
        let tenants = targets.into_iter().zip(places).map(|(target, result)| {
            let (outcome, duration) = result.unwrap_or((EachOutcome::NotStarted, Duration::ZERO));
            let (server, database) = (target.server, target.database);
            let tenant_id = target.name.unwrap_or_default();
            TenantEach { tenant_id, server, database, outcome, duration }
        });
        Ok(EachReport::new(end, tenants.collect(), began.elapsed()))
    }

    /// Refuses text that is not one query, and returns it as a statement that returns one row of
    /// one column.
    ///
    /// The text is a whole statement, and is put in parentheses: it can end neither the statement
    /// nor the transaction around it.
    async fn check(&self) -> Result<SqlStr, Error> {
        let text = self.query.as_str();
        let end = text.trim_end_matches(|c: char| c == ';' || c.is_ascii_whitespace()).len();
        readable::check(text)?;
        let mut alone = Sql::default();
        alone.vouched(&self.query, 0..end);
        let mut select = Sql::new("select ");
        select.query_of_application(&text[..end]).text(" as tenantry_value");
        let (alone, select) = (alone.finish(), select.finish());
        let mut reader = Reader::new(&self.fleet).await?;
        if let Some(statement) = reader.read(&alone).await? {
            let columns = sqlx::Statement::columns(&statement).len();
            if columns > 1 {
                return Err(readable::refused(RefusedStatement::Columns { columns }));
            }
            let parameters = sqlx::Statement::parameters(&statement);
            if parameters.is_some_and(|of| of.either(<[_]>::len, |count| count) > 0) {
                return Err(readable::refused(RefusedStatement::Parameters));
            }
        }
        match reader.read(&select).await {
            Ok(_) => Ok(select),
            Err(error) => Err(not_a_query(error)),
        }
    }

    /// Queries each of the remaining tenants through its own handle, like a request.
    async fn ask_alone(
        &self,
        targets: &[Target],
        places: &mut Places<T>,
        select: &SqlStr,
    ) -> Result<EachEnd, Error> {
        let mut open: Vec<_> = (0..places.len()).filter(|place| places[*place].is_none()).collect();
        let mut end = EachEnd::Completed;
        // A schema that was replaced is found when its handle is used, and the next look-up asks the catalog. The
        // query only reads, so it can be sent again.
        for _ in 0..2 {
            if open.is_empty() {
                break;
            }
            let names = open.iter().filter_map(|place| targets[*place].name.as_deref());
            let options = EachOptions::default().only(names);
            let ask = async |db| ask(db, select, self.statement_timeout).await;
            let report = for_each(&self.fleet, options, ask).await?;
            end = report.end;
            let mut stale = Vec::new();
            for (place, tenant) in open.into_iter().zip(report.tenants) {
                if is_stale(&tenant.outcome) {
                    stale.push(place);
                }
                places[place] = Some((tenant.outcome, tenant.duration));
            }
            open = stale;
        }
        Ok(end)
    }
}

fn is_stale<T>(outcome: &EachOutcome<T>) -> bool {
    let EachOutcome::Failed { error } = outcome else { return false };
    ErrorKind::in_chain(error.error()) == Some(ErrorKind::StaleHandle)
}

/// Returns the outcome of a tenant that need not be queried. One that was not found is looked up
/// again when it is queried separately, which yields the error.
fn known<T>(target: &Target) -> Option<(EachOutcome<T>, Duration)> {
    match &target.found {
        Found::Tenant(_) | Found::Nothing(_) => None,
        Found::Suspended | Found::Shared(_) => Some((EachOutcome::Skipped, Duration::ZERO)),
    }
}

fn not_a_query(error: Error) -> Error {
    let refused = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    match refused {
        Some(RefusedStatement::Unreadable { message }) => {
            readable::refused(RefusedStatement::NotAQuery { message: message.clone() })
        }
        _ => error,
    }
}

/// Queries one tenant.
async fn ask<T>(db: TenantDb, select: &SqlStr, limit: Duration) -> sqlx::Result<T>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
{
    let mut tx = db.begin_with("begin read only").await?;
    let answer = timeout(limit.saturating_add(GRACE), async {
        tx.execute(raw_sql(limits(limit))).await?;
        let query = sqlx::query(select.clone()).persistent(false);
        query.fetch_one(&mut *tx).await?.try_get(0)
    });
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    answer.await.unwrap_or_else(late)
}

/// Returns the settings before the query. Reading a constant takes the transaction's snapshot: from
/// then on the server refuses to make it read-write.
fn limits(limit: Duration) -> SqlStr {
    let most = u128::from(i32::MAX.unsigned_abs());
    let millis = limit.as_nanos().div_ceil(1_000_000).clamp(1, most);
    let millis = u64::try_from(millis).unwrap_or(u64::MAX);
    let mut sql = Sql::new("select null; set local standard_conforming_strings to on; ");
    sql.text("set local statement_timeout to ").number(millis);
    sql.text("; set local lock_timeout to ").number(millis);
    sql.finish()
}

impl<T> IntoFuture for Survey<T>
where
    T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + 'static,
{
    type Output = Result<EachReport<T>, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    /// Queries the tenants.
    ///
    /// # Cancel safety
    ///
    /// When dropped, running queries are cancelled in the background.
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<T> fmt::Debug for Survey<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survey")
            .field("query", &self.query.as_str())
            .field("only", &self.only)
            .field("statement_timeout", &self.statement_timeout)
            .finish_non_exhaustive()
    }
}

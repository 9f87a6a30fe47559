use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use super::{RetryPolicy, Transient};

/// Runs an operation until it succeeds, fails permanently, or the policy is exhausted.
///
/// A failed attempt may still have taken effect: once the connection breaks, the library cannot
/// know whether the statement ran. Pass only idempotent operations, such as reads, or an insert
/// with `on conflict do nothing`.
///
/// Returns the last error. See [`Retrier`] for a hook and for other error types.
///
/// # Examples
///
/// ```no_run
/// use tenantry::retry::{RetryPolicy, retry};
///
/// # async fn example(db: tenantry::TenantDb) -> sqlx::Result<()> {
/// let count: i64 = retry(&RetryPolicy::default(), || {
///     sqlx::query_scalar("select count(*) from users").fetch_one(&db)
/// })
/// .await?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// The error of the last attempt.
///
/// # Cancel safety
///
/// As safe as the operation.
pub async fn retry<T, E, F, R>(policy: &RetryPolicy, operation: F) -> Result<T, E>
where
    E: Transient,
    F: FnMut() -> R,
    R: Future<Output = Result<T, E>>,
{
    attempt(policy, E::is_transient, E::retry_after, |_, _, _| {}, operation).await
}

/// A reusable retry policy with a condition and a hook.
///
/// # Examples
///
/// ```no_run
/// use tenantry::retry::{Retrier, RetryPolicy};
///
/// # #[derive(Debug)] struct AppError { code: &'static str }
/// # async fn fetch() -> Result<String, AppError> { Err(AppError { code: "CUSTOM" }) }
/// # async fn example() -> Result<(), AppError> {
/// let retrier = Retrier::when(RetryPolicy::default(), |error: &AppError| error.code == "CUSTOM")
///     .on_retry(|attempt, error, delay| eprintln!("retry {attempt}: {error:?}, waiting {delay:?}"));
/// let data = retrier.run(fetch).await?;
/// # Ok(()) }
/// ```
pub struct Retrier<E> {
    policy: RetryPolicy,
    when: Arc<dyn Fn(&E) -> bool + Send + Sync>,
    asked: fn(&E) -> Option<Duration>,
    on_retry: Arc<OnRetry<E>>,
}

type OnRetry<E> = dyn Fn(u32, &E, Duration) + Send + Sync;

impl<E: Transient + 'static> Retrier<E> {
    /// Creates a retrier for errors that are [transient](Transient).
    #[must_use]
    pub fn new(policy: RetryPolicy) -> Self {
        Self { asked: E::retry_after, ..Self::when(policy, E::is_transient) }
    }
}

impl<E: 'static> Retrier<E> {
    /// Creates a retrier for errors that the closure accepts.
    #[must_use]
    pub fn when(
        policy: RetryPolicy,
        predicate: impl Fn(&E) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            policy,
            when: Arc::new(predicate),
            asked: |_| None,
            on_retry: Arc::new(|_, _, _| {}),
        }
    }

    /// Sets a hook that is called before each delay, with the number of failed attempts, the last
    /// error and the delay. It runs on the task that retries, so it should be quick.
    #[must_use]
    pub fn on_retry(mut self, hook: impl Fn(u32, &E, Duration) + Send + Sync + 'static) -> Self {
        self.on_retry = Arc::new(hook);
        self
    }

    /// Runs an operation until it succeeds, fails permanently, or the policy is exhausted.
    ///
    /// # Errors
    ///
    /// The error of the last attempt.
    ///
    /// # Cancel safety
    ///
    /// As safe as the operation.
    pub async fn run<T, F, R>(&self, operation: F) -> Result<T, E>
    where
        F: FnMut() -> R,
        R: Future<Output = Result<T, E>>,
    {
        attempt(&self.policy, &*self.when, self.asked, &*self.on_retry, operation).await
    }
}

impl<E> Clone for Retrier<E> {
    fn clone(&self) -> Self {
        let Self { policy, when, asked, on_retry } = self;
        Self {
            policy: policy.clone(),
            when: Arc::clone(when),
            asked: *asked,
            on_retry: Arc::clone(on_retry),
        }
    }
}

impl<E> fmt::Debug for Retrier<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retrier").field("policy", &self.policy).finish_non_exhaustive()
    }
}

async fn attempt<T, E, F, R>(
    policy: &RetryPolicy,
    when: impl Fn(&E) -> bool,
    asked: impl Fn(&E) -> Option<Duration>,
    on_retry: impl Fn(u32, &E, Duration),
    mut operation: F,
) -> Result<T, E>
where
    F: FnMut() -> R,
    R: Future<Output = Result<T, E>>,
{
    let began = Instant::now();
    let mut failed = 0;
    loop {
        let error = match operation().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        failed += 1;
        if !when(&error) {
            return Err(error);
        }
        let Some(delay) = policy.delay_after(failed, fastrand::f64(), asked(&error)) else {
            return Err(error);
        };
        if policy.deadline.is_some_and(|deadline| began.elapsed().saturating_add(delay) > deadline)
        {
            return Err(error);
        }
        on_retry(failed, &error, delay);
        sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Mutex};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn refused() -> io::Error {
        io::ErrorKind::ConnectionRefused.into()
    }

    #[tokio::test(start_paused = true)]
    async fn tells_attempt_and_delay_and_gives_up() {
        let told: Arc<Mutex<Vec<(u32, Duration)>>> = Arc::default();
        let retrier = Retrier::new(RetryPolicy::default().jitter(0.0)).on_retry({
            let told = Arc::clone(&told);
            move |attempt, _: &io::Error, delay| told.lock().unwrap().push((attempt, delay))
        });
        let began = Instant::now();
        let mut calls = 0;
        let failed: io::Result<()> = retrier
            .run(|| {
                calls += 1;
                async { Err(refused()) }
            })
            .await;
        assert_eq!((failed.unwrap_err().kind(), calls), (io::ErrorKind::ConnectionRefused, 3));
        assert_eq!(*told.lock().unwrap(), [(1, MS * 100), (2, MS * 200)]);
        assert_eq!(began.elapsed().as_millis(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn tries_once_what_will_not_change() {
        let mut calls = 0;
        let failed: io::Result<()> = retry(&RetryPolicy::default(), || {
            calls += 1;
            async { Err(io::ErrorKind::PermissionDenied.into()) }
        })
        .await;
        assert_eq!((failed.unwrap_err().kind(), calls), (io::ErrorKind::PermissionDenied, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn stops_at_success_and_at_the_deadline() {
        let mut calls = 0;
        let done = retry(&RetryPolicy::default(), || {
            calls += 1;
            let result = if calls == 2 { Ok(calls) } else { Err(refused()) };
            async { result }
        })
        .await;
        assert_eq!(done.unwrap(), 2);

        let policy = RetryPolicy::default().jitter(0.0).max_attempts(100).deadline(MS * 1_000);
        let began = Instant::now();
        let failed: io::Result<()> = retry(&policy, || async { Err(refused()) }).await;
        assert!(failed.is_err());
        assert_eq!(began.elapsed(), MS * 700, "100 + 200 + 400, and 800 more would be too long");
    }

    #[tokio::test(start_paused = true)]
    async fn asks_the_predicate_alone() {
        let retrier = Retrier::when(RetryPolicy::default(), |error: &&str| *error == "again");
        for (error, calls_expected) in [("again", 3), ("never", 1)] {
            let mut calls = 0;
            let failed: Result<(), _> = retrier
                .run(|| {
                    calls += 1;
                    async move { Err(error) }
                })
                .await;
            assert_eq!((failed, calls), (Err(error), calls_expected));
        }
    }
}

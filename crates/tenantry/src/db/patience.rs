//! Statement timeout, summed over the rows of a stream.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

/// The remaining time that the server may take for a statement.
///
/// Only time spent waiting for the server counts: neither the time in which the reader of a stream
/// does not ask for the next row, nor the time between the arrival of data and the reader's next
/// poll.
pub(super) struct Patience(Option<Limit>);

struct Limit {
    limit: Duration,
    left: Duration,
    bell: Arc<Bell>,
}

/// The server took longer than this.
#[derive(Debug, PartialEq, Eq)]
struct Late(Duration);

/// The reason why there is no response.
#[derive(Debug)]
pub(super) enum Unanswered {
    Failed(sqlx::Error),
    /// The server took longer than this.
    Late(Duration),
}

impl Patience {
    /// Without a limit, it never expires.
    pub(super) fn new(limit: Option<Duration>) -> Self {
        Self(limit.map(|limit| Limit { limit, left: limit, bell: Arc::default() }))
    }

    /// Waits for the next response.
    ///
    /// # Cancel safety
    ///
    /// As safe as the response future.
    pub(super) fn answer<T>(
        &mut self,
        answer: impl Future<Output = sqlx::Result<T>>,
    ) -> impl Future<Output = Result<T, Unanswered>> {
        // Not an `async fn`, which would store the response future twice.
        self.wait(answer).map(|ended| match ended {
            Ok(answer) => answer.map_err(Unanswered::Failed),
            Err(Late(limit)) => Err(Unanswered::Late(limit)),
        })
    }

    async fn wait<T>(&mut self, answer: impl Future<Output = T>) -> Result<T, Late> {
        let Some(Limit { limit, left, bell }) = &mut self.0 else {
            return Ok(answer.await);
        };
        let (mut answer, mut over) = (pin!(answer), pin!(None::<Sleep>));
        let waker = Waker::from(Arc::clone(bell));
        poll_fn(|reader| {
            let mut cx = Context::from_waker(&waker);
            *left = left.saturating_sub(bell.waited_for());
            bell.is_for(reader.waker());
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut cx) {
                return Poll::Ready(Ok(answer));
            }
            if left.is_zero() {
                return Poll::Ready(Err(Late(*limit)));
            }
            over.set(Some(sleep(*left)));
            if let Some(over) = over.as_mut().as_pin_mut()
                && over.poll(&mut cx).is_ready()
            {
                return Poll::Ready(Err(Late(*limit)));
            }
            bell.begin();
            Poll::Pending
        })
        .await
    }
}

/// Wakes the reader and records when it did.
#[derive(Default)]
struct Bell(Mutex<Rung>);

#[derive(Default)]
struct Rung {
    reader: Option<Waker>,
    waiting_since: Option<Instant>,
    at: Option<Instant>,
}

impl Bell {
    fn is_for(&self, reader: &Waker) {
        self.0.lock().reader = Some(reader.clone());
    }

    /// Records that the reader waits from now on.
    fn begin(&self) {
        let mut rung = self.0.lock();
        // If the bell rang during the poll, the reader returns at once.
        rung.at = None;
        rung.waiting_since = Some(Instant::now());
    }

    /// Returns the time from the start of the wait until the bell rang, or until now.
    fn waited_for(&self) -> Duration {
        let mut rung = self.0.lock();
        let at = rung.at.take();
        let Some(since) = rung.waiting_since.take() else {
            return Duration::ZERO;
        };
        at.unwrap_or_else(Instant::now).saturating_duration_since(since)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut rung = self.0.lock();
        rung.at.get_or_insert_with(Instant::now);
        let reader = rung.reader.take();
        drop(rung);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::pending, pin_mut};
    use tokio::time::sleep;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn waits_add_up_and_the_time_in_between_does_not_count() {
        let mut patience = Patience::new(Some(MS * 100));
        for _ in 0..9 {
            assert_eq!(patience.wait(sleep(MS * 10)).await, Ok(()));
            sleep(MS * 1_000).await;
        }
        let began = Instant::now();
        assert_eq!(patience.wait(pending::<()>()).await, Err(Late(MS * 100)));
        assert!(began.elapsed() < MS * 20, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_comes_late_has_not_waited() {
        let mut patience = Patience::new(Some(MS * 100));
        for _ in 0..9 {
            let row = patience.wait(sleep(MS * 5));
            pin_mut!(row);
            assert_eq!(row.as_mut().now_or_never(), None);
            // The row arrives after 5 ms, and its reader is busy for longer.
            sleep(MS * 1_000).await;
            assert_eq!(row.await, Ok(()));
        }
        assert_eq!(patience.wait(sleep(MS * 5)).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_it_never_ends() {
        assert_eq!(Patience::new(None).wait(sleep(MS * 1_000_000)).await, Ok(()));
    }
}

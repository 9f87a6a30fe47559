use std::sync::Arc;

use tokio::{sync::Mutex, time::Instant};

use super::{Answer, allowance::Allowance};
use crate::manager::TenantManager;

/// A response that requires a database check: one check at a time, whose result is shared by all
/// waiting requests. Requests above the rate limit of [`Allowance`] get the last response, which is
/// at most a second old.
#[derive(Debug)]
pub(super) struct SharedAnswer {
    made: Instant,
    last: Arc<Mutex<Last>>,
}

#[derive(Debug)]
struct Last {
    /// The response, and the start of its check.
    answer: Option<(Instant, Answer)>,
    allowance: Allowance,
}

impl SharedAnswer {
    pub(super) fn new() -> Self {
        let last = Last { answer: None, allowance: Allowance::new() };
        Self { made: Instant::now(), last: Arc::new(Mutex::new(last)) }
    }

    /// Returns the result of `look`, or a recent one.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a check that has begun continues in the background: clients cannot start one
    /// after the other by disconnecting.
    pub(super) async fn get<F>(&self, manager: &TenantManager, look: impl Fn() -> F) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        if manager.is_closing() {
            // It costs nothing to determine, and must be reported at once.
            return look().await;
        }
        let asked = Instant::now();
        let mut last = Arc::clone(&self.last).lock_owned().await;
        let now = Instant::now();
        if let Some((began, answer)) = last.answer.clone()
            && (began >= asked || !last.allowance.take(now.duration_since(self.made)))
        {
            return answer;
        }
        let looking = look();
        let task = manager.spawn(async move {
            let answer = looking.await;
            last.answer = Some((now, answer.clone()));
            answer
        });
        if let Some(task) = task
            && let Ok(answer) = task.await
        {
            return answer;
        }
        // The runtime of the connections has ended, and so have the tasks on it.
        look().await
    }
}

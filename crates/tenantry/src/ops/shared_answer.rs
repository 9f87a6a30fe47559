use std::sync::Arc;

use tokio::{sync::Mutex, time::Instant};

use super::{Answer, allowance::Allowance};
use crate::manager::TenantManager;

/// An answer that takes a look at the database: one look at a time, whose answer is for all who wait
/// for it. Those who ask more often than the [`Allowance`] has it get the last answer, which is a second
/// old at most.
#[derive(Debug)]
pub(super) struct SharedAnswer {
    made: Instant,
    last: Arc<Mutex<Last>>,
}

#[derive(Debug)]
struct Last {
    /// The answer, and when the look for it began.
    answer: Option<(Instant, Answer)>,
    allowance: Allowance,
}

impl SharedAnswer {
    pub(super) fn new() -> Self {
        let last = Last { answer: None, allowance: Allowance::new() };
        Self { made: Instant::now(), last: Arc::new(Mutex::new(last)) }
    }

    /// Returns the answer that `look` finds, or has found just now.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a look that has begun goes on to its end in the background: nobody can have one
    /// begun after the other by leaving.
    pub(super) async fn get<F>(&self, manager: &TenantManager, look: impl Fn() -> F) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        if manager.is_closing() {
            // It costs nothing to find that out, and must be told at once.
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
        // The runtime that the connections live on has ended, and the tasks on it have, too.
        look().await
    }
}

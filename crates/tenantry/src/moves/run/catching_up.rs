//! The last work while the tenant is served on the source: the target catches up, and is compared and analyzed.

use super::{Holding, Run, change_log, fence, replicate, tidy};
use crate::{moves::failure::Failure, tenant::IsolationKind};

impl Run {
    /// By a log of changes.
    pub(super) async fn catch_up_by_log(&mut self) -> Result<(), Failure> {
        let compares = self.row.of.verify && !self.is_compared;
        let how = (self.copied_in.take(), compares);
        let (ends, attempt, teller) = (&self.ends, self.attempt(), &self.teller);
        let compared = change_log::catch_up(ends, attempt, how, teller).await?;
        if let Some(rows) = compared {
            (self.copied, self.is_compared) = (Some(rows), true);
        }
        if self.analyze().await? {
            let how = (None, false);
            change_log::catch_up(&self.ends, self.attempt(), how, &self.teller).await?;
        }
        self.hold().await
    }

    pub(super) async fn catch_up_by_replication(&mut self) -> Result<(), Failure> {
        replicate::catch_up(&self.ends, self.mine.id, &self.teller).await?;
        if self.row.of.verify && !self.is_compared {
            replicate::compare(&self.ends, self.mine.id).await?;
            self.is_compared = true;
            replicate::catch_up(&self.ends, self.mine.id, &self.teller).await?;
        }
        if self.analyze().await? {
            replicate::catch_up(&self.ends, self.mine.id, &self.teller).await?;
        }
        let mut held = fence::hold(&self.ends).await?;
        replicate::forget_publication(&mut held.model, self.mine.id);
        self.remarks = replicate::check(&self.ends, self.attempt(), &held.model).await?;
        self.held = Some(Holding::Schema(Box::new(held)));
        Ok(())
    }

    /// Gives the planner of the target its statistics, once. Returns `true` if that has taken time.
    async fn analyze(&mut self) -> Result<bool, Failure> {
        let is_first = !std::mem::replace(&mut self.is_analyzed, true);
        if is_first && self.ends.target_kind() != IsolationKind::Row {
            tidy::analyze(&self.ends, self.attempt()).await?;
            return Ok(true);
        }
        Ok(false)
    }
}

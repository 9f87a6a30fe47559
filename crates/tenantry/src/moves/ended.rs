//! The end of a step's transaction.

use super::failure::Failure;
use crate::{db::TenantTransaction, fleet::Fleet, provision::Provisioner};

/// Commits what was done in a database, or takes it back.
pub(super) async fn ended<T>(
    there: &Fleet,
    tx: TenantTransaction,
    done: Result<T, Failure>,
) -> Result<T, Failure> {
    match done {
        Ok(done) => {
            Provisioner::new(there.clone()).commit(tx).await?;
            Ok(done)
        }
        Err(failure) => {
            drop(tx.rollback().await);
            Err(failure)
        }
    }
}

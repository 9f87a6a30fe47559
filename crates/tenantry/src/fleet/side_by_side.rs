//! Creations run side by side until one collides with another; that one is repeated alone.

use std::time::Duration;

use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::timeout,
};

/// How long a creation waits for others. After that it runs beside them, and may collide.
const PATIENCE: Duration = Duration::from_secs(5);

/// The creations of one process that run in one transaction each.
///
/// Any number of other creations could overtake a repeated one again and again, so a few attempts would not be enough.
#[derive(Debug, Default)]
pub(crate) struct SideBySide(RwLock<()>);

/// The place of a running creation.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    Shared { _place: Option<RwLockReadGuard<'a, ()>> },
    Alone { _place: Option<RwLockWriteGuard<'a, ()>> },
}

impl SideBySide {
    /// Takes a place beside others for a first attempt, and one without others for a repeated one.
    pub(crate) async fn place(&self, is_repeated: bool) -> Place<'_> {
        if is_repeated {
            Place::Alone { _place: timeout(PATIENCE, self.0.write()).await.ok() }
        } else {
            Place::Shared { _place: timeout(PATIENCE, self.0.read()).await.ok() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_repeated_one_is_alone_and_nothing_waits_for_ever() {
        let creations = SideBySide::default();
        let first = creations.place(false).await;
        assert!(matches!(creations.place(false).await, Place::Shared { _place: Some(_) }));
        assert!(matches!(creations.place(true).await, Place::Alone { _place: None }));
        drop(first);
        let alone = creations.place(true).await;
        assert!(matches!(alone, Place::Alone { _place: Some(_) }));
        assert!(matches!(creations.place(false).await, Place::Shared { _place: None }));
    }
}

//! Where the first two new connections meet, to be compared before they are used.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// Meeting point of two new connections.
#[derive(Debug)]
pub(super) struct Table<C> {
    seats: Mutex<Seats<C>>,
    cleared: Notify,
}

#[derive(Debug)]
enum Seats<C> {
    Empty,
    /// The first one waits for the second one.
    Waiting(oneshot::Sender<Partner<C>>),
    Comparing,
}

/// The second connection, and the turn to compare it with the first one.
#[derive(Debug)]
pub(super) struct Partner<C> {
    pub(super) conn: C,
    pub(super) turn: Turn<C>,
}

/// The result of bringing a new connection to the table.
pub(super) enum Met<C> {
    /// It is the first, and waits for a partner.
    First(C, oneshot::Receiver<Partner<C>>),
    /// The first one continues with both.
    Partner,
    /// Two others are being compared.
    Comparison(C),
    /// It has no partner and does not wait.
    NoPartner(C),
}

/// Whether a connection may wait for a partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    Waits,
    Leaves,
}

impl<C> Table<C> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { seats: Mutex::new(Seats::Empty), cleared: Notify::new() })
    }

    /// Brings a new connection to the table.
    pub(super) fn meet(self: &Arc<Self>, conn: C, alone: Alone) -> Met<C> {
        let mut seats = self.seats.lock();
        match std::mem::replace(&mut *seats, Seats::Empty) {
            Seats::Comparing => {
                *seats = Seats::Comparing;
                Met::Comparison(conn)
            }
            Seats::Waiting(first) if !first.is_closed() => {
                *seats = Seats::Comparing;
                drop(seats);
                // If the first one is gone, the returned value is dropped: the connection counts as
                // a failed connect, and the table is free again.
                drop(first.send(Partner { conn, turn: Turn(Arc::clone(self)) }));
                Met::Partner
            }
            Seats::Empty | Seats::Waiting(_) if alone == Alone::Leaves => Met::NoPartner(conn),
            Seats::Empty | Seats::Waiting(_) => {
                let (sender, partner) = oneshot::channel();
                *seats = Seats::Waiting(sender);
                Met::First(conn, partner)
            }
        }
    }

    /// Lets the connection that waits at the table continue alone.
    pub(super) fn leave(&self) {
        let mut seats = self.seats.lock();
        if matches!(*seats, Seats::Waiting(_)) {
            *seats = Seats::Empty;
        }
    }

    /// Waits until no two connections are being compared.
    pub(super) async fn cleared(&self) {
        loop {
            let cleared = self.cleared.notified();
            if !matches!(*self.seats.lock(), Seats::Comparing) {
                return;
            }
            cleared.await;
        }
    }
}

/// The turn to compare two connections. Dropping it clears the table.
#[derive(Debug)]
pub(super) struct Turn<C>(Arc<Table<C>>);

impl<C> Drop for Turn<C> {
    fn drop(&mut self) {
        *self.0.seats.lock() = Seats::Empty;
        self.0.cleared.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_meets_the_first_and_a_third_waits_for_them() {
        let table = Table::new();
        let Met::First(1, first) = table.meet(1, Alone::Waits) else { panic!("it is the first") };
        assert!(matches!(table.meet(2, Alone::Leaves), Met::Partner));
        let Partner { conn, turn } = first.await.expect("the second has come");
        assert_eq!(conn, 2);
        assert!(matches!(table.meet(3, Alone::Waits), Met::Comparison(3)));
        drop(turn);
        table.cleared().await;
        assert!(matches!(table.meet(4, Alone::Leaves), Met::NoPartner(4)));
    }

    #[tokio::test]
    async fn a_table_is_free_when_the_first_has_left() {
        let table = Table::new();
        let Met::First(1, first) = table.meet(1, Alone::Waits) else { panic!("it is the first") };
        table.leave();
        assert!(first.await.is_err());
        let Met::First(2, second) = table.meet(2, Alone::Waits) else { panic!("it is free") };
        drop(second);
        assert!(matches!(table.meet(3, Alone::Waits), Met::First(3, _)), "the second is gone");
    }
}

//! Batching of catalog look-ups: all waiting ids are asked for together, by one of the waiting
//! requests.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, resume_unwind},
    pin::pin,
    sync::{Arc, Weak},
    time::Instant,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Either, select},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use crate::tenant::TenantId;

/// Queue of ids that wait for their answers.
///
/// A bounded number of shares query the catalog. A request that waits while a share is free takes
/// it, and asks for all waiting ids. There is no separate task: the requests whose ids are part of
/// the query drive it, one at a time, and if that one is dropped, another continues the same query.
/// The query is abandoned when no request waits for it.
pub(super) struct Desk<A> {
    shares: Arc<Semaphore>,
    limits: Limits,
    books: Mutex<Books<A>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Number of concurrent queries.
    pub(super) shares: usize,
    /// Number of ids per query.
    pub(super) batch: usize,
    /// Maximum number of waiting new ids.
    pub(super) waiting: usize,
}

/// Whether an id is looked up before unknown ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Known,
    New,
}

struct Books<A> {
    /// The ticket of each requested id, unless the id was forgotten after the query began.
    tickets: HashMap<TenantId, (u64, Weak<Ticket<A>>)>,
    /// Tickets that wait to be queried, by [`Rank`], oldest first.
    queues: [BTreeMap<u64, Weak<Ticket<A>>>; 2],
    next: u64,
}

/// A look-up of an id, shared by all requests that wait for it.
pub(super) struct Ticket<A> {
    pub(super) id: TenantId,
    pub(super) since: Instant,
    /// Unique number of the ticket, which defines the order.
    turn: u64,
    rank: Rank,
    desk: Arc<Desk<A>>,
    state: Mutex<State<A>>,
    changed: Notify,
}

/// A place among the requests that wait for an id.
pub(super) struct Joined<A> {
    pub(super) ticket: Arc<Ticket<A>>,
    /// `true` if no other request waited for it before.
    pub(super) first: bool,
}

enum State<A> {
    Waiting,
    Asked(Arc<Batch>),
    Answered(Answered<A>),
}

#[derive(Debug, Clone)]
pub(super) struct Answered<A> {
    pub(super) answer: A,
    /// `true` if the id was forgotten during the query: the answer may be older than that.
    pub(super) outdated: bool,
}

/// A query that is under way.
struct Batch {
    /// Locked by the request that drives it. `None` once it has ended.
    work: tokio::sync::Mutex<Option<BoxFuture<'static, ()>>>,
}

/// Ids that are queried together. Those not answered when it is dropped wait again.
pub(super) struct Asking<A> {
    desk: Arc<Desk<A>>,
    tickets: Vec<Weak<Ticket<A>>>,
    pub(super) ids: Vec<TenantId>,
}

/// Queries the catalog, and [delivers](Asking::deliver) its answers.
pub(super) type Ask<'a, A> = dyn Fn(Asking<A>) -> BoxFuture<'static, ()> + Send + Sync + 'a;

impl<A> Desk<A> {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let books = Books { tickets: HashMap::new(), queues: Default::default(), next: 0 };
        let shares = Arc::new(Semaphore::new(limits.shares));
        Arc::new(Self { shares, limits, books: Mutex::new(books) })
    }

    /// Joins the requests that wait for an id, or is the first. `None` if too many wait.
    pub(super) fn join(self: &Arc<Self>, id: &TenantId, rank: Rank) -> Option<Joined<A>> {
        let mut books = self.books.lock();
        if let Some(ticket) = books.tickets.get(id).and_then(|(_, ticket)| ticket.upgrade()) {
            return Some(Joined { ticket, first: false });
        }
        if rank == Rank::New && books.queues[Rank::New as usize].len() >= self.limits.waiting {
            return None;
        }
        let turn = books.next;
        books.next += 1;
        let ticket = Arc::new(Ticket {
            id: id.clone(),
            since: Instant::now(),
            turn,
            rank,
            desk: Arc::clone(self),
            state: Mutex::new(State::Waiting),
            changed: Notify::new(),
        });
        books.tickets.insert(id.clone(), (turn, Arc::downgrade(&ticket)));
        books.queues[rank as usize].insert(turn, Arc::downgrade(&ticket));
        Some(Joined { ticket, first: true })
    }

    /// Forgets an id, so that no answer to an earlier query is kept.
    pub(super) fn forget(&self, id: &str, forget: impl FnOnce()) {
        let mut books = self.books.lock();
        let ticket = books.tickets.get(id).and_then(|(_, ticket)| ticket.upgrade());
        if ticket.as_ref().is_some_and(|ticket| ticket.is_asked()) {
            books.tickets.remove(id);
        }
        forget();
        // Dropping the last reference to a ticket takes the lock.
        drop(books);
        drop(ticket);
    }

    /// Forgets all ids, so that no answer to an earlier query is kept.
    pub(super) fn forget_all(&self, forget: impl FnOnce()) {
        let mut books = self.books.lock();
        let mut held = Vec::new();
        books.tickets.retain(|_, (_, ticket)| match ticket.upgrade() {
            Some(ticket) => {
                let asked = ticket.is_asked();
                held.push(ticket);
                !asked
            }
            None => true,
        });
        forget();
        drop(books);
    }

    /// Queries the waiting ids, known ones first.
    fn start(self: &Arc<Self>, share: OwnedSemaphorePermit, ask: &Ask<'_, A>) {
        let mut chosen = Vec::new();
        {
            let mut books = self.books.lock();
            for queue in &mut books.queues {
                while chosen.len() < self.limits.batch
                    && let Some((_, ticket)) = queue.pop_first()
                {
                    chosen.extend(ticket.upgrade());
                }
            }
        }
        if chosen.is_empty() {
            return;
        }
        let work = ask(Asking {
            desk: Arc::clone(self),
            tickets: chosen.iter().map(Arc::downgrade).collect(),
            ids: chosen.iter().map(|ticket| ticket.id.clone()).collect(),
        });
        let work = Box::pin(async move {
            let _share = share;
            work.await;
        });
        let batch = Arc::new(Batch { work: tokio::sync::Mutex::new(Some(work)) });
        // The query must not finish before all its requests know that they are part of it.
        let held = batch.work.try_lock();
        for ticket in chosen {
            ticket.turn_to(State::Asked(Arc::clone(&batch)));
        }
        drop(held);
    }
}

impl<A: Clone> Ticket<A> {
    /// Waits for the answer, and drives the query when it is this request's turn.
    ///
    /// # Cancel safety
    ///
    /// When dropped, another waiting request continues the same query.
    ///
    /// # Panics
    ///
    /// When the query panics: in the request that drove it. The others query again.
    pub(super) async fn answer(self: &Arc<Self>, ask: &Ask<'_, A>) -> Answered<A> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // From here on, no change is missed.
            changed.as_mut().enable();
            let batch = match &*self.state.lock() {
                State::Answered(answered) => return answered.clone(),
                State::Asked(batch) => Some(Arc::clone(batch)),
                State::Waiting => None,
            };
            match batch {
                Some(batch) => {
                    select(pin!(batch.drive()), changed).await;
                }
                None => {
                    let share = pin!(Arc::clone(&self.desk.shares).acquire_owned());
                    if let Either::Left((Ok(share), _)) = select(share, changed).await {
                        self.desk.start(share, ask);
                    }
                }
            }
        }
    }
}

impl<A> Ticket<A> {
    fn turn_to(&self, state: State<A>) {
        *self.state.lock() = state;
        self.changed.notify_waiters();
    }

    fn is_asked(&self) -> bool {
        matches!(*self.state.lock(), State::Asked(_))
    }
}

impl<A> Drop for Ticket<A> {
    fn drop(&mut self) {
        let mut books = self.desk.books.lock();
        books.queues[self.rank as usize].remove(&self.turn);
        if books.tickets.get(&self.id).is_some_and(|(turn, _)| *turn == self.turn) {
            books.tickets.remove(&self.id);
        }
    }
}

impl Batch {
    /// Drives the query to its end, unless another request does; then waits for that.
    async fn drive(&self) {
        let mut work = self.work.lock().await;
        let Some(question) = work.as_mut() else { return };
        let ended = AssertUnwindSafe(question).catch_unwind().await;
        *work = None;
        drop(work);
        if let Err(panic) = ended {
            resume_unwind(panic);
        }
    }
}

impl<A> Asking<A> {
    /// Delivers the answer for the id at this place, and keeps it unless it was forgotten
    /// meanwhile.
    pub(super) fn deliver(&self, place: usize, answer: A, keep: impl FnOnce()) {
        let Some(ticket) = self.tickets[place].upgrade() else { return };
        let outdated = {
            let mut books = self.desk.books.lock();
            let entry = books.tickets.get(&ticket.id);
            let current = entry.is_some_and(|(turn, _)| *turn == ticket.turn);
            if current {
                books.tickets.remove(&ticket.id);
                keep();
            }
            !current
        };
        ticket.turn_to(State::Answered(Answered { answer, outdated }));
    }
}

impl<A> Drop for Asking<A> {
    fn drop(&mut self) {
        for ticket in self.tickets.iter().filter_map(Weak::upgrade) {
            if ticket.is_asked() {
                let waiting = Arc::downgrade(&ticket);
                let queue = ticket.rank as usize;
                self.desk.books.lock().queues[queue].insert(ticket.turn, waiting);
                ticket.turn_to(State::Waiting);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::{
        task::{JoinSet, yield_now},
        time::{sleep, timeout},
    };

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn id(name: impl std::fmt::Display) -> TenantId {
        TenantId::parse(&format!("t{name}")).unwrap()
    }

    fn desk(shares: usize, batch: usize, waiting: usize) -> Arc<Desk<String>> {
        Desk::new(Limits { shares, batch, waiting })
    }

    /// Answers each id with itself after this many turns of the runtime.
    fn echo(turns: usize) -> impl Fn(Asking<String>) -> BoxFuture<'static, ()> + Send + Sync {
        move |asking| {
            Box::pin(async move {
                for _ in 0..turns {
                    yield_now().await;
                }
                for (place, id) in asking.ids.iter().enumerate() {
                    asking.deliver(place, id.to_string(), || {});
                }
            })
        }
    }

    async fn ask(desk: &Arc<Desk<String>>, id: &TenantId, turns: usize) -> String {
        let joined = desk.join(id, Rank::New).expect("there is room");
        joined.ticket.answer(&echo(turns)).await.answer
    }

    fn is_empty(desk: &Desk<String>) -> bool {
        let books = desk.books.lock();
        books.tickets.is_empty() && books.queues.iter().all(BTreeMap::is_empty)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_who_stay_are_answered_whoever_leaves() {
        for (shares, batch) in [(1, 1), (1, 500), (3, 7)] {
            let desk = desk(shares, batch, usize::MAX);
            let mut tasks = JoinSet::new();
            for client in 0..400_usize {
                let desk = Arc::clone(&desk);
                tasks.spawn(async move {
                    for round in 0..30_usize {
                        let id = id((client * 7 + round) % 50);
                        let turns = (client + round) % 4;
                        let asked = ask(&desk, &id, turns);
                        if (client + round).is_multiple_of(3) {
                            // A request that is dropped, sooner or later.
                            let leave = MS * u32::try_from(round % 3).unwrap() / 10;
                            let _ = timeout(leave, asked).await;
                        } else {
                            assert_eq!(asked.await, id.to_string());
                        }
                    }
                });
            }
            let all = async {
                while let Some(task) = tasks.join_next().await {
                    task.unwrap();
                }
            };
            timeout(Duration::from_secs(60), all).await.expect("somebody waits in vain");
            assert!(is_empty(&desk));
            assert_eq!(desk.shares.available_permits(), shares);
        }
    }

    #[tokio::test]
    async fn known_ids_go_first_and_count_for_nothing() {
        let desk = desk(1, 2, 2);
        let asked: Arc<Mutex<Vec<TenantId>>> = Arc::default();
        let note = {
            let asked = Arc::clone(&asked);
            move |asking: Asking<String>| {
                asked.lock().extend(asking.ids.iter().cloned());
                echo(1)(asking)
            }
        };
        let new = [0, 1].map(|n| desk.join(&id(n), Rank::New).unwrap());
        assert!(desk.join(&id(2), Rank::New).is_none(), "two wait already");
        assert!(!desk.join(&id(1), Rank::New).unwrap().first, "this one waits already");
        let known = [3, 4, 5].map(|n| desk.join(&id(n), Rank::Known).unwrap());
        for joined in known.iter().chain(&new) {
            joined.ticket.answer(&note).await;
        }
        assert_eq!(*asked.lock(), [3, 4, 5, 0, 1].map(id));
        drop((known, new));
        assert!(is_empty(&desk));
    }

    #[tokio::test]
    async fn what_was_forgotten_while_it_was_asked_for_is_not_kept() {
        let desk = desk(1, 9, 9);
        let kept = Arc::new(AtomicUsize::new(0));
        let (forgotten, all) = (id(0), [0, 1].map(id));
        let answer = {
            let (desk, kept) = (Arc::clone(&desk), Arc::clone(&kept));
            move |asking: Asking<String>| {
                let (desk, kept, forgotten) =
                    (Arc::clone(&desk), Arc::clone(&kept), forgotten.clone());
                Box::pin(async move {
                    yield_now().await;
                    desk.forget(forgotten.as_str(), || {});
                    for (place, id) in asking.ids.iter().enumerate() {
                        asking.deliver(place, id.to_string(), || {
                            kept.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                }) as BoxFuture<'static, ()>
            }
        };
        let [first, second] = all.each_ref().map(|id| desk.join(id, Rank::New).unwrap());
        desk.forget(all[1].as_str(), || {});
        assert!(first.ticket.answer(&answer).await.outdated);
        let later = second.ticket.answer(&answer).await;
        assert!(!later.outdated, "it was forgotten before it was asked for");
        assert_eq!(kept.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_question_that_panics_is_asked_anew_by_the_others() {
        let desk = desk(1, 9, 9);
        let asked = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for n in 0..6 {
            let (desk, asked) = (Arc::clone(&desk), Arc::clone(&asked));
            tasks.spawn(async move {
                let answer = move |asking: Asking<String>| {
                    let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
                    Box::pin(async move {
                        sleep(MS).await;
                        assert!(!first, "on purpose");
                        echo(1)(asking).await;
                    }) as BoxFuture<'static, ()>
                };
                let joined = desk.join(&id(n % 3), Rank::New).unwrap();
                joined.ticket.answer(&answer).await.answer
            });
        }
        let mut answered = 0;
        while let Some(task) = tasks.join_next().await {
            answered += usize::from(task.is_ok());
        }
        assert_eq!(answered, 5);
        assert!(is_empty(&desk));
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_is_given_up() {
        let desk = desk(1, 9, 9);
        let hang = |asking: Asking<String>| {
            Box::pin(async move {
                let _asking = asking;
                std::future::pending::<()>().await;
            }) as BoxFuture<'static, ()>
        };
        let joined = [0, 1].map(|n| desk.join(&id(n), Rank::New).unwrap());
        for joined in &joined {
            assert!(timeout(MS, joined.ticket.answer(&hang)).await.is_err());
        }
        assert_eq!(desk.shares.available_permits(), 0);
        drop(joined);
        assert_eq!(desk.shares.available_permits(), 1);
        assert!(is_empty(&desk));
        assert_eq!(ask(&desk, &id(0), 1).await, "t0");
    }
}

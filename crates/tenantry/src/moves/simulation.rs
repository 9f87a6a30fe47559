//! Simulated movers: many orders of steps, crashes and pauses, with a catalog, two servers and writers that have heard
//! of nothing.

use super::{
    machine::{Change, Ended, Work, change, next, taken_over, work},
    stage::{MoveMethod, MoveStage},
};

/// Random numbers, the same for each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Moving,
    Cutover,
}

/// The control server: the row of the move, and the tenant's row in the catalog.
#[derive(Debug)]
struct Control {
    stage: MoveStage,
    owner: usize,
    attempt: u32,
    tries: u32,
    is_at_target: bool,
    state: State,
}

/// What a server knows of the move.
#[derive(Debug, Default)]
struct Server {
    /// The latest attempt.
    attempt: u32,
    /// Rows of the tenant's schema, if it is there.
    rows: Option<u32>,
    /// Whether the schema has the tenant's name.
    is_named: bool,
}

/// What a mover does next. Each is one transaction, so that others can come between two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    EnterSource,
    EnterTarget,
    Look,
    Work,
    Record(Ended),
    Stopped,
}

#[derive(Debug, Clone, Copy)]
struct Mover {
    attempt: u32,
    stage: MoveStage,
    next: Next,
    /// It has taken the move over, and done nothing yet.
    is_new: bool,
}

struct World {
    dice: Dice,
    method: MoveMethod,
    control: Control,
    source: Server,
    target: Server,
    movers: [Mover; 2],
    /// Rows whose writers were told that they are written.
    acknowledged: u32,
    /// Whether the servers refuse what an earlier attempt sends.
    heeds_attempts: bool,
    trace: Vec<String>,
}

const LIMIT: u32 = 3;

impl World {
    fn new(seed: u64, method: MoveMethod) -> Self {
        let stage = MoveStage::Planned;
        let first = Mover { attempt: 1, stage, next: Next::EnterSource, is_new: false };
        let stopped = Mover { attempt: 0, stage, next: Next::Stopped, is_new: false };
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            method,
            control: Control {
                stage: MoveStage::Planned,
                owner: 0,
                attempt: 1,
                tries: 0,
                is_at_target: false,
                state: State::Moving,
            },
            source: Server { attempt: 0, rows: Some(0), is_named: true },
            target: Server::default(),
            movers: [first, stopped],
            acknowledged: 0,
            heeds_attempts: true,
            trace: Vec::new(),
        }
    }

    /// A write of a process that has heard of nothing, and of one that asks the catalog.
    fn write(&mut self) {
        let at = match self.source.is_named {
            true => &mut self.source,
            false if self.control.is_at_target => &mut self.target,
            false => return,
        };
        if let Some(rows) = &mut at.rows {
            *rows += 1;
            self.acknowledged += 1;
        }
    }

    /// A process takes a move over whose owner has not been heard of: it may only be paused.
    fn take_over(&mut self, by: usize) {
        let control = &mut self.control;
        if control.stage.is_over() {
            return;
        }
        control.owner = by;
        control.attempt += 1;
        let (attempt, stage) = (control.attempt, control.stage);
        self.movers[by] = Mover { attempt, stage, next: Next::EnterSource, is_new: true };
    }

    fn is_owner(&self, by: usize) -> bool {
        let Control { owner, attempt, stage, .. } = self.control;
        owner == by && attempt == self.movers[by].attempt && stage == self.movers[by].stage
    }

    fn step(&mut self, by: usize) {
        let mover = self.movers[by];
        self.trace.push(format!("{by}: {mover:?}"));
        let after = match mover.next {
            Next::Stopped => Next::Stopped,
            Next::EnterSource => enter(&mut self.source, mover.attempt, Next::EnterTarget),
            Next::EnterTarget => enter(&mut self.target, mover.attempt, Next::Look),
            Next::Look if !self.is_owner(by) => Next::Stopped,
            Next::Look => match taken_over(mover.stage).filter(|_| mover.is_new) {
                _ if mover.stage.is_over() => Next::Stopped,
                Some(ended) => Next::Record(ended),
                None => Next::Work,
            },
            Next::Work => self.work(by),
            Next::Record(ended) => self.record(by, ended),
        };
        self.movers[by].next = after;
    }

    fn work(&mut self, by: usize) -> Next {
        let mover = self.movers[by];
        if self.dice.once_in(12) {
            return Next::Record(Ended::Badly);
        }
        let Some(work) = work(mover.stage, self.method) else { return Next::Stopped };
        let is_late = |server: &Server| self.heeds_attempts && server.attempt != mover.attempt;
        match work {
            Work::Fence | Work::Restore if is_late(&self.source) => Next::Stopped,
            Work::Fill | Work::CleanUp if is_late(&self.target) => Next::Stopped,
            Work::Fence if self.dice.once_in(3) => {
                let tries = self.control.tries + 1;
                Next::Record(Ended::Blocked { tries, limit: LIMIT })
            }
            Work::Fence => {
                self.source.is_named = false;
                Next::Record(Ended::Well)
            }
            Work::Fill => {
                self.target.rows = self.source.rows;
                Next::Record(Ended::Well)
            }
            Work::Restore => {
                self.source.is_named = true;
                Next::Record(Ended::Well)
            }
            Work::CleanUp => {
                self.target.rows = None;
                Next::Record(Ended::Well)
            }
            _ => Next::Record(Ended::Well),
        }
    }

    fn record(&mut self, by: usize, ended: Ended) -> Next {
        if !self.is_owner(by) {
            return Next::Stopped;
        }
        let from = self.control.stage;
        let to = next(from, self.method, ended);
        let control = &mut self.control;
        control.stage = to;
        if let Ended::Blocked { tries, .. } = ended {
            control.tries = tries;
        }
        match change(from, to) {
            None => {}
            Some(Change::OpenGate) => control.state = State::Moving,
            Some(Change::CloseGate) => control.state = State::Cutover,
            Some(Change::GiveUp) => control.state = State::Active,
            Some(Change::Place) => {
                control.is_at_target = true;
                control.state = State::Active;
            }
        }
        self.movers[by].stage = to;
        self.movers[by].is_new = false;
        Next::Look
    }

    fn check(&self) {
        let told = || {
            let Self { control, source, target, trace, .. } = self;
            format!("{control:?}\n{source:?} {target:?}\n{}", trace.join("\n"))
        };
        match self.control.is_at_target {
            true => {
                assert!(!self.source.is_named, "the source can be written: {}", told());
                assert_eq!(
                    self.target.rows,
                    Some(self.acknowledged),
                    "a write is lost: {}",
                    told()
                );
            }
            false => {
                assert_eq!(self.source.rows, Some(self.acknowledged), "{}", told());
                let is_served = self.control.state != State::Cutover;
                assert!(!is_served || self.source.is_named, "requests find nothing: {}", told());
            }
        }
    }

    /// Lets movers and writers go on in any order, with crashes; then one mover alone, to the end.
    fn run(mut self) -> MoveStage {
        for _ in 0..120 {
            let by = usize::from(self.dice.once_in(2));
            match self.dice.below(10) {
                0 if self.dice.once_in(3) => self.take_over(by),
                1 if self.dice.once_in(6) => self.movers[by].next = Next::Stopped,
                2..=4 => self.write(),
                _ => self.step(by),
            }
            self.check();
        }
        self.take_over(1);
        let mut steps = 0;
        while !self.control.stage.is_over() {
            self.step(1);
            self.check();
            steps += 1;
            assert!(steps < 1_000, "it does not end: {:?}", self.control);
        }
        // Whatever the other one was about to do has no effect any more.
        for _ in 0..20 {
            self.step(0);
            self.write();
            self.check();
        }
        assert_eq!(self.control.state, State::Active);
        assert_eq!(self.target.rows.is_some(), self.control.is_at_target, "{:?}", self.target);
        self.control.stage
    }
}

fn enter(server: &mut Server, attempt: u32, then: Next) -> Next {
    match server.attempt <= attempt {
        true => {
            server.attempt = attempt;
            then
        }
        false => Next::Stopped,
    }
}

#[test]
fn no_order_of_two_movers_loses_a_write_or_leaves_a_tenant_without_a_place() {
    for method in MoveMethod::ALL {
        let ends: Vec<_> = (0..20_000).map(|seed| World::new(seed, method).run()).collect();
        for stage in [MoveStage::Done, MoveStage::Undone] {
            let count = ends.iter().filter(|end| **end == stage).count();
            assert!(count > 1_000, "{stage}: {count}");
        }
    }
}

#[test]
fn without_the_number_of_the_attempt_on_the_servers_a_paused_mover_does_harm() {
    let broken = (0..20_000).any(|seed| {
        let mut world = World::new(seed, MoveMethod::UnderFence);
        world.heeds_attempts = false;
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run())).is_err()
    });
    assert!(broken, "the simulation does not find what the numbers are for");
}

//! Many processes with one budget in simulated time, which pause, crash, lose the table or the
//! server, and whose clocks jump.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    allocation::{Claim, Grant, Other, allocate},
    member::{Load, Member, State},
    sightings::{Lapsed, Row, Sight, Sightings},
};
use crate::pool::{Allowance, Moment, Stage, door};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);
const FLOOR: usize = 2;

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(u64::try_from(most.as_micros()).unwrap().max(1)))
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

/// What a process has lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    Table,
    Server,
}

struct Process {
    instance: Arc<str>,
    member: Member,
    sightings: Sightings,
    /// As the pool has it.
    allowance: Allowance,
    /// Counts the lives of the process in this place.
    life: u64,
    lives: bool,
    paused_until: Duration,
    lost: (Lost, Duration),
    /// By how much its clocks differ from the true time.
    behind: Duration,
    wall: i64,
    /// Its sessions at the server.
    sessions: usize,
    peak: usize,
    load: usize,
    asking: bool,
    beats: i64,
    /// The connections that are counted for it, as it has last written.
    standing: Option<usize>,
    waits_since: Option<Duration>,
}

#[derive(Debug)]
enum Step {
    Read,
    /// The beat is counted in the statement that has read these rows.
    Count {
        sent: Moment,
        version: u64,
        rows: Vec<Row>,
    },
    Write {
        sent: Moment,
        grant: Grant,
        change: Change,
    },
    /// A write reaches the table long after its process has given it up.
    LateWrite(Change),
    Answer {
        sent: Moment,
        grant: Option<Grant>,
    },
    Work,
}

/// What a write changes, if no other one was first.
#[derive(Debug)]
struct Change {
    version: u64,
    row: Row,
    lapsed: Vec<Lapsed>,
}

struct World {
    now: Duration,
    dice: Dice,
    budget: usize,
    /// Number of processes for which floors are set aside.
    aside: usize,
    processes: Vec<Process>,
    rows: BTreeMap<Arc<str>, Row>,
    version: u64,
    steps: BinaryHeap<Reverse<(Duration, u64, usize, u64)>>,
    what: BTreeMap<u64, Step>,
    number: u64,
    /// Sessions of processes that have crashed, which the server has not noticed yet.
    orphans: Vec<(Duration, Arc<str>, usize)>,
    total: usize,
    most: usize,
    faults: bool,
    /// The next write is delayed, and kept here.
    delays_next: bool,
    delayed: Option<Change>,
    beats: u64,
    /// After how many steps all processes are looked at.
    look_every: u64,
}

impl World {
    fn new(seed: u64, budget: usize, aside: usize, processes: usize) -> Self {
        let mut world = Self {
            now: S,
            dice: Dice(seed),
            budget,
            aside,
            processes: Vec::new(),
            rows: BTreeMap::new(),
            version: 0,
            steps: BinaryHeap::new(),
            what: BTreeMap::new(),
            number: 0,
            orphans: Vec::new(),
            total: 0,
            most: 0,
            faults: false,
            delays_next: false,
            delayed: None,
            beats: 0,
            look_every: 1 + u64::try_from(processes / 50).unwrap() * 10,
        };
        for at in 0..processes {
            world.processes.push(Process::new(at, 0, S));
        }
        world
    }

    fn start(&mut self, at: usize, within: Duration) {
        let life = self.processes[at].life + 1;
        self.processes[at] = Process::new(at, life, self.now);
        self.processes[at].lives = true;
        let after = self.dice.up_to(within);
        self.at(at, after, Step::Read);
        self.at(at, after, Step::Work);
    }

    /// Ends a process as `close` does, or as `SIGKILL` does: then the server takes a moment.
    fn end(&mut self, at: usize, killed: bool) {
        let process = &mut self.processes[at];
        process.lives = false;
        process.life += 1;
        let sessions = std::mem::take(&mut process.sessions);
        if killed {
            let until = self.now + self.dice.up_to(S * 3);
            self.orphans.push((until, Arc::clone(&process.instance), sessions));
        } else {
            self.total -= sessions;
            self.rows.remove(&process.instance);
            self.version += 1;
        }
    }

    fn at(&mut self, process: usize, after: Duration, step: Step) {
        self.number += 1;
        let life = self.processes[process].life;
        self.what.insert(self.number, step);
        self.steps.push(Reverse((self.now + after, self.number, process, life)));
    }

    /// Goes on for so long.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(Reverse((at, number, process, life))) = self.steps.peek().copied() {
            if at > end {
                break;
            }
            self.steps.pop();
            self.now = at;
            let step = self.what.remove(&number).expect("it was put there");
            let of = &self.processes[process];
            let is_on_its_way = matches!(step, Step::LateWrite(_));
            if of.life != life && !is_on_its_way {
                continue;
            }
            if of.paused_until > at && !is_on_its_way {
                let again = of.paused_until - at + self.dice.up_to(MS * 5);
                self.at(process, again, step);
                continue;
            }
            self.bury();
            self.take(process, step);
            self.check(process);
        }
        self.now = end;
        self.bury();
    }

    fn bury(&mut self) {
        let now = self.now;
        let total = &mut self.total;
        self.orphans.retain(|(until, _, sessions)| {
            let stays = *until > now;
            *total -= if stays { 0 } else { *sessions };
            stays
        });
    }

    fn take(&mut self, at: usize, step: Step) {
        match step {
            Step::Work => self.work(at),
            Step::Read => self.read(at),
            Step::Count { sent, version, rows } => self.count(at, sent, version, &rows),
            Step::Write { sent, grant, change } => self.write(at, sent, grant, change),
            Step::LateWrite(change) => drop(self.change(change)),
            Step::Answer { sent, grant } => self.answer(at, sent, grant),
        }
    }

    /// Uses connections, as the load asks for them and the allowance permits.
    fn work(&mut self, at: usize) {
        if self.faults && self.dice.one_in(400) {
            self.fail(at);
        }
        let dice = &mut self.dice;
        let most = self.processes[at].most(self.now);
        let process = &mut self.processes[at];
        if dice.one_in(20) {
            process.load = usize::try_from(dice.below(60)).unwrap();
        }
        let before = process.sessions;
        match most {
            None => process.sessions = before.min(usize::from(process.asking)),
            Some(most) if before > most => {
                // Some are in use, and come back later.
                let stuck = dice.below(u64::try_from(before - most + 1).unwrap());
                process.sessions = most + usize::try_from(stuck).unwrap();
            }
            Some(most) if process.lost.0 != Lost::Server => {
                process.sessions = before.max(process.load.min(most));
                if dice.one_in(10) {
                    process.sessions = process.load.min(most);
                }
            }
            Some(_) => {}
        }
        process.peak = process.peak.max(process.load.min(process.sessions));
        self.total = self.total + process.sessions - before;
        let next = MS * 100 + self.dice.up_to(MS * 400);
        self.at(at, next, Step::Work);
    }

    fn fail(&mut self, at: usize) {
        let long = self.dice.up_to(S * 60);
        let kind = self.dice.below(8);
        let now = self.now;
        let process = &mut self.processes[at];
        match kind {
            0 => process.paused_until = now + long,
            // Suspended with its machine: its own clock stands still.
            1 => (process.paused_until, process.behind) = (now + long, process.behind + long),
            2 => process.wall += i64::try_from(long.as_secs()).unwrap(),
            3 => process.wall -= i64::try_from(long.as_secs()).unwrap(),
            4 => process.lost = (Lost::Table, now + long),
            5 => process.lost = (Lost::Server, now + long),
            6 => {
                process.lost = (Lost::Server, now + long);
                self.total -= std::mem::take(&mut process.sessions);
            }
            _ => {
                self.end(at, true);
                self.start(at, S * 20);
            }
        }
    }

    fn read(&mut self, at: usize) {
        let now = self.now;
        let process = &mut self.processes[at];
        if process.lost.1 <= now {
            process.lost = (Lost::Nothing, Duration::MAX);
        }
        let sent = process.moment(now);
        if process.lost.0 != Lost::Nothing {
            if process.lost.0 == Lost::Table {
                let before = process.sessions;
                process.asking = true;
                process.sessions = before.max(1);
                self.total += process.sessions - before;
                process.member.heard(sent);
            }
            return self.at(at, MS * 5, Step::Answer { sent, grant: None });
        }
        process.asking = true;
        if process.sessions == 0 {
            process.sessions = 1;
            self.total += 1;
        }
        let mut rows: Vec<Row> = self.rows.values().cloned().collect();
        rows.retain(|row| row.instance != process.instance);
        let (version, after) = (self.version, self.dice.up_to(MS));
        self.at(at, after, Step::Count { sent, version, rows });
    }

    fn count(&mut self, at: usize, sent: Moment, version: u64, rows: &[Row]) {
        let (now, budget, processes, time) = (self.now, self.budget, self.aside, sent.time);
        let process = &mut self.processes[at];
        let me = Arc::clone(&process.instance);
        let load = Load {
            peak: std::mem::take(&mut process.peak),
            waiting: process.load.saturating_sub(process.sessions),
            besides: 1,
        };
        let holds = process.most(now).unwrap_or_default().max(process.sessions);
        let wanted = process.member.want(load, budget);
        let standing = process.standing;
        let mine = self.rows.get_mut(&me);
        let stands = mine.filter(|row| row.wanted == wanted && Some(row.counted) == standing);
        process.beats += 1;
        let stands = stands.map(|row| row.beats = process.beats).is_some();
        process.sightings.note(time, rows);
        let (mut others, mut lapsed) = (Vec::new(), Vec::new());
        for row in rows {
            let sessions = sessions_of(&row.instance, &self.processes, &self.orphans);
            let sight = self.processes[at].sightings.judge(time, row, sessions);
            lapsed.extend(Lapsed::of(row, sight));
            let (holds, lives) = match sight {
                Sight::Lives => (row.counted, true),
                Sight::Expired(holds) => (holds, false),
                Sight::Gone => continue,
            };
            let Row { budget, floor, wanted, .. } = *row;
            let precedes = row.instance < me;
            others.push(Other { budget, floor, wanted, holds, lives, precedes });
        }
        let grant = allocate(&Claim { budget, floor: FLOOR, processes, wanted, holds }, &others);
        let counted = grant.counted;
        if stands && standing == Some(counted) && lapsed.is_empty() {
            return self.reply(at, sent, grant);
        }
        let process = &mut self.processes[at];
        process.beats += 1;
        // Whether it arrives is not known until it is answered.
        process.standing = None;
        let beats = process.beats;
        let row = Row { instance: me, budget, floor: FLOOR, wanted, counted, beats };
        let change = Change { version, row, lapsed };
        if self.delays_next || self.faults && self.dice.one_in(100) {
            self.at(at, S * 4, Step::Answer { sent, grant: None });
            match std::mem::take(&mut self.delays_next) {
                true => self.delayed = Some(change),
                false => {
                    let after = S * 4 + self.dice.up_to(S * 60);
                    self.at(at, after, Step::LateWrite(change));
                }
            }
            return;
        }
        let after = MS + self.dice.up_to(MS * 4);
        self.at(at, after, Step::Write { sent, grant, change });
    }

    fn write(&mut self, at: usize, sent: Moment, grant: Grant, change: Change) {
        match self.change(change) {
            true => self.reply(at, sent, grant),
            false => self.read(at),
        }
    }

    /// Returns `false` if something else has changed before.
    fn change(&mut self, Change { version, row, lapsed }: Change) -> bool {
        if version != self.version {
            return false;
        }
        self.version += 1;
        let lives =
            |of: &Lapsed| self.rows.get(&of.instance).is_none_or(|row| row.beats != of.beats);
        if lapsed.iter().any(lives) {
            return false;
        }
        for Lapsed { instance, counted, .. } in &lapsed {
            match counted {
                Some(holds) => {
                    self.rows.get_mut(instance).expect("it was read").counted = *holds;
                }
                None => drop(self.rows.remove(instance)),
            }
        }
        self.rows.insert(Arc::clone(&row.instance), row);
        true
    }

    fn reply(&mut self, at: usize, sent: Moment, grant: Grant) {
        self.beats += 1;
        // Some answers are late, and some are lost.
        let late = self.faults && self.dice.one_in(50);
        let after = MS + self.dice.up_to(if late { S * 15 } else { MS * 4 });
        let lost = self.faults && self.dice.one_in(50);
        self.at(at, after, Step::Answer { sent, grant: (!lost).then_some(grant) });
    }

    fn answer(&mut self, at: usize, sent: Moment, grant: Option<Grant>) {
        let now = self.now;
        let process = &mut self.processes[at];
        process.asking = false;
        let failed = grant.is_none();
        if let Some(grant) = grant {
            process.member.answered(sent, grant);
            process.standing = Some(grant.counted);
        }
        let is_granted = matches!(process.member.state(), State::Granted { .. });
        if !grant.map_or(is_granted, |grant| grant.counted > 0) {
            self.total -= std::mem::take(&mut process.sessions);
        }
        process.allowance = process.member.allowance(process.moment(now));
        let waits = process.member.state() == State::Waiting;
        process.waits_since = waits.then(|| process.waits_since.unwrap_or(now));
        let waiting = process.load > process.most(now).unwrap_or_default();
        let pause = match waiting {
            true => process.member.pause_of_waiting(failed),
            false => process.member.pause(failed),
        };
        let pause = pause * 9 / 10 + self.dice.up_to(pause / 5);
        self.at(at, pause, Step::Read);
    }

    /// Checks what must hold at every moment.
    fn check(&mut self, at: usize) {
        self.most = self.most.max(self.total);
        assert!(self.total <= self.budget, "{} sessions at {:?}", self.total, self.now);
        let process = &self.processes[at];
        if let (State::Granted { .. }, Some(most)) =
            (process.member.state(), process.most(self.now))
        {
            assert!(most >= FLOOR, "{most} at {:?}", self.now);
        }
        if self.number.is_multiple_of(self.look_every) {
            // What they have, or could have without asking again.
            let could = |of: &Process| of.most(self.now).unwrap_or_default().max(of.sessions);
            let orphans: usize = self.orphans.iter().map(|(_, _, sessions)| sessions).sum();
            let asking = self.alive().filter(|of| of.asking && of.most(self.now).is_none()).count();
            let could = self.alive().map(could).sum::<usize>() + orphans;
            let usable = self.budget - door(self.budget) + asking;
            assert!(could <= usable, "{could} of {usable} at {:?}", self.now);
        }
    }

    fn alive(&self) -> impl Iterator<Item = &Process> {
        self.processes.iter().filter(|process| process.lives)
    }
}

fn sessions_of(
    instance: &Arc<str>,
    processes: &[Process],
    orphans: &[(Duration, Arc<str>, usize)],
) -> usize {
    let at: usize = instance.split('.').nth(1).and_then(|at| at.parse().ok()).expect("a number");
    let process = &processes[at];
    let orphans = orphans.iter().filter(|(_, of, _)| of == instance);
    let of_living = if process.instance == *instance { process.sessions } else { 0 };
    of_living + orphans.map(|(_, _, sessions)| sessions).sum::<usize>()
}

impl Process {
    fn new(at: usize, life: u64, now: Duration) -> Self {
        let none = Moment { time: now, wall: SystemTime::UNIX_EPOCH + now };
        Self {
            instance: format!("p.{at}.{life}").into(),
            member: Member::new(FLOOR),
            sightings: Sightings::default(),
            allowance: Allowance::none(none),
            life,
            lives: false,
            paused_until: Duration::ZERO,
            lost: (Lost::Nothing, Duration::MAX),
            behind: Duration::ZERO,
            wall: 0,
            sessions: 0,
            peak: 0,
            load: 1,
            asking: false,
            beats: 0,
            standing: None,
            waits_since: None,
        }
    }

    /// Returns the time by its own clocks.
    fn moment(&self, now: Duration) -> Moment {
        let wall = SystemTime::UNIX_EPOCH + S * 1_000_000 + now;
        let jump = Duration::from_secs(self.wall.unsigned_abs());
        let wall = if self.wall < 0 { wall - jump } else { wall + jump };
        Moment { time: now.saturating_sub(self.behind), wall }
    }

    fn stage(&self, now: Duration) -> Stage {
        self.allowance.stage(self.allowance.since.until(self.moment(now)))
    }

    fn most(&self, now: Duration) -> Option<usize> {
        self.allowance.connections(self.stage(now))
    }
}

/// Processes come and go while faults happen; then there are none, and everything is lent again.
fn many_processes(processes: usize, budget: usize, beats: u64) {
    let mut world = World::new(7, budget, 20, processes);
    for at in 0..processes {
        world.start(at, S * 60);
    }
    world.run(S * 90);
    world.faults = true;
    while world.beats < beats {
        world.run(S * 30);
        let at = usize::try_from(world.dice.below(u64::try_from(processes).unwrap())).unwrap();
        if world.processes[at].lives {
            world.end(at, false);
        } else {
            world.start(at, S);
        }
    }
    assert!(world.most > budget / 2, "only {} of {budget} were used", world.most);
    world.faults = false;
    world.run(S * 120);
    for process in &mut world.processes {
        process.load = if process.lives { 60 } else { 0 };
    }
    world.run(S * 5);
    let wanting = world.alive().count();
    for process in world.alive() {
        assert!(process.most(world.now) >= Some(FLOOR), "{:?}", process.member);
    }
    let lent: usize = world.alive().filter_map(|process| process.most(world.now)).sum();
    let usable = budget - door(budget) - FLOOR * 20_usize.saturating_sub(wanting);
    assert!(lent <= usable && lent * 10 >= usable * 9, "{lent} of {usable}");
}

#[test]
fn the_budget_holds_whatever_happens_to_its_processes() {
    many_processes(40, 300, 40_000);
}

/// `just simulate-budget`
#[test]
#[ignore = "two million beats take minutes"]
fn two_hundred_processes_with_ten_thousand_beats_each() {
    many_processes(200, 1_000, 2_000_000);
}

#[test]
fn a_deployment_grows_and_shrinks_and_each_process_has_its_floor_at_once() {
    let mut world = World::new(3, 100, 20, 20);
    for round in 0..20 {
        world.start(0, S);
        world.start(1, S);
        world.run(S * 20);
        for at in 2..20 {
            world.start(at, MS * 100);
        }
        for _ in 0..100 {
            world.run(MS * 100);
            let waits = world.alive().filter(|process| process.waits_since.is_some()).count();
            assert_eq!(waits, 0, "in round {round}");
        }
        assert!(world.alive().all(|process| process.most(world.now) >= Some(FLOOR)));
        for at in 0..20 {
            world.end(at, false);
        }
        world.run(S * 2);
    }
}

#[test]
fn processes_beyond_those_expected_wait_for_seconds() {
    let mut world = World::new(5, 100, 2, 30);
    world.start(0, S);
    world.start(1, S);
    world.run(S * 20);
    for process in &mut world.processes {
        process.load = 60;
    }
    world.run(S * 10);
    for at in 2..30 {
        world.start(at, S);
    }
    world.run(S * 8);
    for process in world.alive() {
        assert!(process.most(world.now) >= Some(FLOOR), "{:?}", process.member);
    }
    // The floors of these are more than there are.
    let mut world = World::new(5, 100, 2, 60);
    for at in 0..60 {
        world.start(at, S * 20);
    }
    world.run(S * 60);
    let refused = world.alive().filter(|process| process.member.state() == State::Refused);
    assert_eq!(refused.count(), 60 - 97 / FLOOR);
}

#[test]
fn one_alone_gets_everything_that_is_lent() {
    let mut world = World::new(9, 100, 4, 8);
    for at in 0..8 {
        world.start(at, S);
    }
    world.run(S * 30);
    for at in 1..8 {
        world.end(at, at % 2 == 0);
    }
    for _ in 0..600 {
        world.processes[0].load = 200;
        world.run(MS * 100);
    }
    let most = world.processes[0].most(world.now);
    assert_eq!(most, Some(100 - door(100) - 3 * FLOOR));
}

/// It uses less than is counted for it when it stops, so others take the rest once its lease has expired.
#[test]
fn a_process_that_beats_again_when_its_lease_expires_takes_nothing_that_others_have() {
    for late in 0..1_200 {
        let mut world = World::new(late, 100, 2, 2);
        for at in 0..2 {
            world.start(at, MS);
        }
        let stops = Arc::clone(&world.processes[0].instance);
        let go_on = |world: &mut World, tenths| {
            for _ in 0..tenths {
                for process in &mut world.processes {
                    process.load = 200;
                }
                world.run(MS * 100);
            }
        };
        go_on(&mut world, 100);
        let counted = world.rows[&stops].counted;
        assert!(counted > 40, "{counted}");
        let stopped = &mut world.processes[0];
        world.total -= stopped.sessions - 3;
        stopped.sessions = 3;
        stopped.paused_until = world.now + S * 15 + MS * u32::try_from(late).unwrap();
        go_on(&mut world, 200);
    }
}

/// A write that was given up arrives when its process has beaten with one statement since.
#[test]
fn a_write_that_arrives_late_changes_nothing() {
    let mut world = World::new(1, 100, 2, 2);
    let go_on = |world: &mut World, tenths: u32, used: usize| {
        for _ in 0..tenths * 2 {
            for process in &mut world.processes {
                process.load = if process.lives { 200 } else { 0 };
            }
            let process = &mut world.processes[0];
            let before = process.sessions;
            process.sessions = before.max(used);
            world.total += process.sessions - before;
            world.run(MS * 50);
        }
    };
    world.start(0, MS);
    go_on(&mut world, 200, 0);
    // The first one uses 70 in long transactions, and the second one gets the rest.
    world.start(1, MS);
    go_on(&mut world, 100, 70);
    world.processes[1].paused_until = world.now + S * 40;
    go_on(&mut world, 132, 70);
    world.total -= world.processes[0].sessions - 48;
    world.processes[0].sessions = 48;
    world.delays_next = true;
    while world.delayed.is_none() {
        go_on(&mut world, 1, 0);
    }
    // The lease of the second one expires, and the first one gets more again.
    for _ in 0..80 {
        if world.processes[0].most(world.now) > Some(49) {
            break;
        }
        go_on(&mut world, 1, 0);
    }
    assert!(world.processes[0].most(world.now) > Some(49));
    go_on(&mut world, 3, 0);
    let late = world.delayed.take().expect("it was delayed");
    assert!(late.row.counted < 50, "{late:?}");
    world.change(late);
    world.processes[1].paused_until = world.now;
    go_on(&mut world, 20, 0);
}

/// Its row is gone, and then the server answers, though not from the table.
#[test]
fn a_process_that_was_given_up_has_no_floor_until_it_is_granted_one_again() {
    let mut world = World::new(1, 24, 1, 2);
    let go_on = |world: &mut World, seconds: u32| {
        for _ in 0..seconds * 10 {
            for process in &mut world.processes {
                process.load = 60;
            }
            world.run(MS * 100);
        }
    };
    for at in 0..2 {
        world.start(at, MS);
    }
    go_on(&mut world, 20);
    let (now, process) = (world.now, &mut world.processes[0]);
    process.lost = (Lost::Server, now + S * 100);
    world.total -= std::mem::take(&mut process.sessions);
    go_on(&mut world, 60);
    assert_eq!(world.processes[1].most(world.now), Some(24 - door(24)));
    world.processes[0].lost = (Lost::Table, world.now + S * 20);
    go_on(&mut world, 15);
    assert_eq!(world.processes[0].most(world.now), None);
}

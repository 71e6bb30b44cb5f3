//! The engine without a database: what each event does to the units of one run, in plain collections. The model check holds the two equal.
//!
//! It is written from the promises of the engine's documentation, one unit at a time, and shares nothing with the statements.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dispatch, ErrorClass};
use crate::model::{Backoff, Escalation, Limits, Strategy, UnitState};

/// A unit or a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub key: String,
    pub gate: bool,
    /// True when a newer plan does without it.
    pub removed: bool,
    effort: i32,
    pub wave: u32,
    /// Its place in the order of dispatch: the largest first.
    pub order: i32,
    pub depends_on: BTreeSet<usize>,
    pub state: UnitState,
    pub pending: usize,
    pub token: i64,
    pub attempt: u32,
    pub escalation: Escalation,
    pub lost: u32,
    /// In which step it became ready.
    ready_since: usize,
}

/// What a failed or unable try leads to is decided by these.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub attempts_max: u32,
    pub backoff: Backoff,
    pub escalation: Vec<Escalation>,
    pub limits: Limits,
    pub dispatch: Dispatch,
}

/// A claim: the unit's place, its token, its attempt and its step of the escalation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub place: usize,
    pub token: i64,
    pub attempt: u32,
    pub escalation: Escalation,
}

/// One run.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub units: Vec<Unit>,
    strategy: Strategy,
    pub rules: Rules,
    /// True while units are handed out.
    pub running: bool,
    /// Recorded ends of tries, by unit, token and name.
    pub history: BTreeSet<(usize, i64, &'static str)>,
    step: usize,
}

/// What a newer plan does differently.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Add { key: String, effort: i32, wave: u32, after: BTreeSet<usize>, before: BTreeSet<usize> },
    Remove { place: usize },
    Depend { task: usize, depends_on: usize },
}

/// What a worker reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Succeeded,
    Failed(ErrorClass),
    Waiting,
    Unable,
    Released,
}

impl Reference {
    /// A run of units `(key, effort, wave)`, gates having no effort, and edges `(task, depends_on)`.
    pub fn new(units: &[(String, u32, u32)], edges: &BTreeSet<(usize, usize)>, strategy: Strategy, rules: Rules) -> Self {
        let unit = |(place, (key, effort, wave)): (usize, &(String, u32, u32))| Unit {
            key: key.clone(),
            gate: *effort == 0,
            removed: false,
            effort: i32::try_from(*effort).unwrap(),
            wave: *wave,
            order: 0,
            depends_on: edges.iter().filter(|edge| edge.0 == place).map(|edge| edge.1).collect(),
            state: UnitState::Pending,
            pending: 0,
            token: 0,
            attempt: 0,
            escalation: Escalation::Assigned,
            lost: 0,
            ready_since: 0,
        };
        let units = units.iter().enumerate().map(unit).collect();
        let mut reference = Self { units, strategy, rules, running: true, history: BTreeSet::new(), step: 0 };
        reference.rank();
        for place in 0..reference.units.len() {
            reference.units[place].pending = reference.units[place].depends_on.len();
        }
        for place in 0..reference.units.len() {
            if reference.units[place].depends_on.is_empty() {
                reference.free(place);
            }
        }
        reference
    }

    /// A new transaction begins.
    pub fn next_step(&mut self) {
        self.step += 1;
    }

    /// Which units a claim of so many takes, in the order of the plan.
    pub fn claim(&mut self, max: usize) -> Vec<Held> {
        if !self.running {
            return Vec::new();
        }
        let running = |wave: Option<u32>| {
            self.units.iter().filter(|unit| unit.state == UnitState::Running && wave.is_none_or(|wave| unit.wave == wave)).count()
        };
        let mut open: Vec<usize> = (0..self.units.len()).filter(|place| self.units[*place].state == UnitState::Ready).collect();
        open.sort_by_key(|place| (-self.units[*place].order, self.units[*place].ready_since, *place));
        if self.rules.dispatch == Dispatch::Waves {
            let front = self.units.iter().filter(|unit| !unit.gate && matches!(unit.state, UnitState::Ready | UnitState::Running));
            let front = front.map(|unit| unit.wave).min();
            open.retain(|place| Some(self.units[*place].wave) == front);
        }
        if let Some(limit) = self.rules.limits.wave {
            let mut taken: BTreeMap<u32, usize> = BTreeMap::new();
            open.retain(|place| {
                let wave = self.units[*place].wave;
                let count = taken.entry(wave).or_insert_with(|| running(Some(wave)));
                *count += 1;
                *count <= limit as usize
            });
        }
        let room = self.rules.limits.run.map_or(max, |limit| max.min((limit as usize).saturating_sub(running(None))));
        open.truncate(room);
        open.sort_unstable();
        open.into_iter().map(|place| self.take(place)).collect()
    }

    fn take(&mut self, place: usize) -> Held {
        let unit = &mut self.units[place];
        unit.state = UnitState::Running;
        unit.token += 1;
        Held { place, token: unit.token, attempt: unit.attempt, escalation: unit.escalation }
    }

    /// What a report leads to: the state, or none when it comes late.
    pub fn settle(&mut self, held: Held, report: Report) -> Option<UnitState> {
        let unit = &self.units[held.place];
        if unit.state != UnitState::Running || unit.token != held.token {
            return None;
        }
        let next = self.rules.escalation.iter().copied().filter(|step| *step > held.escalation).min();
        let (name, decision) = match report {
            Report::Succeeded => ("succeeded", Ok(UnitState::Succeeded)),
            Report::Waiting => ("waiting", Ok(UnitState::Waiting)),
            Report::Released => ("released", Ok(UnitState::Ready)),
            Report::Unable => ("waiting", next.map_or(Ok(UnitState::Failed), Err)),
            Report::Failed(ErrorClass::Transient) if self.rules.backoff != Backoff::None && held.attempt + 1 < self.rules.attempts_max => {
                ("failed", Ok(UnitState::Ready))
            }
            Report::Failed(ErrorClass::Unfit) if held.attempt + 1 < self.rules.attempts_max => ("failed", Ok(UnitState::Ready)),
            Report::Failed(ErrorClass::Transient | ErrorClass::Permanent | ErrorClass::Unfit | ErrorClass::Timeout) => {
                ("failed", next.map_or(Ok(UnitState::Failed), Err))
            }
            Report::Failed(ErrorClass::NeedsInput) if self.rules.escalation.contains(&Escalation::Person) => {
                ("failed", Err(Escalation::Person))
            }
            Report::Failed(_) => ("failed", Ok(UnitState::Failed)),
        };
        self.history.insert((held.place, held.token, name));
        let counts = matches!(report, Report::Succeeded | Report::Failed(_));
        let unit = &mut self.units[held.place];
        match decision {
            Ok(_) => unit.attempt += u32::from(counts),
            Err(step) => (unit.attempt, unit.escalation) = (0, step),
        }
        let state = match decision {
            Ok(state) => state,
            Err(Escalation::Person) => UnitState::Waiting,
            Err(_) => UnitState::Ready,
        };
        match state {
            UnitState::Ready => self.ready(held.place),
            state => self.units[held.place].state = state,
        }
        match state {
            UnitState::Succeeded => self.done(held.place),
            UnitState::Failed => self.block(),
            _ => {}
        }
        Some(state)
    }

    /// Every unit that is held is lost by its holder.
    pub fn lose_all(&mut self) -> usize {
        let held: Vec<usize> = (0..self.units.len()).filter(|place| self.units[*place].state == UnitState::Running).collect();
        for place in &held {
            self.units[*place].lost += 1;
            self.history.insert((*place, self.units[*place].token, "lost"));
            self.ready(*place);
        }
        held.len()
    }

    /// Opens finished units again, with everything behind them. False when none of them is finished.
    pub fn reopen(&mut self, places: &BTreeSet<usize>) -> bool {
        let finished = |state| matches!(state, UnitState::Succeeded | UnitState::Cached | UnitState::Failed);
        let asked: BTreeSet<usize> =
            places.iter().copied().filter(|place| !self.units[*place].gate && finished(self.units[*place].state)).collect();
        let again = self.behind(asked.clone());
        for place in &again {
            let unit = &self.units[*place];
            let open = |before: &&usize| again.contains(before) || !self.units[**before].state.done();
            let pending = unit.depends_on.iter().filter(open).count();
            let before = unit.state;
            let unit = &mut self.units[*place];
            (unit.pending, unit.attempt, unit.escalation) = (pending, 0, Escalation::Assigned);
            unit.token += 1;
            if !unit.gate && before != UnitState::Pending {
                self.history.insert((*place, self.units[*place].token, "reopened"));
            }
            match before {
                UnitState::Pending | UnitState::Cancelled => {}
                _ if asked.contains(place) && pending == 0 => self.units[*place].state = UnitState::Ready,
                _ => self.units[*place].state = UnitState::Pending,
            }
            if self.units[*place].state == UnitState::Ready {
                self.ready(*place);
            }
        }
        self.block();
        !asked.is_empty()
    }

    /// Lets those that wait be tried. Returns how many did.
    pub fn wake(&mut self, places: &BTreeSet<usize>) -> usize {
        let waiting: Vec<usize> = places.iter().copied().filter(|place| self.units[*place].state == UnitState::Waiting).collect();
        for place in &waiting {
            (self.units[*place].attempt, self.units[*place].escalation) = (0, Escalation::Assigned);
            self.ready(*place);
        }
        waiting.len()
    }

    /// Tries failed and waiting ones once more. False when none is.
    pub fn retry(&mut self, places: &BTreeSet<usize>) -> bool {
        let failed: BTreeSet<usize> = places.iter().copied().filter(|place| self.units[*place].state == UnitState::Failed).collect();
        let opened = !failed.is_empty() && self.reopen(&failed);
        self.wake(places) > 0 || opened
    }

    /// A person settles a unit that waits. False when it does not.
    pub fn decide(&mut self, place: usize, approved: bool) -> bool {
        if self.units[place].state != UnitState::Waiting {
            return false;
        }
        let unit = &mut self.units[place];
        unit.token += 1;
        unit.state = if approved { UnitState::Succeeded } else { UnitState::Failed };
        self.history.insert((place, unit.token, if approved { "handed_in" } else { "failed" }));
        if approved {
            self.done(place);
        } else {
            self.block();
        }
        true
    }

    /// Calls everything off that is not done.
    pub fn cancel(&mut self) {
        self.running = false;
        for place in 0..self.units.len() {
            let unit = &mut self.units[place];
            if !unit.state.done() && unit.state != UnitState::Cancelled {
                unit.state = UnitState::Cancelled;
                unit.token += 1;
                if !unit.gate {
                    self.history.insert((place, unit.token, "cancelled"));
                }
            }
        }
    }

    fn ready(&mut self, place: usize) {
        (self.units[place].state, self.units[place].ready_since) = (UnitState::Ready, self.step);
    }

    /// Nothing is left that it waits for.
    fn free(&mut self, place: usize) {
        if self.units[place].gate {
            self.units[place].state = UnitState::Succeeded;
            self.done(place);
        } else {
            self.ready(place);
        }
    }

    fn done(&mut self, place: usize) {
        for behind in 0..self.units.len() {
            if self.units[behind].depends_on.contains(&place) {
                self.units[behind].pending -= 1;
                if self.units[behind].pending == 0 && self.units[behind].state == UnitState::Pending {
                    self.free(behind);
                }
            }
        }
    }

    /// What waits behind something that failed, at any distance, is blocked.
    fn block(&mut self) {
        let failed = |place: &usize| matches!(self.units[*place].state, UnitState::Failed | UnitState::Cancelled);
        let failed: BTreeSet<usize> = (0..self.units.len()).filter(failed).collect();
        for place in self.behind(failed) {
            if self.units[place].state == UnitState::Pending {
                self.units[place].state = UnitState::Blocked;
            }
        }
    }

    /// Those, and what waits for them at any distance.
    fn behind(&self, mut found: BTreeSet<usize>) -> BTreeSet<usize> {
        loop {
            let next = (0..self.units.len()).filter(|place| !self.units[*place].depends_on.is_disjoint(&found));
            let before = found.len();
            found.extend(next.collect::<Vec<_>>());
            if found.len() == before {
                return found;
            }
        }
    }

    /// Each unit's place in the order of dispatch.
    fn rank(&mut self) {
        for place in 0..self.units.len() {
            self.units[place].order = match self.strategy {
                Strategy::CriticalPath | Strategy::Priority => self.longest(place),
                Strategy::Fifo => 0,
                Strategy::ShortestFirst => -self.units[place].effort,
            };
        }
    }

    fn longest(&self, place: usize) -> i32 {
        let behind = (0..self.units.len()).filter(|later| self.units[*later].depends_on.contains(&place));
        self.units[place].effort + behind.map(|later| self.longest(later)).max().unwrap_or(0)
    }

    /// A newer plan: a unit more, one less, or a dependency more.
    pub fn replan(&mut self, change: &Change) {
        match change {
            Change::Add { key, effort, wave, after, before } => {
                let place = self.units.len();
                let mut unit = Unit { depends_on: after.clone(), ..self.units[0].clone() };
                (unit.key, unit.gate, unit.removed, unit.effort, unit.wave) = (key.clone(), false, false, *effort, *wave);
                (unit.token, unit.attempt, unit.escalation, unit.lost) = (0, 0, Escalation::Assigned, 0);
                (unit.state, unit.ready_since) = (if after.is_empty() { UnitState::Ready } else { UnitState::Pending }, self.step);
                self.units.push(unit);
                for later in before {
                    self.units[*later].depends_on.insert(place);
                }
            }
            Change::Remove { place } => {
                for unit in &mut self.units {
                    unit.depends_on.remove(place);
                }
                let unit = &mut self.units[*place];
                if unit.state == UnitState::Running {
                    self.history.insert((*place, unit.token + 1, "reopened"));
                }
                (unit.gate, unit.removed, unit.state, unit.effort) = (true, true, UnitState::Cancelled, 0);
                unit.depends_on.clear();
            }
            Change::Depend { task, depends_on } => {
                self.units[*task].depends_on.insert(*depends_on);
            }
        }
        self.rank();
        self.recount();
    }

    fn recount(&mut self) {
        for unit in &mut self.units {
            if unit.state == UnitState::Blocked {
                unit.state = UnitState::Pending;
            }
            unit.token += i64::from(unit.removed);
        }
        let open = |units: &[Unit], place: usize| units[place].depends_on.iter().filter(|before| !units[**before].state.done()).count();
        // Gates that have passed wait again, one behind the other.
        while let Some(place) = (0..self.units.len())
            .find(|place| self.units[*place].gate && self.units[*place].state == UnitState::Succeeded && open(&self.units, *place) > 0)
        {
            self.units[place].state = UnitState::Pending;
        }
        let pending: Vec<usize> = (0..self.units.len()).map(|place| open(&self.units, place)).collect();
        let mut early = BTreeSet::new();
        for (place, pending) in pending.into_iter().enumerate() {
            self.units[place].pending = pending;
            let unit = &mut self.units[place];
            match unit.state {
                UnitState::Running if pending > 0 => {
                    unit.token += 1;
                    unit.state = UnitState::Pending;
                    self.history.insert((place, unit.token, "reopened"));
                }
                UnitState::Ready | UnitState::Waiting if pending > 0 => unit.state = UnitState::Pending,
                UnitState::Pending if pending == 0 && !unit.gate => self.ready(place),
                UnitState::Succeeded | UnitState::Cached | UnitState::Failed if pending > 0 && !unit.gate => {
                    early.insert(place);
                }
                _ => {}
            }
        }
        self.reopen(&early);
        while let Some(place) = (0..self.units.len())
            .find(|place| self.units[*place].gate && self.units[*place].state == UnitState::Pending && self.units[*place].pending == 0)
        {
            self.free(place);
        }
        self.block();
    }
}

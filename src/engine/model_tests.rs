//! The engine and its reference, driven by the same random events: after each they agree on every unit, every answer and every recorded try.
//!
//! `SPECWAVE_MODEL_SEQUENCES` sets how many sequences there are, `SPECWAVE_MODEL_SEED` the first one; a failure names its seed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::reference::{Change, Held, Reference, Report, Rules};
use super::testing::{ORGANIZATION, hash, plan};
use super::*;
use crate::model::{Actor, Backoff, Escalation, Limits, Plan};
use crate::store::postgres::specs::NewSpec;
use crate::store::postgres::testing::{self as database, UnitFacts};

/// Sequences that are tried when nothing else is said.
const SEQUENCES: u64 = 2_000;
/// Events of one.
const EVENTS: usize = 18;
/// Sequences at a time: each has a run of its own, all in one database.
const LANES: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_and_its_reference_agree_whatever_happens() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let sequences: u64 = number("SPECWAVE_MODEL_SEQUENCES").unwrap_or(SEQUENCES);
    let first: u64 = number("SPECWAVE_MODEL_SEED").unwrap_or(0);
    let store = database::store().await;
    let mut lanes = tokio::task::JoinSet::new();
    for lane in 0..LANES {
        let store = store.clone();
        lanes.spawn(async move {
            let mut events = 0;
            for seed in (first..first + sequences).filter(|seed| seed % LANES == lane) {
                events += Box::pin(Sequence::begin(&store, seed).await.run()).await;
            }
            events
        });
    }
    let events: usize = lanes.join_all().await.into_iter().sum();
    println!("model check: {sequences} sequences from seed {first}, {events} events, 0 disagreements");
    assert!(events as u64 >= sequences, "something happened in each");
}

struct Sequence {
    seed: u64,
    random: fastrand::Rng,
    reference: Reference,
    plan: Plan,
    engine: Engine,
    guard: RunGuard,
    actor: Actor,
    run: RunId,
    /// Claims that somebody still believes to hold, in both worlds.
    held: Vec<(Held, Claim)>,
    log: Vec<String>,
}

impl Sequence {
    async fn begin(store: &Postgres, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(2..10);
        let units: Vec<(String, u32, u32)> =
            (0..count).map(|place| (format!("u{place}"), u32::from(random.u8(0..4)), u32::try_from(place / 3).unwrap())).collect();
        let edges: BTreeSet<(usize, usize)> = (0..random.usize(0..14))
            .map(|_| (random.usize(1..count), random.usize(0..count - 1)))
            .filter(|(task, before)| before < task)
            .collect();
        let strategy = *random.choice(&Strategy::ALL).unwrap();
        let mut escalation: Vec<Escalation> = Escalation::ALL[1..].to_vec();
        escalation.retain(|_| random.bool());
        let limits =
            Limits { run: random.bool().then(|| random.u32(1..4)), wave: random.bool().then(|| random.u32(1..3)), ..Limits::default() };
        let rules = Rules {
            attempts_max: random.u32(1..4),
            backoff: if random.bool() { Backoff::Immediate } else { Backoff::None },
            escalation: escalation.clone(),
            limits: limits.clone(),
            dispatch: if random.u8(0..3) == 0 { Dispatch::Waves } else { Dispatch::Readiness },
        };
        let retry = RetryPolicy { attempts_max: rules.attempts_max, backoff: rules.backoff, escalation, ..RetryPolicy::default() };
        let options = EngineOptions { lease: Duration::from_hours(1), retry, strategy, limits, ..EngineOptions::default() };
        let engine = Engine::new(store.clone(), options);
        let actor = Actor::local("test");
        let (slug, content) = (format!("model-{seed}"), hash("one"));
        let spec = NewSpec { slug: &slug, title: "Model", content_hash: &content, source_name: "model.md", content: b"one" };
        let submission = Submission { spec, target: "fastapi", output_dir: "/tmp/out", options: &Value::Null, fresh: true };
        let run = engine.submit(&actor, &submission).await.unwrap().run;
        let Drive::Taken { guard, .. } = engine.drive(ORGANIZATION, run).await.unwrap() else { panic!("nobody else drives it") };
        let named: Vec<(&str, u32)> = units.iter().map(|unit| (unit.0.as_str(), unit.1)).collect();
        let keys: Vec<(&str, &str)> = edges.iter().map(|(task, before)| (units[*task].0.as_str(), units[*before].0.as_str())).collect();
        let mut graph = plan(&named, &keys);
        for (task, unit) in graph.tasks.iter_mut().zip(&units) {
            task.wave = Some(unit.2);
        }
        engine.load_plan(ORGANIZATION, run, &graph, |_| None).await.unwrap();
        let reference = Reference::new(&units, &edges, strategy, rules);
        Self { seed, random, reference, plan: graph, engine, guard, actor, run, held: Vec::new(), log: Vec::new() }
    }

    async fn run(mut self) -> usize {
        self.compare().await;
        for _ in 0..EVENTS {
            self.reference.next_step();
            self.event().await;
            self.compare().await;
        }
        self.engine.close().await;
        EVENTS
    }

    async fn event(&mut self) {
        match self.random.u8(0..42) {
            14..28 if !self.held.is_empty() => self.settle().await,
            28 | 29 => self.lose_leases().await,
            30 | 31 => self.reopen().await,
            32 => self.wake().await,
            33 => self.retry().await,
            34 => self.decide().await,
            35..38 => self.replan().await,
            38 => self.pause_and_resume().await,
            39 => self.crash().await,
            40 => self.reset().await,
            41 if self.random.u8(0..4) == 0 => self.cancel().await,
            _ => self.claim().await,
        }
    }

    async fn claim(&mut self) {
        let max = self.random.u32(1..4);
        self.log.push(format!("claim {max}"));
        let expect = self.reference.claim(max as usize);
        let dispatch = self.reference.rules.dispatch;
        let mut units = self.engine.claim(ORGANIZATION, self.run, max, dispatch).await.unwrap().units;
        units.sort_by_key(|unit| unit.claim.ordinal);
        let got: Vec<Held> = units
            .iter()
            .map(|ClaimedUnit { claim, .. }| Held {
                place: claim.ordinal,
                token: claim.token,
                attempt: claim.attempt,
                escalation: claim.escalation,
            })
            .collect();
        assert_eq!(got, expect, "{}", self.story());
        self.held.extend(expect.into_iter().zip(units.into_iter().map(|unit| unit.claim)));
    }

    /// Now and then the claim is kept: its holder will report once more, late.
    async fn settle(&mut self) {
        let index = self.random.usize(0..self.held.len());
        let (held, claim) = if self.random.u8(0..5) == 0 { self.held[index] } else { self.held.swap_remove(index) };
        let (report, result) = match self.random.u8(0..17) {
            0..7 => (Report::Succeeded, UnitResult::Succeeded { artifacts: Vec::new() }),
            7 | 8 => failed(ErrorClass::Transient),
            9 => failed(ErrorClass::Permanent),
            10 => failed(ErrorClass::Timeout),
            11 => failed(ErrorClass::NeedsInput),
            12 => failed(ErrorClass::Budget),
            13 => (Report::Waiting, UnitResult::Waiting { reason: "test".to_owned() }),
            14 => (Report::Unable, UnitResult::Unable { reason: "test".to_owned() }),
            15 => failed(ErrorClass::Unfit),
            _ => (Report::Released, UnitResult::Released { reason: "test".to_owned() }),
        };
        self.log.push(format!("settle {} with token {} as {report:?}", held.place, held.token));
        let expect = self.reference.settle(held, report).map_or(Settled::Late, Settled::Now);
        let settlement = Settlement { claim, result, agent: "test".to_owned(), input_hash: None, checks: Vec::new(), log: String::new() };
        assert_eq!(self.engine.settle(ORGANIZATION, settlement).await.unwrap(), expect, "{}", self.story());
    }

    async fn lose_leases(&mut self) {
        self.log.push("leases run out".to_owned());
        database::expire_units(self.engine.store(), self.run).await;
        let expect = self.reference.lose_all();
        assert_eq!(self.engine.give_back(ORGANIZATION, self.run).await.unwrap(), expect, "{}", self.story());
    }

    async fn reopen(&mut self) {
        let (places, keys) = self.some();
        self.log.push(format!("reopen {keys:?}"));
        let expect = self.reference.reopen(&places);
        assert_eq!(self.engine.reopen(&self.actor, self.run, &keys, "test").await.is_ok(), expect, "{}", self.story());
    }

    async fn wake(&mut self) {
        let (places, keys) = self.some();
        self.log.push(format!("wake {keys:?}"));
        let expect = self.reference.wake(&places);
        assert_eq!(self.engine.wake(&self.actor, self.run, &keys).await.unwrap_or(0), expect as u64, "{}", self.story());
    }

    async fn retry(&mut self) {
        let (places, keys) = self.some();
        self.log.push(format!("retry {keys:?}"));
        let expect = self.reference.retry(&places);
        assert_eq!(self.engine.retry(&self.actor, self.run, &keys, "test").await.is_ok(), expect, "{}", self.story());
    }

    async fn decide(&mut self) {
        let waiting = (0..self.reference.units.len()).find(|place| self.reference.units[*place].state == crate::model::UnitState::Waiting);
        let place = waiting.unwrap_or_else(|| self.random.usize(0..self.reference.units.len()));
        let approved = self.random.bool();
        self.log.push(format!("decide {place}: {approved}"));
        let key = self.reference.units[place].key.clone();
        let expect = self.reference.decide(place, approved);
        assert_eq!(self.engine.decide(&self.actor, self.run, &key, approved, "test").await.is_ok(), expect, "{}", self.story());
    }

    /// A newer plan: a unit is added between others, one is removed, or one more dependency is stated.
    async fn replan(&mut self) {
        if !self.reference.running {
            return;
        }
        let wanted: Vec<usize> = (0..self.reference.units.len()).filter(|place| !self.reference.units[*place].removed).collect();
        let some = |random: &mut fastrand::Rng, most: usize| -> BTreeSet<usize> {
            (0..random.usize(0..=most)).filter_map(|_| random.choice(&wanted).copied()).collect()
        };
        let change = match self.random.u8(0..3) {
            0 => {
                let (after, before) = (some(&mut self.random, 3), some(&mut self.random, 2));
                // What is to come after the new one must not come before it.
                let before = before.into_iter().filter(|later| after.iter().all(|earlier| !self.waits(*earlier, *later))).collect();
                let key = format!("n{}", self.reference.units.len());
                Change::Add { key, effort: self.random.i32(1..4), wave: self.random.u32(0..3), after, before }
            }
            1 => match wanted.iter().find(|place| !self.reference.units[**place].gate && self.random.bool()) {
                Some(place) => Change::Remove { place: *place },
                None => return,
            },
            _ => {
                let (Some(task), Some(depends_on)) = (self.random.choice(&wanted).copied(), self.random.choice(&wanted).copied()) else {
                    return;
                };
                if self.waits(depends_on, task) || self.reference.units[task].depends_on.contains(&depends_on) {
                    return;
                }
                Change::Depend { task, depends_on }
            }
        };
        self.log.push(format!("{change:?}"));
        self.change_plan(&change);
        self.reference.replan(&change);
        let mut tx = self.engine.store().tenant(ORGANIZATION).await.unwrap();
        self.engine.replan_in(&mut tx, &self.actor, self.run, &self.plan, |_| None, (&[], "test")).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// True when `later` is `earlier`, or waits for it at any distance.
    fn waits(&self, later: usize, earlier: usize) -> bool {
        later == earlier || self.reference.units[later].depends_on.iter().any(|before| self.waits(*before, earlier))
    }

    fn change_plan(&mut self, change: &Change) {
        let key = |place: &usize| self.reference.units[*place].key.clone();
        let edge = |task: String, depends_on: String| crate::model::Dependency { task, depends_on, reason: "test".to_owned() };
        match change {
            Change::Add { key: new, effort, wave, after, before } => {
                let mut task = plan(&[(new.as_str(), effort.unsigned_abs())], &[]).tasks.remove(0);
                task.wave = Some(*wave);
                self.plan.tasks.push(task);
                self.plan.dependencies.extend(after.iter().map(|earlier| edge(new.clone(), key(earlier))));
                self.plan.dependencies.extend(before.iter().map(|later| edge(key(later), new.clone())));
            }
            Change::Remove { place } => {
                let gone = key(place);
                self.plan.tasks[*place].role = crate::model::Role::Removed;
                self.plan.dependencies.retain(|edge| edge.task != gone && edge.depends_on != gone);
            }
            Change::Depend { task, depends_on } => self.plan.dependencies.push(edge(key(task), key(depends_on))),
        }
    }

    async fn pause_and_resume(&mut self) {
        if !self.reference.running {
            return;
        }
        self.log.push("pause and resume".to_owned());
        self.engine.pause(&self.actor, self.run, "test").await.unwrap();
        let paused = self.engine.claim(ORGANIZATION, self.run, 5, Dispatch::Readiness).await.unwrap();
        assert_eq!((paused.units.len(), paused.outlook.unwrap().held_up), (0, 0), "{}", self.story());
        self.engine.resume(&self.actor, self.run).await.unwrap();
        self.drive().await;
    }

    /// The process dies; another one takes over everything that it held.
    async fn crash(&mut self) {
        self.log.push("crash".to_owned());
        let next = Engine::new(self.engine.store().clone(), self.engine.options().clone());
        std::mem::replace(&mut self.engine, next).close().await;
        if self.reference.running {
            self.reference.lose_all();
            self.drive().await;
        }
    }

    async fn reset(&mut self) {
        if !self.reference.running {
            return;
        }
        self.log.push("reset".to_owned());
        let expect = self.reference.lose_all();
        assert_eq!(self.engine.reset(&self.actor, self.run, "test").await.unwrap(), expect, "{}", self.story());
        assert!(!self.engine.renew(&self.guard).await.unwrap(), "{}", self.story());
        self.drive().await;
    }

    async fn cancel(&mut self) {
        if !self.reference.running {
            return;
        }
        self.log.push("cancel".to_owned());
        self.reference.cancel();
        self.engine.cancel(&self.actor, self.run, "test").await.unwrap();
    }

    async fn drive(&mut self) {
        match self.engine.drive(ORGANIZATION, self.run).await.unwrap() {
            Drive::Taken { guard, .. } => self.guard = guard,
            other => panic!("{other:?}: {}", self.story()),
        }
    }

    fn some(&mut self) -> (BTreeSet<usize>, Vec<String>) {
        let count = self.reference.units.len();
        let places: BTreeSet<usize> = (0..self.random.usize(1..4)).map(|_| self.random.usize(0..count)).collect();
        let keys = places.iter().map(|place| self.reference.units[*place].key.clone()).collect();
        (places, keys)
    }

    async fn compare(&self) {
        let expect = |unit: &super::reference::Unit| UnitFacts {
            state: unit.state.as_str().to_owned(),
            pending: i32::try_from(unit.pending).unwrap(),
            token: unit.token,
            attempt: unit.attempt.cast_signed(),
            escalation: unit.escalation.number(),
            lost: unit.lost.cast_signed(),
            leased: unit.state == crate::model::UnitState::Running,
            queued: i64::from(unit.state == crate::model::UnitState::Ready),
        };
        let (units, history) = database::unit_facts(self.engine.store(), self.run).await;
        let wanted: Vec<UnitFacts> = self.reference.units.iter().map(expect).collect();
        assert_eq!(units, wanted, "{}", self.story());
        let wanted: Vec<(i32, i64, String)> = self
            .reference
            .history
            .iter()
            .map(|(place, token, outcome)| (i32::try_from(*place).unwrap(), *token, (*outcome).to_owned()))
            .collect();
        assert_eq!(history, wanted, "{}", self.story());
    }

    fn story(&self) -> String {
        let edges: Vec<String> =
            self.reference.units.iter().map(|unit| format!("{} wave {} after {:?}", unit.key, unit.wave, unit.depends_on)).collect();
        format!("seed {}: {edges:#?}\n{:#?}\n{}", self.seed, self.reference.rules, self.log.join("\n"))
    }
}

fn failed(class: ErrorClass) -> (Report, UnitResult) {
    (Report::Failed(class), UnitResult::Failed { class, error: "test".to_owned() })
}

//! The engine alone on graphs of known shape: how long it takes to carry a whole plan to its end, every step durable, when the work itself
//! is nothing or a wait.
//!
//! `cargo bench --bench dagbench`, on the PostgreSQL of the settings; with words after `--` only what a row's name holds one of, and nothing
//! is written down. A time is that of the execution, from the first claim to the
//! commit of the last unit; storing the plan is measured apart. Rows that begin with `peers` are of other durable engines and ours beside each
//! other, see `peers/mod.rs`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]
#![expect(clippy::cast_precision_loss, reason = "counts of units are far below what a double holds")]

mod ledger;
mod peers;
mod process;
mod shapes;

#[path = "../measure/mod.rs"]
mod measure;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::Ledger;
use measure::Table;
use shapes::Shape;
use specwave::app;
use specwave::config::Config;
use specwave::engine::{ClaimedUnit, Dispatch, Drive, Engine, EngineOptions, Settlement, Submission, UnitResult};
use specwave::model::{Actor, OrganizationId, RunEvent, RunId};
use specwave::store::postgres::specs::NewSpec;

/// How often each plan is carried to its end; fewer for the large one.
const ROUNDS: usize = 11;
const ROUNDS_LARGE: usize = 3;
const ROUNDS_FEW: usize = 4;
/// Units that one claim takes when a process works on a run alone.
const BATCH: u32 = 1_000;
/// The wait that stands for work.
const WORK: Duration = Duration::from_millis(20);
/// How long the engine is kept at work, with the word `sustained`.
const SUSTAINED: Duration = Duration::from_mins(5);

/// How units are taken.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// One claimer takes whatever is ready.
    Batch,
    /// So many workers, each one unit after the other.
    Workers(usize),
}

#[tokio::main]
async fn main() {
    let config = Config::load(&[]).unwrap();
    let postgres = app::connect(&config).await.unwrap();
    if let Some((run, workers)) = process::task() {
        return process::work(postgres, run, workers).await;
    }
    if peers::adapter() {
        return peers::ours::main(postgres).await;
    }
    let only: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (partial, engine) = (!only.is_empty(), Engine::new(postgres.clone(), EngineOptions::default()));
    let bench = Bench { engine, actor: Actor::local("bench"), ledger: Ledger::open(&config).await, only };
    let mut table = Table::new("dagbench");
    let layered = shapes::layered(20, 50);
    bench.measure(&mut table, &layered, Mode::Batch, Duration::ZERO, Some(Duration::from_millis(130))).await;
    for workers in [1, 4, 16] {
        let goal = (workers == 16).then_some(Duration::from_secs(1));
        bench.measure(&mut table, &layered, Mode::Workers(workers), Duration::ZERO, goal).await;
    }
    bench.two_processes(&mut table, &layered).await;
    // 20 layers, one behind the other, cannot take less than 20 times the wait; 15 of 100 more is the goal.
    bench.measure(&mut table, &layered, Mode::Batch, WORK, Some(WORK * 20 * 115 / 100)).await;
    // As many workers as a layer is wide: nobody waits for a worker, only for the engine.
    bench.measure(&mut table, &shapes::layered(20, 16), Mode::Workers(16), WORK, None).await;
    bench.curve(&mut table).await;
    bench.sustained(&mut table).await;
    for shape in [shapes::chain(1_000), shapes::fan(1_000), shapes::random(1_000, 20), shapes::wide(10_000)] {
        bench.measure(&mut table, &shape, Mode::Batch, Duration::ZERO, None).await;
    }
    peers::measure(&bench, &mut table, &config).await;
    let durable = Ledger::open(&config).await.durability().await;
    table.note(format!(
        "In batch mode one process claims at most {BATCH} units at once and settles them together; otherwise each worker claims one, performs \
         it and settles it. PostgreSQL {}, {durable}; nothing is answered before it is committed. Peak memory of this process: {} MB.",
        postgres.info().await.unwrap().version,
        process::peak_memory_mb()
    ));
    bench.engine.close().await;
    postgres.close().await.unwrap();
    if !partial {
        table.write();
    }
}

struct Bench {
    engine: Engine,
    actor: Actor,
    ledger: Ledger,
    /// Words of which a row's name must hold one; none for all rows.
    only: Vec<String>,
}

/// What one execution took.
#[derive(Default)]
struct Times {
    whole: Vec<Duration>,
    loads: Vec<Duration>,
    /// From the settling of the last dependency to the claim.
    lags: Vec<Duration>,
}

impl Bench {
    async fn measure(&self, table: &mut Table, shape: &Shape, mode: Mode, work: Duration, goal: Option<Duration>) {
        let how = match mode {
            Mode::Batch => "in batches".to_owned(),
            Mode::Workers(1) => "1 worker".to_owned(),
            Mode::Workers(count) => format!("{count} workers"),
        };
        let what = if work.is_zero() { "no work".to_owned() } else { format!("{} ms of work each", work.as_millis()) };
        let name = format!("{}, {how}, {what}", shape.name);
        if !self.wanted(&name) {
            return;
        }
        let rounds = if shape.units > 1_000 { ROUNDS_LARGE } else { ROUNDS };
        let mut times = Times::default();
        let before = self.ledger.read().await;
        for _ in 0..=rounds {
            self.execute(shape, mode, work, &mut times).await;
        }
        let written = self.ledger.read().await.since(before, rounds + 1);
        // The first one warmed up.
        times.whole.remove(0);
        times.whole.sort_unstable();
        let median = times.whole[times.whole.len() / 2];
        let verdict = |goal: Duration| {
            let holds = if median <= goal { "holds" } else { "does not hold" };
            format!("goal: at most {} ms; {holds}", goal.as_millis())
        };
        let each = median.as_secs_f64() * 1_000_000.0 / f64::from(u32::try_from(shape.units).unwrap());
        let remark = [format!("{each:.0} µs a unit"), written, goal.map(verdict).unwrap_or_default()];
        let remark = remark.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        table.add(name, times.whole, remark);
        if !times.lags.is_empty() {
            // With nothing to do a unit waits for a worker, not for the engine: the goal is for those who are free.
            let goal = if work.is_zero() { "" } else { "goal: p95 at most 10 ms" };
            table.add(format!("{}, {how}, {what}: from the last dependency to the start", shape.name), times.lags, goal);
        }
        if matches!(mode, Mode::Batch) && work.is_zero() {
            table.add(format!("{}: the plan is stored", shape.name), times.loads, "");
        }
    }

    async fn execute(&self, shape: &Shape, mode: Mode, work: Duration, times: &mut Times) {
        let organization = self.actor.organization;
        let run = self.submit(organization).await;
        let Drive::Taken { guard, .. } = self.engine.drive(organization, run).await.unwrap() else { panic!("nobody else knows it") };
        let started = Instant::now();
        self.engine.load_plan(organization, run, &shape.plan, |_| None).await.unwrap();
        times.loads.push(started.elapsed());
        let started = Instant::now();
        match mode {
            Mode::Batch => self.batch(organization, run, work).await,
            Mode::Workers(count) => {
                let ended = Arc::new(Mutex::new(HashMap::with_capacity(shape.units)));
                let working = (0..count).map(|_| self.worker(shape, organization, run, work, &ended));
                let lags = futures_util::future::join_all(working).await;
                times.lags.extend(lags.into_iter().flatten());
            }
        }
        times.whole.push(started.elapsed());
        let snapshot = self.engine.snapshot(organization, run).await.unwrap();
        assert!(snapshot.units.iter().all(|unit| unit.state.as_str() == "succeeded"), "every unit is done");
        self.engine.finish(&guard, RunEvent::Succeed, "").await.unwrap();
    }

    fn wanted(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }

    /// Two processes with 8 workers each, by the database's clock: from the first claim to the last settlement.
    async fn two_processes(&self, table: &mut Table, shape: &Shape) {
        let name = format!("{}, 2 processes with 8 workers each, no work", shape.name);
        if !self.wanted(&name) {
            return;
        }
        let mut times = Vec::new();
        for _ in 0..ROUNDS_FEW {
            let organization = self.actor.organization;
            let run = self.submit(organization).await;
            let Drive::Taken { guard, .. } = self.engine.drive(organization, run).await.unwrap() else { panic!("nobody else knows it") };
            self.engine.load_plan(organization, run, &shape.plan, |_| None).await.unwrap();
            let mut working: Vec<_> = (0..2).map(|_| process::start(run, 8)).collect();
            for process in &mut working {
                assert!(process.wait().unwrap().success(), "a process ended badly");
            }
            times.push(self.ledger.took(run).await);
            self.engine.finish(&guard, RunEvent::Succeed, "").await.unwrap();
        }
        times.remove(0);
        table.add(name, times, "");
    }

    /// The cost of a unit as plans grow.
    async fn curve(&self, table: &mut Table) {
        for (depth, width) in [(20, 50), (100, 100), (200, 500)] {
            let name = format!("{} units, {depth}×{width}, in batches", depth * width);
            if !self.wanted(&name) {
                continue;
            }
            let shape = shapes::layered(depth, width);
            let mut times = Times::default();
            let rounds = if shape.units > 10_000 { 1 } else { ROUNDS_FEW };
            for _ in 0..rounds {
                self.execute(&shape, Mode::Batch, Duration::ZERO, &mut times).await;
            }
            times.whole.sort_unstable();
            let each = times.whole[times.whole.len() / 2].as_secs_f64() * 1_000_000.0 / f64::from(u32::try_from(shape.units).unwrap());
            table.add(name, times.whole, format!("{each:.0} µs a unit; peak memory so far {} MB", process::peak_memory_mb()));
        }
    }

    /// One plan after the other for minutes: units a minute, and whether time and memory stay what they were.
    async fn sustained(&self, table: &mut Table) {
        if !self.only.iter().any(|word| word == "sustained") {
            return;
        }
        let shape = shapes::layered(100, 100);
        let (begun, mut minute, mut units, mut times) = (Instant::now(), Instant::now(), 0, Times::default());
        while begun.elapsed() < SUSTAINED {
            self.execute(&shape, Mode::Batch, Duration::ZERO, &mut times).await;
            units += shape.units;
            if minute.elapsed() > Duration::from_mins(1) {
                eprintln!("{:.0} s: {units} units, peak memory {} MB", begun.elapsed().as_secs_f64(), process::peak_memory_mb());
                minute = Instant::now();
            }
        }
        let a_minute = units as f64 / begun.elapsed().as_secs_f64() * 60.0;
        let (first, last) = (times.whole[0].as_secs_f64(), times.whole[times.whole.len() - 1].as_secs_f64());
        let remark = format!(
            "{a_minute:.0} units a minute, their plans stored too (goal: at least 20000); the first took {first:.1} s, the last {last:.1} s; peak memory {} MB",
            process::peak_memory_mb()
        );
        table.add(format!("{} units, again and again for {} s", shape.units, SUSTAINED.as_secs()), times.whole, remark);
    }

    async fn submit(&self, organization: OrganizationId) -> RunId {
        let name = format!("bench-{}", RunId::new());
        let hash = hex::encode([0_u8; 32]);
        let spec = NewSpec { slug: &name, title: "Bench", content_hash: &hash, source_name: "bench.md", content: b"bench" };
        let options = serde_json::Value::Null;
        let submission = Submission { spec, target: "fastapi", output_dir: &name, options: &options, fresh: false };
        assert_eq!(organization, self.actor.organization);
        self.engine.submit(&self.actor, &submission).await.unwrap().run
    }

    /// Takes whatever is ready; each unit is performed and settled by itself, and the engine's writer commits what comes together.
    async fn batch(&self, organization: OrganizationId, run: RunId, work: Duration) {
        let mut performing = tokio::task::JoinSet::new();
        loop {
            let units = self.engine.claim_next(organization, run, BATCH, Dispatch::Readiness).await.unwrap();
            if units.is_empty() {
                break;
            }
            for unit in units {
                let engine = self.engine.clone();
                performing.spawn(async move { perform(&engine, organization, &unit, work).await });
            }
            while let Some(ended) = performing.try_join_next() {
                ended.unwrap();
            }
        }
        performing.join_all().await;
    }

    /// One unit after the other, until none is left.
    async fn worker(
        &self,
        shape: &Shape,
        organization: OrganizationId,
        run: RunId,
        work: Duration,
        ended: &Mutex<HashMap<String, Instant>>,
    ) -> Vec<Duration> {
        let mut lags = Vec::new();
        loop {
            let mut units = self.engine.claim_next(organization, run, 1, Dispatch::Readiness).await.unwrap();
            let Some(unit) = units.pop() else { return lags };
            let now = Instant::now();
            {
                let ended = ended.lock().unwrap();
                let dependencies = shape.dependencies(&unit.key);
                // One that has ended and does not know it yet has ended just now.
                let last = dependencies.iter().map(|dependency| ended.get(dependency).copied().unwrap_or(now)).max();
                lags.extend(last.map(|last| now.saturating_duration_since(last)));
            }
            perform(&self.engine, organization, &unit, work).await;
            ended.lock().unwrap().insert(unit.key, Instant::now());
        }
    }
}

async fn perform(engine: &Engine, organization: OrganizationId, unit: &ClaimedUnit, work: Duration) {
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
    settle(engine, organization, unit).await;
}

async fn settle(engine: &Engine, organization: OrganizationId, unit: &ClaimedUnit) {
    let result = UnitResult::Succeeded { artifacts: Vec::new() };
    let (checks, log) = (Vec::new(), String::new());
    let settlement = Settlement { claim: unit.claim, result, agent: "bench".to_owned(), input_hash: None, checks, log };
    engine.settle(organization, settlement).await.unwrap();
}

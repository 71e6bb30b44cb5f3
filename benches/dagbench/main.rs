//! The engine alone on graphs of known shape: how long it takes to carry a whole plan to its end, every step durable, when the work itself
//! is nothing or a wait.
//!
//! `cargo bench --bench dagbench`, on the PostgreSQL of the settings; with words after `--` only what a row's name holds one of, and nothing
//! is written down. A time is that of the execution, from the first claim to the
//! commit of the last unit; storing the plan is measured apart.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

mod shapes;

#[path = "../measure/mod.rs"]
mod measure;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
/// Units that one claim takes when a process works on a run alone.
const BATCH: u32 = 1_000;
/// The wait that stands for work.
const WORK: Duration = Duration::from_millis(20);
/// How long a worker waits before it looks again without having been woken.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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
    let only: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (partial, engine) = (!only.is_empty(), Engine::new(postgres.clone(), EngineOptions::default()));
    let bench = Bench { engine, actor: Actor::local("bench"), only };
    let mut table = Table::new("dagbench");
    let layered = shapes::layered(20, 50);
    bench.measure(&mut table, &layered, Mode::Batch, Duration::ZERO, Some(Duration::from_millis(130))).await;
    for workers in [1, 4, 16] {
        let goal = (workers == 16).then_some(Duration::from_secs(1));
        bench.measure(&mut table, &layered, Mode::Workers(workers), Duration::ZERO, goal).await;
    }
    bench.measure(&mut table, &layered, Mode::Batch, WORK, None).await;
    for shape in [shapes::chain(1_000), shapes::fan(1_000), shapes::random(1_000, 20), shapes::wide(10_000)] {
        bench.measure(&mut table, &shape, Mode::Batch, Duration::ZERO, None).await;
    }
    table.note(format!(
        "In batch mode one process claims at most {BATCH} units at once and settles them together; otherwise each worker claims one, performs \
         it and settles it. PostgreSQL {}, as the settings have it; nothing is answered before it is committed.",
        postgres.info().await.unwrap().version
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
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return;
        }
        let rounds = if shape.units > 1_000 { ROUNDS_LARGE } else { ROUNDS };
        let mut times = Times::default();
        for _ in 0..=rounds {
            self.execute(shape, mode, work, &mut times).await;
        }
        // The first one warmed up.
        times.whole.remove(0);
        times.whole.sort_unstable();
        let median = times.whole[times.whole.len() / 2];
        let verdict = |goal: Duration| {
            let holds = if median <= goal { "holds" } else { "does not hold" };
            format!("goal: at most {} ms; {holds}", goal.as_millis())
        };
        let each = median.as_secs_f64() * 1_000_000.0 / f64::from(u32::try_from(shape.units).unwrap());
        let remark = [format!("{each:.0} µs a unit"), goal.map(verdict).unwrap_or_default()];
        let remark = remark.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
        table.add(name, times.whole, remark);
        if !times.lags.is_empty() {
            table.add(format!("{}, {how}: from the last dependency to the start", shape.name), times.lags, "goal: p95 at most 10 ms");
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
        let mut changes = self.engine.changes();
        let mut performing = tokio::task::JoinSet::new();
        loop {
            changes.mark_unchanged();
            let claimed = self.engine.claim(organization, run, BATCH, Dispatch::Readiness).await.unwrap();
            for unit in claimed.units {
                let engine = self.engine.clone();
                performing.spawn(async move { perform(&engine, organization, &unit, work).await });
            }
            if performing.is_empty() {
                return;
            }
            tokio::select! {
                _ = changes.changed() => {}
                Some(ended) = performing.join_next() => ended.unwrap(),
            }
            while let Some(ended) = performing.try_join_next() {
                ended.unwrap();
            }
        }
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
        let (mut changes, mut lags) = (self.engine.changes(), Vec::new());
        loop {
            changes.mark_unchanged();
            let claimed = self.engine.claim(organization, run, 1, Dispatch::Readiness).await.unwrap();
            let Some(unit) = claimed.units.into_iter().next() else {
                if claimed.outlook.is_none_or(|outlook| outlook.running == 0) {
                    return lags;
                }
                drop(tokio::time::timeout(LOOK_EVERY, changes.changed()).await);
                continue;
            };
            let now = Instant::now();
            let last = {
                let ended = ended.lock().unwrap();
                shape.dependencies(&unit.key).iter().filter_map(|dependency| ended.get(dependency).copied()).max()
            };
            lags.extend(last.map(|last| now.saturating_duration_since(last)));
            perform(&self.engine, organization, &unit, work).await;
            ended.lock().unwrap().insert(unit.key, Instant::now());
        }
    }
}

async fn perform(engine: &Engine, organization: OrganizationId, unit: &ClaimedUnit, work: Duration) {
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
    let result = UnitResult::Succeeded { artifacts: Vec::new() };
    let (checks, log) = (Vec::new(), String::new());
    let settlement = Settlement { claim: unit.claim, result, agent: "bench".to_owned(), input_hash: None, checks, log };
    engine.settle(organization, settlement).await.unwrap();
}

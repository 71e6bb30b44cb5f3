//! One worker: a process around the real engine, whose work is to append a line to a file.
//!
//! Whoever gets the run drives it; all of them claim, heartbeat, sweep and follow the outbox, until the run has ended. What the database
//! refuses in passing is tried again; anything else ends the process with an error.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use specwave::engine::{
    Claim, ClaimedUnit, Dispatch, Drive, Engine, EngineError, EngineOptions, ErrorClass, RetryPolicy, RunGuard, Settled, Settlement,
    UnitResult,
};
use specwave::failpoint;
use specwave::model::id::LOCAL_ORGANIZATION;
use specwave::model::{Artifact, RunEvent, RunId, UnitState};
use specwave::store::postgres::{Postgres, PostgresConfig, StoreError, artifacts};
use specwave::store::projection::relay::{self, Step};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::dag::{Dag, Shape};
use crate::effects::{Deed, Effects};
use crate::sink::Sink;

/// The variable that a worker reads its settings from.
pub const SETTINGS: &str = "SPECWAVE_CRASH_WORKER";
/// How often it looks again for what other processes changed, and after something was refused in passing.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it looks for changes to follow.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// Heartbeats in the time of a lease.
const BEATS: u32 = 3;
/// For how long what was made is offered to a database that is away.
const STORE_WITHIN: Duration = Duration::from_secs(30);
/// How long it waits for the database to let it in.
const CONNECT_WITHIN: Duration = Duration::from_mins(1);

/// What a worker is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Where the facts are.
    pub url: String,
    /// Where the sink is.
    pub sink_url: String,
    /// The run.
    pub run: RunId,
    /// Its plan.
    pub shape: Shape,
    /// The file of effects.
    pub effects: PathBuf,
    /// The worker's name, which need not be its alone.
    pub name: String,
    /// How long a lease lasts, in milliseconds.
    pub lease_ms: u64,
    /// Units at once.
    pub at_once: usize,
    /// Connections that it may hold.
    pub connections: u32,
    /// By how many hours the clock of its machine is off.
    pub clock_off_hours: i64,
    /// True: units read the files of their dependencies and leave one.
    pub files: bool,
}

struct Worker {
    settings: Settings,
    engine: Engine,
    dag: Dag,
    effects: Effects,
    held: Mutex<BTreeMap<(usize, i64), Claim>>,
    guard: Mutex<Option<RunGuard>>,
    ended: CancellationToken,
}

/// Connects, as often as it takes.
pub async fn connect(url: &str, connections_max: u32) -> anyhow::Result<Postgres> {
    let config = PostgresConfig { url: Some(url.to_owned()), data_dir: PathBuf::new(), offline: true, connections_max };
    let deadline = Instant::now() + CONNECT_WITHIN;
    loop {
        match Postgres::connect(&config).await {
            Ok(store) => return Ok(store),
            Err(error) if error.is_transient() && Instant::now() < deadline => tokio::time::sleep(LOOK_EVERY).await,
            Err(error) => return Err(error).context("the worker cannot connect"),
        }
    }
}

/// Fails when the clock of this process is not as far off as it is meant to be.
async fn check_clock(store: &Postgres, off_hours: i64) -> anyhow::Result<()> {
    let mut system = store.system().await?;
    let database: i64 = sqlx::query_scalar("select extract(epoch from now())::bigint").fetch_one(&mut *system).await?;
    system.commit().await?;
    let here = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let off_secs = here - database;
    anyhow::ensure!((off_secs - off_hours * 3_600).abs() < 600, "the clock is off by {off_secs} s, and not by {off_hours} h");
    Ok(())
}

/// How the engine of a worker, or of who watches, behaves.
pub fn options(settings: &Settings) -> EngineOptions {
    let retry = RetryPolicy { base: Duration::from_millis(20), ..RetryPolicy::default() };
    EngineOptions { lease: Duration::from_millis(settings.lease_ms), retry, ..EngineOptions::default() }
}

/// Works until the run has ended.
pub async fn work(settings: Settings) -> anyhow::Result<()> {
    let store = connect(&settings.url, settings.connections).await?;
    check_clock(&store, settings.clock_off_hours).await?;
    let engine = Engine::new(store.clone(), options(&settings));
    let worker = Arc::new(Worker {
        dag: Dag::new(settings.shape),
        effects: Effects::open(&settings.effects, &settings.name),
        engine,
        held: Mutex::default(),
        guard: Mutex::default(),
        ended: CancellationToken::new(),
        settings,
    });
    let keeping = tokio::spawn(Arc::clone(&worker).keep());
    let following = tokio::spawn(Arc::clone(&worker).follow());
    let worked = Arc::clone(&worker).claim_all().await;
    worker.ended.cancel();
    let (kept, followed) = tokio::join!(keeping, following);
    worker.engine.close().await;
    store.close().await?;
    worked.and(kept?).and(followed?)
}

impl Worker {
    fn holds(&self) -> Vec<Claim> {
        self.held.lock().unwrap().values().copied().collect()
    }

    /// Claims and performs until the run has ended.
    async fn claim_all(self: Arc<Self>) -> anyhow::Result<()> {
        let (mut performing, mut claiming) = (JoinSet::new(), None);
        while !self.ended.is_cancelled() {
            let room = self.settings.at_once - performing.len();
            if room > 0 && claiming.is_none() {
                claiming = Some(Box::pin(Arc::clone(&self).claim(u32::try_from(room).unwrap())));
            }
            tokio::select! {
                claimed = async { claiming.as_mut().unwrap().await }, if claiming.is_some() => {
                    claiming = None;
                    for unit in claimed? {
                        self.held.lock().unwrap().insert((unit.claim.ordinal, unit.claim.token), unit.claim);
                        performing.spawn(Arc::clone(&self).perform(unit));
                    }
                }
                Some(ended) = performing.join_next() => ended??,
                () = self.ended.cancelled() => {}
            }
        }
        while let Some(ended) = performing.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Waits for units. Where none can come any more, the run is ended by whoever drives it, and looked at again a moment later.
    async fn claim(self: Arc<Self>, room: u32) -> anyhow::Result<Vec<ClaimedUnit>> {
        // Who drives has loaded the plan: what is found from here on is all there is.
        let guard = *self.guard.lock().unwrap();
        let claimed = self.engine.claim_next(LOCAL_ORGANIZATION, self.settings.run, room, Dispatch::Readiness).await;
        match claimed {
            Ok(units) if units.is_empty() => {}
            Ok(units) => return Ok(units),
            Err(error) => passing(Err(error))?,
        }
        passing(self.finish(guard).await)?;
        tokio::time::sleep(LOOK_EVERY).await;
        Ok(Vec::new())
    }

    /// Ends the run, when this worker drives it and nothing is left to do.
    async fn finish(&self, guard: Option<RunGuard>) -> Result<(), EngineError> {
        let Some(guard) = guard else { return Ok(()) };
        let snapshot = self.engine.snapshot(LOCAL_ORGANIZATION, self.settings.run).await?;
        let all = snapshot.units.iter().all(|unit| unit.state == UnitState::Succeeded);
        let event = if all { RunEvent::Succeed } else { RunEvent::Fail };
        self.engine.finish(&guard, event, "nothing is left to do").await?;
        self.ended.cancel();
        Ok(())
    }

    /// Heartbeat, sweep, and driving: the run is taken when nobody else drives it.
    async fn keep(self: Arc<Self>) -> anyhow::Result<()> {
        let mut every = tokio::time::interval(self.engine.options().lease / BEATS);
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = self.ended.cancelled() => return Ok(()),
            }
            // What is lost is worked on all the same: whoever settles it is refused, which is what is to be seen.
            passing(self.engine.heartbeat(LOCAL_ORGANIZATION, &self.holds()).await.map(drop))?;
            passing(self.engine.sweep().await.map(drop))?;
            passing(self.drive().await)?;
        }
    }

    async fn drive(&self) -> Result<(), EngineError> {
        let guard = *self.guard.lock().unwrap();
        if let Some(guard) = guard {
            if !self.engine.renew(&guard).await? {
                *self.guard.lock().unwrap() = None;
            }
            return Ok(());
        }
        match self.engine.drive(LOCAL_ORGANIZATION, self.settings.run).await? {
            Drive::Taken { guard, .. } => {
                self.engine.load_plan(LOCAL_ORGANIZATION, self.settings.run, &self.dag.plan, |_| None).await?;
                *self.guard.lock().unwrap() = Some(guard);
            }
            Drive::Elsewhere { .. } => {}
            Drive::Finished { .. } => self.ended.cancel(),
        }
        Ok(())
    }

    /// Follows the outbox until the run has ended and nothing new is there.
    async fn follow(self: Arc<Self>) -> anyhow::Result<()> {
        let store = self.engine.store();
        let sink = Sink::new(store.clone(), &self.settings.sink_url);
        loop {
            let ended = self.ended.is_cancelled();
            match relay::step(store, &sink).await {
                Ok(Step::TookIn { .. } | Step::Rebuilt(_)) => continue,
                Ok(Step::UpToDate) if ended => return Ok(()),
                Ok(Step::UpToDate | Step::Elsewhere) => {}
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(FOLLOW_EVERY).await;
        }
    }

    /// Performs a unit and settles it. What cannot be settled is given back by a sweep.
    async fn perform(self: Arc<Self>, unit: ClaimedUnit) -> anyhow::Result<()> {
        let outcome = self.attempt(&unit).await;
        self.held.lock().unwrap().remove(&(unit.claim.ordinal, unit.claim.token));
        passing(outcome)
    }

    async fn attempt(&self, unit: &ClaimedUnit) -> Result<(), EngineError> {
        let Claim { ordinal, token, attempt, .. } = unit.claim;
        self.effects.append(Deed::Start, ordinal, token);
        let built = self.built(ordinal, token).await?;
        failpoint::hit("unit.working");
        tokio::time::sleep(self.dag.work(ordinal)).await;
        let result = if attempt == 0 && self.dag.fails_first(ordinal) {
            UnitResult::Failed { class: ErrorClass::Transient, error: "it fails the first time".to_owned() }
        } else {
            self.effects.append(Deed::Effect, ordinal, token);
            failpoint::hit("unit.after_effect");
            UnitResult::Succeeded { artifacts: self.store(&unit.key, &built).await? }
        };
        let input_hash = Some(hex::encode(Sha256::digest(format!("{} {built}", unit.key))));
        let (claim, agent) = (unit.claim, self.settings.name.clone());
        let settlement = Settlement { claim, result, agent, input_hash, checks: Vec::new(), log: String::new() };
        if self.engine.settle(LOCAL_ORGANIZATION, settlement).await? == Settled::Late {
            self.effects.append(Deed::Late, ordinal, token);
        }
        Ok(())
    }

    /// What the dependencies of a unit left behind, as text. Says so when one of them is not done.
    async fn built(&self, ordinal: usize, token: i64) -> Result<String, EngineError> {
        let wanted: Vec<i32> = self.dag.dependencies(ordinal).iter().map(|place| i32::try_from(*place).unwrap()).collect();
        let mut tx = self.engine.store().tenant(LOCAL_ORGANIZATION).await?;
        let done = "select count(*) from run_tasks where run_id = $1 and ordinal = any($2) and state = 'succeeded'";
        let done = sqlx::query_scalar(done).bind(self.settings.run.0).bind(&wanted).fetch_one(&mut *tx).await;
        let done: i64 = done.map_err(StoreError::from)?;
        if usize::try_from(done).unwrap() < wanted.len() {
            self.effects.append(Deed::Early, ordinal, token);
        }
        let mut built = String::new();
        if self.settings.files {
            let files = artifacts::of_run(&mut tx, self.settings.run).await?;
            let names: Vec<&str> = self.dag.dependencies(ordinal).iter().map(|place| self.dag.plan.tasks[*place].key.as_str()).collect();
            for (key, file) in files.iter().filter(|(key, _)| names.contains(&key.as_str())) {
                built.extend([key.as_str(), "=", file.sha256.as_str(), " "]);
            }
        }
        tx.commit().await?;
        Ok(built)
    }

    async fn store(&self, key: &str, built: &str) -> Result<Vec<Artifact>, StoreError> {
        if !self.settings.files {
            return Ok(Vec::new());
        }
        let content = format!("{key} from {built}");
        let sha256 = hex::encode(Sha256::digest(&content));
        let begun = Instant::now();
        loop {
            let stored = async {
                let mut tx = self.engine.store().tenant(LOCAL_ORGANIZATION).await?;
                artifacts::store_blobs(&mut tx, &[(&sha256, content.as_bytes())]).await?;
                tx.commit().await
            };
            match stored.await {
                // The work is paid for: it waits, as that of the real runner does.
                Err(error) if error.is_transient() && begun.elapsed() < STORE_WITHIN => tokio::time::sleep(LOOK_EVERY).await,
                other => break other?,
            }
        }
        Ok(vec![Artifact { path: key.to_owned(), sha256, size_bytes: content.len() as u64, executable: false }])
    }
}

/// What may pass is tried again by whoever called; the run may have been taken over as well. The rest is a defect.
fn passing(outcome: Result<(), EngineError>) -> anyhow::Result<()> {
    match outcome {
        Err(error) if error.is_transient() || matches!(error, EngineError::WrongState { .. }) => {
            eprintln!("in passing: {error}");
            Ok(())
        }
        other => Ok(other?),
    }
}

//! One run on a database of its own: submitted, worked on by processes, and compared with what must hold whatever became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::{Duration, Instant};

use specwave::engine::{Engine, Submission};
use specwave::model::id::LOCAL_ORGANIZATION;
use specwave::model::{Actor, RunId, RunState, UnitState};
use specwave::store::postgres::specs::NewSpec;
use specwave::store::postgres::{artifacts, outbox, projected};
use specwave::store::projection::relay::{self, Target};
use tempfile::TempDir;

use crate::cluster::{Cluster, Database};
use crate::dag::{Dag, Shape};
use crate::effects::{self, Deed};
use crate::process::{Disaster, keep_working};
use crate::sink::Sink;
use crate::tally::Tally;
use crate::worker::{self, Settings};

/// How often the invariants are looked at while workers live and die; and no more than a part of the time is spent on looking.
const LOOK_EVERY: Duration = Duration::from_millis(400);
const LOOKING_PART: u32 = 10;
/// How long a run may take before it counts as one that never ends, and how much longer for each of its units.
const PATIENCE: Duration = Duration::from_mins(5);
const PATIENCE_PER_UNIT: Duration = Duration::from_millis(50);
/// Units that the undisturbed run works on at once.
const UNDISTURBED_AT_ONCE: usize = 16;

/// The run, and how its workers are told of it.
pub struct Case {
    /// What every worker is told; the name is to be changed for each.
    pub settings: Settings,
    /// Its database.
    pub database: Database,
    /// Its plan.
    pub dag: Dag,
    _folder: TempDir,
}

impl Case {
    /// Submits a run of that plan to a new database.
    pub async fn new(cluster: &Cluster, shape: Shape) -> Self {
        let (folder, database) = (TempDir::new().unwrap(), cluster.database().await);
        let mut settings = Settings {
            url: database.url.clone(),
            sink_url: cluster.sink_url(),
            run: RunId::new(),
            shape,
            effects: folder.path().join("effects"),
            name: "worker".to_owned(),
            lease_ms: 1_000,
            at_once: 4,
            connections: 4,
            clock_off_hours: 0,
            files: true,
        };
        settings.run = submit(&database, &settings, "crash").await;
        Self { settings, database, dag: Dag::new(shape), _folder: folder }
    }

    /// What the worker of that number is told.
    pub fn settings_of(&self, number: usize) -> Settings {
        Settings { name: format!("worker-{number}"), ..self.settings.clone() }
    }

    /// Lets workers work until the run has ended, one for each list of disasters. Returns by what they were killed.
    pub async fn work(&self, workers: Vec<Vec<Disaster>>) -> BTreeMap<String, usize> {
        let settings: Vec<Settings> = (0..workers.len()).map(|number| self.settings_of(number)).collect();
        let working = settings.iter().zip(workers).map(|(settings, disasters)| keep_working(settings, disasters));
        let mut kills: BTreeMap<String, usize> = BTreeMap::new();
        for (place, count) in self.watched(futures_util::future::join_all(working)).await.into_iter().flatten() {
            *kills.entry(place).or_default() += count;
        }
        kills
    }

    /// Looks at the invariants while something happens; it fails when they do not hold, or when that takes too long.
    pub async fn watched<T>(&self, happening: impl Future<Output = T>) -> T {
        let deadline = Instant::now() + PATIENCE + PATIENCE_PER_UNIT * u32::try_from(self.dag.units()).unwrap();
        tokio::pin!(happening);
        let mut pause = LOOK_EVERY;
        loop {
            tokio::select! {
                happened = &mut happening => return happened,
                () = tokio::time::sleep(pause) => {
                    let looking = Instant::now();
                    // A server that restarts is looked at again later.
                    if let Ok(wrong) = self.wrong_counters().await {
                        assert_eq!(wrong, Vec::<String>::new(), "counters, states and leases disagree");
                    }
                    pause = LOOK_EVERY.max(looking.elapsed() * LOOKING_PART);
                    assert!(Instant::now() < deadline, "the run does not end: {}", self.standing().await);
                }
            }
        }
    }

    async fn wrong_counters(&self) -> Result<Vec<String>, sqlx::Error> {
        sqlx::query_scalar(include_str!("../../src/store/postgres/wrong_counters.sql")).fetch_all(&self.database.facts).await
    }

    /// How many units stand in which state, for a run that does not end.
    async fn standing(&self) -> String {
        let query = "select coalesce(string_agg(state || ' ' || count, ', '), 'no unit') from \
                     (select state, count(*) from run_tasks where run_id = $1 group by state) counted";
        sqlx::query_scalar(query).bind(self.settings.run.0).fetch_one(&self.database.facts).await.unwrap()
    }

    /// Compares what is left with what must hold, and counts.
    pub async fn check(&self) -> Tally {
        assert_eq!(self.wrong_counters().await.unwrap(), Vec::<String>::new());
        let mut tally = self.check_facts().await;
        self.check_effects(&mut tally);
        self.check_projection().await;
        assert_eq!((tally.lost, tally.doubled), (0, 0), "lost and doubled units; {tally}");
        tally
    }

    async fn check_facts(&self) -> Tally {
        let (run, facts) = (self.settings.run.0, &self.database.facts);
        let state: String = sqlx::query_scalar("select state from runs where id = $1").bind(run).fetch_one(facts).await.unwrap();
        assert_eq!(state, RunState::Succeeded.as_str(), "{}", self.standing().await);
        let query = "select count(*) filter (where state = 'succeeded'), count(*) filter (where state = 'running') \
                     from run_tasks where run_id = $1 and not gate";
        let (succeeded, running): (i64, i64) = sqlx::query_as(query).bind(run).fetch_one(facts).await.unwrap();
        let leases: i64 = sqlx::query_scalar("select count(*) from unit_leases").fetch_one(facts).await.unwrap();
        assert_eq!((running, leases), (0, 0), "units that run, and leases, after the end");
        let query = "select coalesce(sum(count - 1), 0)::bigint from ( \
                         select count(*) from task_attempts where run_id = $1 and outcome in ('succeeded', 'handed_in') \
                         and withdrawn_at is null group by unit_id, input_hash) counted where count > 1";
        let doubled: i64 = sqlx::query_scalar(query).bind(run).fetch_one(facts).await.unwrap();
        let lost = self.dag.units() - usize::try_from(succeeded).unwrap();
        Tally { units: self.dag.units(), lost, doubled: usize::try_from(doubled).unwrap(), ..Tally::default() }
    }

    /// No unit was begun before its dependencies had settled, neither by what the database said then nor by the order of the lines.
    fn check_effects(&self, tally: &mut Tally) {
        let lines = effects::read(&self.settings.effects);
        let early: Vec<_> = lines.iter().filter(|line| line.deed == Deed::Early).collect();
        assert!(early.is_empty(), "handed out before their dependencies were done: {early:?}");
        let (mut done, mut effects) = (BTreeSet::new(), 0);
        for line in &lines {
            match line.deed {
                Deed::Start => {
                    let missing: Vec<_> = self.dag.dependencies(line.place).iter().filter(|place| !done.contains(*place)).collect();
                    assert!(missing.is_empty(), "{line:?} began before the work on {missing:?} was done");
                }
                Deed::Effect => {
                    done.insert(line.place);
                    effects += 1;
                }
                Deed::Late => tally.refused += 1,
                Deed::Early => {}
            }
        }
        assert_eq!(done.len(), self.dag.units(), "units that were worked on");
        tally.re_executions = effects - done.len();
    }

    /// What became of every unit that was worked on more than once, as the lines and the database tell it.
    pub async fn history_of_repeated(&self) -> String {
        let lines = effects::read(&self.settings.effects);
        let effects = |place: usize| lines.iter().filter(|line| line.deed == Deed::Effect && line.place == place).count();
        let repeated: BTreeSet<usize> = lines.iter().map(|line| line.place).filter(|place| effects(*place) > 1).collect();
        let told: Vec<String> = lines.iter().filter(|line| repeated.contains(&line.place)).map(|line| format!("{line:?}")).collect();
        let keys: Vec<&str> = repeated.iter().map(|place| self.dag.plan.tasks[*place].key.as_str()).collect();
        let query = "select concat_ws(' ', key, token, outcome, agent, started_at, finished_at, 'server started', pg_postmaster_start_time()) \
                     from task_attempts where run_id = $1 and key = any($2) order by finished_at";
        let written = sqlx::query_scalar(query).bind(self.settings.run.0).bind(keys).fetch_all(&self.database.facts);
        let written: Vec<String> = written.await.unwrap();
        [told, written].concat().join("\n")
    }

    /// What follows the facts has followed to their end, and holds what they say.
    async fn check_projection(&self) {
        let (store, sink) = (&self.database.store, Sink::new(self.database.store.clone(), &self.settings.sink_url));
        let (_, done) = relay::catch_up(store, &sink, PATIENCE).await.unwrap();
        assert!(done, "the outbox is not drained");
        let mut system = store.system().await.unwrap();
        let lag = outbox::lag(&mut system, sink.name(), sink.aggregates()).await.unwrap();
        system.commit().await.unwrap();
        assert_eq!((lag.rows, lag.dead_letters), (0, 0), "changes that were not taken in, and set aside");
        let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
        let units = projected::units_of_run(&mut tx, self.settings.run).await.unwrap();
        tx.commit().await.unwrap();
        let facts: BTreeMap<_, _> = units.into_iter().map(|unit| (unit.key, (unit.state.as_str().to_owned(), unit.version))).collect();
        assert_eq!(sink.of_run(self.settings.run).await, facts, "the projection and the facts");
    }

    /// Fails unless the run came to what the same plan comes to when nobody disturbs it.
    pub async fn compare_with_undisturbed(&self) {
        let effects = self.settings.effects.with_file_name("undisturbed");
        let mut settings = Settings { effects, name: "undisturbed".to_owned(), at_once: UNDISTURBED_AT_ONCE, ..self.settings.clone() };
        settings.run = submit(&self.database, &settings, "undisturbed").await;
        let run = settings.run;
        Box::pin(worker::work(settings)).await.unwrap();
        assert_eq!(self.summary(self.settings.run).await, self.summary(run).await, "disturbed and undisturbed");
    }

    /// What a run came to: its state, and of every unit state, tries, the hash of what went in, and the files.
    async fn summary(&self, run: RunId) -> String {
        let store = &self.database.store;
        let engine = Engine::new(store.clone(), worker::options(&self.settings));
        let snapshot = engine.snapshot(LOCAL_ORGANIZATION, run).await.unwrap();
        let query = "select key, input_hash from task_attempts where run_id = $1 and outcome = 'succeeded' and withdrawn_at is null";
        let inputs: Vec<(String, String)> = sqlx::query_as(query).bind(run.0).fetch_all(&self.database.facts).await.unwrap();
        let inputs: BTreeMap<String, String> = inputs.into_iter().collect();
        let mut tx = store.tenant(LOCAL_ORGANIZATION).await.unwrap();
        let files = artifacts::of_run(&mut tx, run).await.unwrap();
        tx.commit().await.unwrap();
        let mut text = format!("{}\n", snapshot.run.state.as_str());
        for unit in snapshot.units {
            assert_eq!(unit.state, UnitState::Succeeded);
            let files: Vec<String> =
                files.iter().filter(|(key, _)| *key == unit.key).map(|(_, file)| format!("{} {}", file.path, file.sha256)).collect();
            writeln!(text, "{} after {} tries from {}: {}", unit.key, unit.attempt, inputs[&unit.key], files.join(", ")).unwrap();
        }
        text
    }
}

async fn submit(database: &Database, settings: &Settings, name: &str) -> RunId {
    let engine = Engine::new(database.store.clone(), worker::options(settings));
    let hash = "0".repeat(64);
    let spec = NewSpec { slug: name, title: name, content_hash: &hash, source_name: "crash.md", content: name.as_bytes() };
    let options = serde_json::Value::Null;
    let submission = Submission { spec, target: "fastapi", output_dir: name, options: &options, fresh: false };
    engine.submit(&Actor::local("crash"), &submission).await.unwrap().run
}

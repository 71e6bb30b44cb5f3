//! Our engine as one of the adapters: called like the others, in a process of its own, with its plan stored within the time that is taken.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use specwave::engine::{ClaimedUnit, Dispatch, Drive, Engine, EngineOptions, Submission};
use specwave::model::id::LOCAL_ORGANIZATION;
use specwave::model::{Actor, RunEvent};
use specwave::store::postgres::Postgres;
use specwave::store::postgres::specs::NewSpec;
use tokio::task::JoinSet;

use super::dag::Dag;

/// Says that this process is the adapter.
pub const VARIABLE: &str = "DAGBENCH_ADAPTER";
/// Units of the plan that the warm-up is made of, as in `dag.mjs`.
const WARM_UNITS: usize = 100;
/// How often one asks for a run that a dead process seems to drive still.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// What `dag.mjs` says that an adapter does.
pub async fn main(postgres: Postgres) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dag, workflow, executions] = &arguments[..] else { panic!("DAG.json WORKFLOW_ID EXECUTIONS_FILE") };
    let dag: Dag = serde_json::from_slice(&std::fs::read(dag).unwrap()).unwrap();
    let engine = Engine::new(postgres.clone(), EngineOptions::default());
    if std::env::var("DAGBENCH_WARM").as_deref() != Ok("no") {
        let few = Dag { work_ms: 0, units: dag.units.iter().take(WARM_UNITS).cloned().collect() };
        execute(&engine, &few, &format!("{workflow}-warm"), "/dev/null").await;
    }
    let mut line = String::new();
    println!("{}", serde_json::json!({ "ready": true }));
    std::io::stdin().lock().read_line(&mut line).unwrap();
    let started = Instant::now();
    execute(&engine, &dag, workflow, executions).await;
    println!("{}", serde_json::json!({ "wall_ms": started.elapsed().as_secs_f64() * 1_000.0 }));
    std::io::stdin().lock().read_line(&mut line).unwrap();
    engine.close().await;
    postgres.close().await.unwrap();
}

/// From the submission to the end of the run; a run that is there already goes on.
async fn execute(engine: &Engine, dag: &Dag, workflow: &str, executions: &str) {
    let actor = Actor::local("bench");
    let hash = hex::encode([0_u8; 32]);
    let spec = NewSpec { slug: workflow, title: "Bench", content_hash: &hash, source_name: "bench.md", content: b"bench" };
    let options = serde_json::Value::Null;
    let submission = Submission { spec, target: "fastapi", output_dir: workflow, options: &options, fresh: false };
    let run = engine.submit(&actor, &submission).await.unwrap().run;
    let guard = loop {
        match engine.drive(LOCAL_ORGANIZATION, run).await.unwrap() {
            Drive::Taken { guard, .. } => break guard,
            Drive::Elsewhere { .. } => tokio::time::sleep(ASK_AGAIN).await,
            Drive::Finished { state } => panic!("the run has ended as {state:?}"),
        }
    };
    engine.load_plan(LOCAL_ORGANIZATION, run, &dag.shape().plan, |_| None).await.unwrap();
    let executions = Arc::new(OpenOptions::new().append(true).create(true).open(executions).unwrap());
    let mut performing = JoinSet::new();
    loop {
        let units = engine.claim_next(LOCAL_ORGANIZATION, run, crate::BATCH, Dispatch::Readiness).await.unwrap();
        if units.is_empty() {
            break;
        }
        for unit in units {
            let (engine, executions, work) = (engine.clone(), executions.clone(), Duration::from_millis(dag.work_ms));
            performing.spawn(async move { perform(&engine, unit, work, &executions).await });
        }
        while let Some(ended) = performing.try_join_next() {
            ended.unwrap();
        }
    }
    performing.join_all().await;
    engine.finish(&guard, RunEvent::Succeed, "").await.unwrap();
}

/// One unit, written down before it is settled: a crash between the two executes it again.
async fn perform(engine: &Engine, unit: ClaimedUnit, work: Duration, mut executions: &File) {
    let started = clock();
    if !work.is_zero() {
        tokio::time::sleep(work).await;
    }
    let line = format!("{} {started} {}\n", unit.key, clock());
    executions.write_all(line.as_bytes()).unwrap();
    crate::settle(engine, LOCAL_ORGANIZATION, &unit).await;
}

/// Nanoseconds of a clock that only goes forward, within this process.
fn clock() -> u128 {
    static BEGUN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BEGUN.get_or_init(Instant::now).elapsed().as_nanos()
}

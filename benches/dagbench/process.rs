//! The same program as a process that only works, and what a process uses.

use std::process::{Child, Command};

use specwave::engine::{Dispatch, Engine, EngineOptions};
use specwave::model::RunId;
use specwave::model::id::LOCAL_ORGANIZATION;
use specwave::store::postgres::Postgres;

/// Says what such a process is to do.
const VARIABLE: &str = "DAGBENCH_WORK_ON";

/// Starts one with so many workers.
pub fn start(run: RunId, workers: usize) -> Child {
    let program = std::env::current_exe().unwrap();
    Command::new(program).env(VARIABLE, format!("{run} {workers}")).spawn().unwrap()
}

/// What this process is to work on; none when it is the benchmark itself.
pub fn task() -> Option<(RunId, usize)> {
    let text = std::env::var(VARIABLE).ok()?;
    let (run, workers) = text.split_once(' ')?;
    Some((RunId(run.parse().ok()?), workers.parse().ok()?))
}

/// Works until nothing is left.
pub async fn work(postgres: Postgres, run: RunId, workers: usize) {
    let engine = Engine::new(postgres.clone(), EngineOptions::default());
    let working = (0..workers).map(|_| async {
        while let Some(unit) = engine.claim_next(LOCAL_ORGANIZATION, run, 1, Dispatch::Readiness).await.unwrap().pop() {
            super::perform(&engine, LOCAL_ORGANIZATION, &unit, std::time::Duration::ZERO).await;
        }
    });
    futures_util::future::join_all(working).await;
    engine.close().await;
    postgres.close().await.unwrap();
}

/// The largest resident memory of this process so far.
pub fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}

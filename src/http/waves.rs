//! Waves: how far a run has come in each.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use super::extract::{Id, Query};
use super::reply::Json;
use super::runs::{RUNS_HINT, view};
use super::state::Api;
use crate::model::{RunId, RunState, UnitId, UnitState};
use crate::store::postgres::tasks::{self, TaskFilter, WaveCount};
use crate::store::postgres::{TenantTx, catalogue, runs};

/// Most units that a wave is shown with.
const UNITS_SHOWN: u32 = 1_000;

/// How far a run has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WavesView {
    /// The run.
    run: RunId,
    /// Where it stands.
    state: RunState,
    /// The first wave that is not finished, from 1; null when all are, and before there is a plan.
    current: Option<u32>,
    /// Each wave, in order; empty before there is a plan.
    waves: Vec<WaveProgress>,
}

/// How far a wave has come.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WaveProgress {
    /// Its number, from 1.
    wave: u32,
    /// How many units it has.
    units: u64,
    /// How many of them are done.
    done: u64,
    /// How many stand in each state; states without a unit are left out.
    counts: BTreeMap<&'static str, u64>,
    /// True when none of them can be begun, or is being worked on, any more.
    finished: bool,
}

/// The wave that a run is in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CurrentWave {
    /// The run.
    run: RunId,
    /// Where it stands.
    state: RunState,
    /// How many waves there are.
    waves: usize,
    /// The first wave that is not finished, or the last one.
    progress: WaveProgress,
    /// Its units; of many the first 1,000.
    units: Vec<WaveUnit>,
}

/// A unit of a wave.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct WaveUnit {
    /// Its id.
    id: UnitId,
    /// Its key.
    key: String,
    /// One line.
    title: String,
    /// Where it stands.
    state: UnitState,
}

/// Shows how far a run has come in each wave.
#[utoipa::path(get, path = "/runs/{id}/waves", tag = "Runs", operation_id = "getWaves",
    params(("id" = RunId, Path, description = "The run.")),
    responses((status = 200, description = "The waves.", body = WavesView)))]
pub async fn list(State(api): State<Api>, Id(run): Id<RunId>) -> Result<Json<WavesView>, ApiError> {
    let mut tx = api.begin().await?;
    let state = view(&mut tx, run).await?.state;
    let waves = progress(&tasks::waves(&mut tx, run).await?);
    let current = waves.iter().find(|wave| !wave.finished).map(|wave| wave.wave);
    Ok(Json(WavesView { run, state, current, waves }))
}

/// Which run.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CurrentQuery {
    /// The run; left out: the newest one that has not ended.
    run: Option<RunId>,
}

/// Shows the wave that a run is in, with its units.
#[utoipa::path(get, path = "/waves/current", tag = "Runs", operation_id = "getCurrentWave", params(CurrentQuery),
    responses(
        (status = 200, description = "The wave.", body = CurrentWave),
        (status = 404, description = "No run is active, there is no such run, or it has no plan yet."),
    ))]
pub async fn current(State(api): State<Api>, Query(query): Query<CurrentQuery>) -> Result<Json<CurrentWave>, ApiError> {
    let mut tx = api.begin().await?;
    let active = match query.run {
        Some(run) => Some(run),
        None => catalogue::newest_active_run(&mut tx).await?,
    };
    let run = active.ok_or_else(|| ApiError::NotFound { detail: "no run is active".to_owned(), hint: RUNS_HINT })?;
    let row = runs::find(&mut tx, run).await?.ok_or_else(|| ApiError::missing("run", run, RUNS_HINT))?;
    let waves = progress(&tasks::waves(&mut tx, run).await?);
    let planned = row.plan.zip(waves.iter().find(|wave| !wave.finished).or(waves.last()));
    let (plan, progress) = planned.ok_or_else(|| ApiError::missing("plan yet of run", run, "ask again in a moment"))?;
    let units = units(&mut tx, plan, run, progress.wave).await?;
    Ok(Json(CurrentWave { run, state: row.state, waves: waves.len(), progress: progress.clone(), units }))
}

async fn units(tx: &mut TenantTx, plan: crate::model::PlanId, run: RunId, wave: u32) -> Result<Vec<WaveUnit>, ApiError> {
    let filter = TaskFilter { wave: Some(wave.cast_signed()), ..TaskFilter::default() };
    let rows = tasks::list(tx, plan, Some(run), filter, None, UNITS_SHOWN).await?;
    let unit = |row: tasks::TaskEntry| Some(WaveUnit { id: row.unit?, key: row.key, title: row.title, state: row.state? });
    Ok(rows.into_iter().filter_map(unit).collect())
}

/// The waves of what was counted, in order.
fn progress(counts: &[WaveCount]) -> Vec<WaveProgress> {
    let mut waves: Vec<WaveProgress> = Vec::new();
    for count in counts {
        if waves.last().is_none_or(|wave| wave.wave != count.wave) {
            waves.push(WaveProgress { wave: count.wave, units: 0, done: 0, counts: BTreeMap::new(), finished: true });
        }
        let Some(wave) = waves.last_mut() else { continue };
        wave.units += count.units;
        wave.done += if count.state.done() { count.units } else { 0 };
        wave.counts.insert(count.state.as_str(), count.units);
        wave.finished &= !matches!(count.state, UnitState::Pending | UnitState::Ready | UnitState::Running);
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_finished_when_nothing_of_it_can_begin() {
        let count = |wave, state, units| WaveCount { wave, state, units };
        let waves = progress(&[
            count(1, UnitState::Succeeded, 2),
            count(1, UnitState::Waiting, 1),
            count(2, UnitState::Cached, 1),
            count(2, UnitState::Pending, 3),
        ]);
        let shown: Vec<_> = waves.iter().map(|wave| (wave.wave, wave.units, wave.done, wave.finished)).collect();
        assert_eq!(shown, [(1, 3, 2, true), (2, 4, 1, false)]);
        assert_eq!(waves[1].counts, BTreeMap::from([("cached", 1), ("pending", 3)]));
        assert_eq!(progress(&[]), []);
    }
}

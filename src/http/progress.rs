//! How far a specification has come, and when it will be there: numbers that were measured in its newest run, or none.

use std::collections::BTreeMap;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use super::extract::Id;
use super::reply::Json;
use super::specs::SPECS_HINT;
use super::state::Api;
use crate::model::{RunId, RunState, SpecId, UnitState};
use crate::store::postgres::tasks::{self, Measured, WaveCount};
use crate::store::postgres::{catalogue, runs};

/// Below so many built units a speed is chance.
const BUILT_MIN: u64 = 2;

/// How far a specification has come.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    /// The specification.
    spec: SpecId,
    /// Its newest run; null before the first.
    run: Option<RunId>,
    /// Where the run stands; null before the first.
    state: Option<RunState>,
    /// Units in all; 0 before there is a plan.
    units: u64,
    /// Units that are done.
    done: u64,
    /// How many units stand in each state; states without a unit are left out.
    counts: BTreeMap<&'static str, u64>,
    /// The first wave that is not finished, from 1; null when all are, and before there is a plan.
    wave: Option<u32>,
    /// Waves in all; 0 before there is a plan.
    waves: u32,
    /// Units a minute, over all that this run has built so far; null before there are two.
    units_per_minute: Option<f64>,
    /// Seconds until no unit is open at that speed; null when nothing was measured, and when nothing goes on.
    remaining_secs: Option<f64>,
    /// From how many built units both were measured.
    measured_units: u64,
}

/// Shows how far a specification has come in its newest run.
#[utoipa::path(get, path = "/progress/{spec_id}", tag = "Specifications", operation_id = "getProgress",
    params(("spec_id" = SpecId, Path, description = "The specification.")),
    responses((status = 200, description = "How far it has come.", body = Progress)))]
pub async fn show(State(api): State<Api>, Id(spec): Id<SpecId>) -> Result<Json<Progress>, ApiError> {
    let mut tx = api.begin().await?;
    let entry = catalogue::spec(&mut tx, spec).await?.ok_or_else(|| ApiError::missing("specification", spec, SPECS_HINT))?;
    let Some(run) = entry.run else { return Ok(Json(progress(spec, None, &[], None))) };
    let state = runs::find(&mut tx, run).await?.map(|row| row.state);
    let counts = tasks::waves(&mut tx, run).await?;
    let measured = tasks::measured(&mut tx, run).await?;
    Ok(Json(progress(spec, Some(run).zip(state), &counts, Some(measured))))
}

fn progress(spec: SpecId, run: Option<(RunId, RunState)>, waves: &[WaveCount], measured: Option<Measured>) -> Progress {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for wave in waves {
        *counts.entry(wave.state.as_str()).or_default() += wave.units;
    }
    let sum = |wanted: fn(UnitState) -> bool| waves.iter().filter(|wave| wanted(wave.state)).map(|wave| wave.units).sum::<u64>();
    let open = |state: UnitState| matches!(state, UnitState::Pending | UnitState::Ready | UnitState::Running);
    let running = run.is_some_and(|(_, state)| state == RunState::Running);
    let per_second = measured.and_then(speed);
    Progress {
        spec,
        run: run.map(|(run, _)| run),
        state: run.map(|(_, state)| state),
        units: sum(|_| true),
        done: sum(UnitState::done),
        wave: waves.iter().filter(|wave| open(wave.state)).map(|wave| wave.wave).min(),
        waves: waves.iter().map(|wave| wave.wave).max().unwrap_or(0),
        units_per_minute: per_second.map(|speed| speed * 60.0),
        remaining_secs: per_second.filter(|_| running && sum(open) > 0).map(|speed| number(sum(open)) / speed),
        measured_units: measured.map_or(0, |measured| measured.built),
        counts,
    }
}

/// Units a second, as measured.
fn speed(measured: Measured) -> Option<f64> {
    let span = (measured.last_at? - measured.first_at?).as_seconds_f64();
    (measured.built >= BUILT_MIN && span > 0.0).then(|| number(measured.built) / span)
}

#[expect(clippy::cast_precision_loss, reason = "plans have far fewer than 2^52 units")]
fn number(units: u64) -> f64 {
    units as f64
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use time::ext::NumericalDuration;

    use super::*;

    #[test]
    fn speed_and_rest_are_measured_or_absent() {
        let (spec, run) = (SpecId(uuid::Uuid::nil()), RunId(uuid::Uuid::nil()));
        let waves = [
            WaveCount { wave: 1, state: UnitState::Succeeded, units: 6 },
            WaveCount { wave: 2, state: UnitState::Pending, units: 3 },
            WaveCount { wave: 2, state: UnitState::Waiting, units: 1 },
        ];
        let now = OffsetDateTime::UNIX_EPOCH;
        let measured = |built, secs: i64| Some(Measured { built, first_at: Some(now), last_at: Some(now + secs.seconds()) });
        let check = |state, measured, expect: (Option<f64>, Option<f64>)| {
            let shown = progress(spec, Some((run, state)), &waves, measured);
            assert_eq!((shown.units_per_minute, shown.remaining_secs), expect, "{state:?} {measured:?}");
            assert_eq!((shown.units, shown.done, shown.wave, shown.waves), (10, 6, Some(2), 2));
        };
        check(RunState::Running, measured(6, 12), (Some(30.0), Some(6.0)));
        check(RunState::Paused, measured(6, 12), (Some(30.0), None));
        check(RunState::Running, measured(1, 12), (None, None));
        check(RunState::Running, measured(6, 0), (None, None));
        check(RunState::Running, Some(Measured { built: 0, first_at: None, last_at: None }), (None, None));
    }
}

//! Phase 6: the units of the plan. The phase releases them; workers perform them; it ends when none is open.
//!
//! Reads and writes unit states only; where there is a branch, what the last wave has made of it is looked at before the end (`waves`). Safe to repeat: units that are settled stay settled.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::journal::{self, Done};
use super::validate::counted;
use super::{PipelineError, Run, waves};
use crate::model::{Phase, Plan, SpecDocument, UnitState};
use crate::store::postgres::units::{self, UnitRow};
use crate::store::postgres::{StoreError, phases, settle};

/// How many units ended in each state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// Counts by state.
    pub counts: BTreeMap<String, usize>,
}

/// True when every unit is settled; false when the run must wait for workers.
pub async fn phase(run: &Run, document: &SpecDocument, plan: &Plan, round: u32) -> Result<bool, PipelineError> {
    run.check_stop()?;
    if run.recorded_phase(Phase::Execute, round).await?.is_some() {
        return Ok(true);
    }
    let mut units = run.units().await?;
    if !units.iter().any(is_open) && waves::check(run, document, plan).await? {
        units = run.units().await?;
    }
    // What is pending while nothing is ready or running waits behind a unit that nothing can do.
    if units.iter().any(is_open) {
        journal::begin(run, Phase::Execute, round).await?;
        return Ok(false);
    }
    journal::phase(run, Phase::Execute, round, async {
        let mut counts = BTreeMap::new();
        for unit in &units {
            *counts.entry(unit.state.as_str().to_owned()).or_insert(0) += 1;
        }
        let parts: Vec<String> = counts.iter().map(|(state, count)| format!("{count} {state}")).collect();
        let summary = format!("{} in {}: {}", counted(units.len(), "unit"), counted(plan.waves.len(), "wave"), parts.join(", "));
        Ok(Done::new(Execution { counts }, summary))
    })
    .await?;
    Ok(!opened_again(run).await?)
}

/// True for what some worker has, or may take.
fn is_open(unit: &UnitRow) -> bool {
    !unit.gate && matches!(unit.state, UnitState::Ready | UnitState::Running)
}

/// True when somebody had a unit opened since the units were looked at: the phase goes on. Whoever opens one holds the run's lock and
/// looks whether the phase has ended, so one of the two sees the other.
async fn opened_again(run: &Run) -> Result<bool, StoreError> {
    let mut tx = run.tx().await?;
    settle::lock_runs(&mut tx, &[run.id]).await?;
    let open = units::list(&mut tx, run.id).await?.iter().any(is_open);
    if open {
        phases::reopen(&mut tx, run.id, &[Phase::Execute.as_str()]).await?;
    }
    tx.commit().await?;
    Ok(open)
}

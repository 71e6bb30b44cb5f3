//! Who is sent to a claimed unit: what the choice depends on, read from the facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::unit::Shared;
use crate::agents::roster::AUTO;
use crate::agents::{Agent, Assignment, Request, assign};
use crate::engine::Claim;
use crate::learning::trial::{Choice, UnitSize};
use crate::model::{Escalation, Task};
use crate::pipeline::PipelineError;
use crate::store::postgres::assignments::{self, AssignmentRow};

/// Who was chosen.
pub(super) struct Chosen {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) reason: String,
    pub(super) choice: Option<Choice>,
}

/// Chooses. Nothing is read where only one answer is possible.
pub(super) async fn choose(shared: &Shared, unit: &Task, claim: &Claim) -> Result<Assignment, PipelineError> {
    let run = &shared.run;
    let (mut tried, mut earlier) = (Vec::new(), None);
    let (mut records, mut busy) = (BTreeMap::new(), BTreeMap::new());
    let drawn = run.roster.default_name() == Some(AUTO) || run.roster.rule(unit.task_type) == Some(AUTO);
    if drawn || claim.escalation != Escalation::Assigned {
        let mut tx = run.tx().await?;
        let rows = assignments::list(&mut tx, run.id, Some(&unit.key)).await?;
        records = assignments::records(&mut tx, unit.task_type, UnitSize::of(unit.effort).as_str()).await?;
        busy = assignments::busy(&mut tx).await?;
        tx.commit().await?;
        earlier = rows.iter().rev().find_map(choice_of);
        tried = rows.into_iter().map(|row| row.agent).collect();
    }
    let token = claim.token.to_be_bytes();
    Ok(assign(&Request {
        unit,
        generator: run.generator.as_ref(),
        roster: &run.roster,
        step: claim.escalation,
        tried: &tried,
        records: &records,
        busy: &busy,
        earlier: earlier.as_ref(),
        draw: &[run.organization.0.as_bytes(), claim.unit.0.as_bytes(), &token],
    }))
}

fn choice_of(row: &AssignmentRow) -> Option<Choice> {
    serde_json::from_value(row.choice.clone()?).ok()
}

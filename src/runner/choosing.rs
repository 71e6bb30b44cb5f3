//! Who is sent to a claimed unit: what the choice depends on, read from the facts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::unit::Shared;
use crate::agents::roster::AUTO;
use crate::agents::{Agent, Assignment, HandedIn, Request, assign};
use crate::engine::Claim;
use crate::generate::GeneratedFile;
use crate::learning::trial::{Choice, UnitSize};
use crate::model::budget::BudgetScope;
use crate::model::{Escalation, Task};
use crate::pipeline::PipelineError;
use crate::skills::Skill;
use crate::store::postgres::assignments::{self, AssignmentRow};
use crate::store::postgres::{StoreError, TenantTx, artifacts, budgets, hand_ins};

/// Who was chosen.
pub(super) struct Chosen {
    pub(super) agent: Arc<dyn Agent>,
    pub(super) reason: String,
    pub(super) choice: Option<Choice>,
}

/// Chooses for a unit that must meet those standards. Nothing is read where only one answer is possible.
pub(super) async fn choose(shared: &Shared, unit: &Task, claim: &Claim, standards: &[&Skill]) -> Result<Assignment, PipelineError> {
    let run = &shared.run;
    let (mut tried, mut earlier, mut cost_micros_max) = (Vec::new(), None, None);
    let (mut records, mut busy) = (BTreeMap::new(), BTreeMap::new());
    let drawn = run.roster.default_name() == Some(AUTO) || run.roster.rule(unit.task_type) == Some(AUTO);
    if drawn || claim.escalation != Escalation::Assigned {
        let mut tx = run.tx().await?;
        let rows = assignments::list(&mut tx, run.id, Some(&unit.key)).await?;
        records = assignments::records(&mut tx, unit.task_type, UnitSize::of(unit.effort).as_str()).await?;
        busy = assignments::busy(&mut tx).await?;
        cost_micros_max = money_left(&mut tx, claim).await?;
        tx.commit().await?;
        earlier = rows.iter().rev().find_map(choice_of);
        tried = rows.into_iter().map(|row| row.agent).collect();
    }
    let token = claim.token.to_be_bytes();
    let mut skills = unit.skills.clone();
    skills.extend(standards.iter().map(|skill| skill.name.to_string()));
    skills.sort();
    skills.dedup();
    let assignment = assign(&Request {
        unit,
        generator: run.generator.as_ref(),
        roster: &run.roster,
        step: claim.escalation,
        tried: &tried,
        records: &records,
        busy: &busy,
        skills: &skills,
        cost_micros_max,
        earlier: earlier.as_ref(),
        draw: &[run.organization.0.as_bytes(), claim.unit.0.as_bytes(), &token],
    });
    match assignment {
        // What a template builds at once nobody has been asked for.
        Assignment::Agent { agent, reason, choice } if agent.deterministic() && claim.escalation == Escalation::Assigned => {
            Ok(Assignment::Agent { agent, reason, choice })
        }
        otherwise => Ok(handed_in(shared, unit, claim).await?.unwrap_or(otherwise)),
    }
}

/// What a person has handed in goes before whoever else could be sent.
async fn handed_in(shared: &Shared, unit: &Task, claim: &Claim) -> Result<Option<Assignment>, PipelineError> {
    let run = &shared.run;
    let mut tx = run.tx().await?;
    let Some(handed_in) = hand_ins::open(&mut tx, run.id, &unit.key).await? else { return Ok(None) };
    let mut files = Vec::new();
    for file in handed_in.files {
        let lost = || PipelineError::Plan(format!("the content of {}, which was handed in, is not stored", file.path));
        let content = artifacts::blob(&mut tx, &file.sha256).await?.ok_or_else(lost)?;
        files.push(GeneratedFile { path: file.path, content, executable: file.executable });
    }
    hand_ins::judged(&mut tx, claim, run.id, &unit.key).await?;
    tx.commit().await?;
    let agent = Arc::new(HandedIn::new(&handed_in.person, files));
    Ok(Some(Assignment::Agent { agent, reason: "its files were handed in".to_owned(), choice: None }))
}

/// What the narrowest budget of the claim leaves of money, in millionths; none where money is not limited. What others have set aside
/// is not taken off, for what they do not use comes back.
async fn money_left(tx: &mut TenantTx, claim: &Claim) -> Result<Option<u64>, StoreError> {
    let ceilings = budgets::list(tx, claim.run).await?;
    let limits: Vec<(BudgetScope, u64)> = ceilings.iter().filter_map(|(scope, ceiling)| Some((*scope, ceiling.cost_micros?))).collect();
    if limits.is_empty() {
        return Ok(None);
    }
    let used = budgets::used(tx, claim).await?.unwrap_or_default();
    let spent = |scope: &BudgetScope| used.get(scope).map_or(0, |used| used.spent.cost_micros);
    Ok(limits.iter().map(|(scope, limit)| limit.saturating_sub(spent(scope))).min())
}

fn choice_of(row: &AssignmentRow) -> Option<Choice> {
    serde_json::from_value(row.choice.clone()?).ok()
}

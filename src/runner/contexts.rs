//! What whoever performs a unit is told: its context is gathered, and the receipt and the patterns shown are recorded. Generators
//! read the specification itself and are told nothing.

use std::collections::BTreeMap;

use super::gathering::Gathered;
use super::unit::Shared;
use crate::context::{Context, Level};
use crate::engine::Claim;
use crate::learning::Campaign;
use crate::learning::trial::Standing;
use crate::model::{Artifact, EventKind, PatternHit, PatternId, Question, Task};
use crate::pipeline::PipelineError;
use crate::store::postgres::{patterns, receipts};

/// Whether similar work is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patterns {
    /// It is, and patterns stand so.
    Shown(Standing),
    /// The unit is one of those by which the effect of telling it is measured, or patterns are demoted.
    Withheld,
}

impl Patterns {
    /// Where nobody is enrolled: told unless patterns are demoted.
    pub(super) fn of(campaign: &Campaign) -> Self {
        if campaign.standing == Standing::Demoted { Self::Withheld } else { Self::Shown(campaign.standing) }
    }
}

/// Makes the context of a claimed unit and records its receipt. Where similar work cannot be looked up, the context is made without
/// it, and the run says so.
pub(super) async fn prepare(
    shared: &Shared,
    unit: &Task,
    claim: &Claim,
    input_hash: &str,
    built: &BTreeMap<String, Vec<Artifact>>,
    answered: &[Question],
    patterns: Patterns,
) -> Result<Context, PipelineError> {
    let gathered = shared.sources().context(unit, Level::of(unit), input_hash, built, answered, patterns).await?;
    let Gathered { context, similar, without_similar } = gathered;
    if let Some(reason) = without_similar {
        let message = format!("{}: no similar work could be looked up: {reason}", unit.key);
        shared.run.events.send(EventKind::Warning { message }).await;
    }
    record(shared, claim, &context, &similar).await?;
    Ok(context)
}

/// Keeps the receipt, and which patterns the context really holds.
async fn record(shared: &Shared, claim: &Claim, context: &Context, similar: &[PatternHit]) -> Result<(), PipelineError> {
    let taken = |id: &PatternId| {
        let source = format!("pattern {id}");
        context.receipt.parts.iter().any(|part| part.source == source && part.left_out.is_none())
    };
    let shown: Vec<PatternId> = similar.iter().map(|hit| hit.pattern.id).filter(taken).collect();
    let receipt =
        serde_json::to_value(&context.receipt).map_err(|error| PipelineError::Plan(format!("a receipt cannot be written: {error}")))?;
    let mut tx = shared.run.tx().await?;
    receipts::save(&mut tx, claim, &receipt).await?;
    patterns::record_use(&mut tx, claim.unit, &shown).await?;
    tx.commit().await?;
    Ok(())
}

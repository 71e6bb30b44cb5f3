//! What whoever performs a unit is told: similar work is looked up, the context is assembled, and the receipt and the patterns
//! shown are recorded. Generators read the specification itself and are told nothing.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::unit::Shared;
use crate::context::{self, Context, Finished, Level};
use crate::engine::Claim;
use crate::learning::{MemoryError, words};
use crate::model::{Artifact, EventKind, PatternHit, PatternId, Task};
use crate::pipeline::PipelineError;
use crate::store::cache::Key;
use crate::store::postgres::{StoreError, artifacts, patterns, receipts};

/// Files of one dependency that are read for its interface; of more, the first ones in their order.
const FILES_READ_MAX: usize = 20;

/// Assembles the context of a claimed unit (or takes the one that was assembled from the same content) and records its receipt.
pub(super) async fn prepare(
    shared: &Shared,
    unit: &Task,
    claim: &Claim,
    input_hash: &str,
    built: &BTreeMap<String, Vec<Artifact>>,
) -> Result<Context, PipelineError> {
    let similar = similar(shared, unit).await?;
    let level = Level::of(unit);
    let key = Key {
        tenant: shared.run.organization,
        task: unit.key.clone(),
        level: level.as_str(),
        content_version: content_version(input_hash, &similar),
    };
    let make = || assemble(shared, unit, level, &similar, built);
    let unmade = |error: &StoreError| PipelineError::Plan(format!("the context of {} could not be assembled: {error}", unit.key));
    let bytes = shared.run.cache.get_or_make(key, make()).await.map_err(|error| unmade(&error))?;
    // What another version of specwave left in a shared cache may read differently: it is made anew.
    let context: Context = match serde_json::from_slice(&bytes) {
        Ok(context) => context,
        Err(_) => serde_json::from_slice(&make().await.map_err(|error| unmade(&error))?)
            .map_err(|error| PipelineError::Plan(format!("the context of {} cannot be read: {error}", unit.key)))?,
    };
    record(shared, claim, &context, &similar).await?;
    Ok(context)
}

/// Similar work of the same language and framework. Without an answer the context is made without it, and the run says so.
async fn similar(shared: &Shared, unit: &Task) -> Result<Vec<PatternHit>, PipelineError> {
    let (language, framework) = shared.run.pack.as_ref().map_or(("", ""), |pack| (pack.language(), pack.framework()));
    match shared.run.memory.for_unit(&words::unit(&shared.document, unit), language, framework).await {
        Ok(hits) => Ok(hits),
        Err(MemoryError::Store(error)) => Err(error.into()),
        Err(error) => {
            let message = format!("{}: no similar work could be looked up: {error}", unit.key);
            shared.run.events.send(EventKind::Warning { message }).await;
            Ok(Vec::new())
        }
    }
}

/// The unit's input and the patterns shown: whatever changes the bytes of the context changes this.
fn content_version(input_hash: &str, similar: &[PatternHit]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(input_hash);
    for hit in similar {
        hasher.update(format!("\0{} {} {}", hit.pattern.id, hit.score, hit.embedder));
    }
    hex::encode(hasher.finalize())
}

async fn assemble(
    shared: &Shared,
    unit: &Task,
    level: Level,
    similar: &[PatternHit],
    built: &BTreeMap<String, Vec<Artifact>>,
) -> Result<Vec<u8>, StoreError> {
    let finished = finished(shared, built).await?;
    let context = context::assemble(&context::Input {
        unit,
        plan: &shared.plan,
        doc: &shared.document,
        fragment: shared.inputs.fragment(&unit.key),
        finished: &finished,
        guidelines: &[],
        patterns: similar,
        level: Some(level),
    });
    serde_json::to_vec(&context).map_err(|error| StoreError::corrupt("context", error.to_string()))
}

/// The text files that the unit's dependencies left behind.
async fn finished(shared: &Shared, built: &BTreeMap<String, Vec<Artifact>>) -> Result<Vec<Finished>, StoreError> {
    let mut tx = shared.run.tx().await?;
    let mut finished = Vec::new();
    for (key, written) in built {
        let mut files = Vec::new();
        for artifact in written.iter().take(FILES_READ_MAX) {
            let content = artifacts::blob(&mut tx, &artifact.sha256).await?.unwrap_or_default();
            files.extend(String::from_utf8(content).ok().map(|text| (artifact.path.clone(), text)));
        }
        finished.push(Finished { key: key.clone(), files });
    }
    Ok(finished)
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

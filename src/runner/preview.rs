//! What would be told about a unit of a run, asked for by a person: the same context as a worker gets, and nothing is recorded.
//!
//! Called by `cli` and `http`. It neither needs nor takes the right to drive the run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::asked::Asked;
use super::contexts::Patterns;
use super::gathering::Sources;
use super::inputs::Inputs;
use super::planned;
use super::standards;
use crate::context::{Context, Level};
use crate::generate::{Prior, TargetPack};
use crate::ingest;
use crate::learning::{Memory, campaign};
use crate::model::{OrganizationId, Plan, RunId, SpecDocument, SpecId};
use crate::pipeline::PipelineError;
use crate::store::cache::Cache;
use crate::store::postgres::{Postgres, StoreError, runs};

/// What a preview is made with.
#[derive(Clone)]
pub struct Handles {
    /// Whose run it is.
    pub organization: OrganizationId,
    /// The facts.
    pub postgres: Postgres,
    /// Assembled contexts.
    pub cache: Cache,
    /// What was learned by that organization.
    pub memory: Memory,
}

/// What would be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preview {
    /// The run.
    pub run: RunId,
    /// The unit.
    pub unit: String,
    /// The text with its receipt.
    #[serde(flatten)]
    pub context: Context,
    /// Why no similar work was looked up; none when it was.
    pub without_similar: Option<String>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The run does not exist, or is somebody else's.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// The run has no plan yet.
    #[error("run {0} has no plan yet")]
    NotPlanned(RunId),
    /// Its plan has no such unit.
    #[error("run {run} has no unit called {key:?}")]
    NoUnit {
        /// The run.
        run: RunId,
        /// What was asked for.
        key: String,
        /// A unit whose key is close to it.
        nearest: Option<String>,
    },
    /// Making it failed.
    #[error("the context could not be made")]
    Failed(#[from] PipelineError),
}

impl From<StoreError> for PreviewError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// The context of the unit of that key; the level is chosen by its size unless it is given.
pub async fn of_unit(handles: &Handles, run: RunId, key: &str, level: Option<Level>) -> Result<Preview, PreviewError> {
    let (spec, document, plan, target) = planned_run(handles, run).await?;
    let Some(unit) = plan.units().find(|unit| unit.key == key) else {
        let nearest = ingest::nearest(key, plan.units().map(|unit| unit.key.as_str())).map(str::to_owned);
        return Err(PreviewError::NoUnit { run, key: key.to_owned(), nearest });
    };
    let pack = TargetPack::load(&target).map_err(PipelineError::from)?;
    let fragments = if document.generates() { pack.fragments(&document).map_err(PipelineError::from)? } else { BTreeMap::new() };
    let inputs = Inputs::new(&plan, fragments);
    let sources = Sources {
        organization: handles.organization,
        run,
        postgres: &handles.postgres,
        cache: &handles.cache,
        memory: &handles.memory,
        pack: Some(&pack).filter(|_| document.generates()),
        document: &document,
        plan: &plan,
        inputs: &inputs,
    };
    let built = sources.built(unit).await?;
    let asked = Asked::read(&handles.postgres, handles.organization, spec, run, key).await?;
    let standards = standards::of_unit(unit, sources.pack);
    let input_hash = inputs.hash(unit, None, &Prior::default(), &built, &asked.answered, &standards);
    let mut tx = handles.postgres.tenant(handles.organization).await?;
    let campaign = campaign::current(&mut tx).await?;
    tx.commit().await?;
    let patterns = Patterns::of(&campaign);
    let level = level.unwrap_or_else(|| Level::of(unit));
    let gathered = sources.context(unit, level, &input_hash, &built, &asked.answered, patterns).await?;
    let withheld = (patterns == Patterns::Withheld).then(|| campaign.in_words());
    Ok(Preview { run, unit: unit.key.clone(), context: gathered.context, without_similar: withheld.or(gathered.without_similar) })
}

/// The specification of the run, the document that it has read, its plan and its target.
async fn planned_run(handles: &Handles, run: RunId) -> Result<(SpecId, SpecDocument, Plan, String), PreviewError> {
    let mut tx = handles.postgres.tenant(handles.organization).await?;
    let row = runs::find(&mut tx, run).await?.ok_or(PreviewError::NoRun(run))?;
    tx.commit().await?;
    let found = planned::of_run(&handles.postgres, handles.organization, run).await?;
    let found = found.ok_or(PreviewError::NotPlanned(run))?;
    Ok((row.spec, found.document, found.plan, row.target))
}

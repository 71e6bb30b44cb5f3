//! Phases 1 to 5 of a run: the pure planning steps, each journalled, and the plan's way into the database.
//!
//! The steps themselves are in `ingest`, `analyze`, `plan`, `atomize` and `schedule`; `specwave plan` calls them without a run.
//! Safe to repeat: equal bytes give an equal plan, and storing an equal plan stores nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::analyze::{self, Analysis};
use super::journal::{self, Done};
use super::plan::{self, PlanError};
use super::validate::counted;
use super::{PipelineError, Run, atomize, schedule};
use crate::agents::expected_kind;
use crate::engine::EngineError;
use crate::generate::Blueprint;
use crate::ingest;
use crate::model::plan::PlanTarget;
use crate::model::{AgentKind, EventKind, Finding, Phase, Plan, PlanId, Role, Severity, SpecDocument, Task};
use crate::store::graph::{GraphError, PlanGraph, PlanKey};
use crate::store::postgres::{plans, runs};

/// Tasks up to which the graph store's waves are compared key by key; of larger plans the sizes of the waves are.
const CROSS_CHECK_TASKS_MAX: usize = 20_000;

/// Phase 1: the submitted bytes as a document.
pub async fn ingest(run: &Run) -> Result<SpecDocument, PipelineError> {
    journal::phase(run, Phase::Ingest, 1, async {
        let submission = Arc::clone(&run.submission);
        let read = move || ingest::read(&submission.content, Some(&submission.source_name), submission.options.format);
        let ingested = tokio::task::spawn_blocking(read).await.map_err(|error| PipelineError::Plan(error.to_string()))?;
        run.record_findings(Phase::Ingest, &ingested.findings).await?;
        let Some(document) = ingested.document else { return Err(PipelineError::Specification(errors(ingested.findings))) };
        let entities = counted_as(document.entities.len(), "entity", "entities");
        let summary = format!("{entities}, {}, {}", counted(document.operations.len(), "operation"), counted(document.rules.len(), "rule"));
        Ok(Done::new(document, summary))
    })
    .await
}

/// Phase 2: the document's requirements.
pub async fn analyze(run: &Run, document: &SpecDocument) -> Result<Analysis, PipelineError> {
    journal::phase(run, Phase::Analyze, 1, async {
        let analysis = analyze::analyze(document);
        run.record_findings(Phase::Analyze, &analysis.findings).await?;
        let summary = format!("{}, {}", counted(analysis.requirements.len(), "requirement"), counted(analysis.findings.len(), "finding"));
        Ok(Done::new(analysis, summary))
    })
    .await
}

/// Phase 3: hierarchy and dependencies.
pub async fn plan(run: &Run, document: &SpecDocument, analysis: &Analysis) -> Result<Plan, PipelineError> {
    journal::phase(run, Phase::Plan, 1, async {
        let blueprints = blueprints(run, document)?;
        let target = run.pack_for(document).map(|pack| PlanTarget { name: pack.name().to_owned(), version: pack.version().to_owned() });
        let draft = plan::draft(document, analysis, &blueprints, target).map_err(refused)?;
        let summary =
            format!("{}, {}", counted(draft.tasks.len(), "node"), counted_as(draft.dependencies.len(), "dependency", "dependencies"));
        Ok(Done::new(draft, summary))
    })
    .await
}

/// Phase 4: units that cannot get in each other's way.
pub async fn atomize(run: &Run, mut plan: Plan) -> Result<Plan, PipelineError> {
    journal::phase(run, Phase::Atomize, 1, async move {
        atomize::atomize(&mut plan).map_err(refused)?;
        let gates = plan.tasks.iter().filter(|task| task.role == Role::Gate).count();
        let summary = format!("{}, {}", counted(plan.units().count(), "unit"), counted(gates, "gate"));
        Ok(Done::new(plan, summary))
    })
    .await
}

/// Phase 5: waves, by the graph store and checked in process; then the plan and its units go into the database.
pub async fn schedule(run: &Run, mut plan: Plan) -> Result<Plan, PipelineError> {
    let plan = journal::phase(run, Phase::Schedule, 1, async move {
        schedule::schedule(&mut plan).map_err(refused)?;
        let bounds = schedule::graph(&plan).map_err(refused)?.bounds(run.config.concurrency);
        let id = run.engine.load_plan(run.organization, run.id, &plan, |task| kind(run, task)).await?;
        check_waves(run, id, &plan).await?;
        let summary = format!(
            "{}, critical path {}, speed-up at most {:.1} with {} at once",
            counted(plan.waves.len(), "wave"),
            counted(plan.critical_path.len(), "unit"),
            bounds.speed_up_max,
            run.config.concurrency
        );
        Ok(Done::new(plan, summary))
    })
    .await?;
    run.events.send(EventKind::UnitsPlanned { units: plan.units().count(), waves: plan.waves.len() }).await;
    Ok(plan)
}

/// The plan that the run has now: what was scheduled, or what somebody has made of it since.
pub async fn current(run: &Run) -> Result<(PlanId, Plan), PipelineError> {
    let missing = || PipelineError::Engine(EngineError::NoSuchRun { run: run.id });
    let mut tx = run.tx().await?;
    let id = runs::find(&mut tx, run.id).await?.and_then(|row| row.plan).ok_or_else(missing)?;
    let plan = plans::load(&mut tx, id).await?.ok_or_else(missing)?;
    Ok((id, plan))
}

/// Which kind of agent is to perform a task; none for what is not executed.
fn kind(run: &Run, task: &Task) -> Option<AgentKind> {
    (task.role == Role::Unit).then(|| expected_kind(task, run.generator.as_ref(), &run.roster))
}

/// The graph store must find the same waves as this process: key by key up to a size, beyond it as many in each. A graph store that
/// cannot be used does not stop the run, which has the waves already.
async fn check_waves(run: &Run, id: PlanId, plan: &Plan) -> Result<(), PipelineError> {
    let key = PlanKey { tenant: run.organization, plan: id };
    run.graph.load(key, &PlanGraph::of(plan)).await?;
    let theirs = match run.graph.waves(key).await {
        Ok(waves) => waves,
        Err(error @ (GraphError::Unavailable(_) | GraphError::UnknownPlan(_))) => {
            tracing::warn!(%error, "the waves are those of this process alone");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let sizes = |waves: &[Vec<String>]| waves.iter().map(Vec::len).collect::<Vec<_>>();
    let equal = if plan.tasks.len() <= CROSS_CHECK_TASKS_MAX { theirs == plan.waves } else { sizes(&theirs) == sizes(&plan.waves) };
    if equal { Ok(()) } else { Err(PipelineError::Plan("the graph store found other waves than this process".to_owned())) }
}

/// What the pack says that the specification needs; nothing without a pack or without anything structured.
fn blueprints(run: &Run, document: &SpecDocument) -> Result<Vec<Blueprint>, PipelineError> {
    match run.pack_for(document) {
        Some(pack) => Ok(pack.blueprints(document)?),
        None => Ok(Vec::new()),
    }
}

/// What of the specification each unit is made from.
pub fn fragments(run: &Run, document: &SpecDocument) -> Result<BTreeMap<String, Value>, PipelineError> {
    match run.pack_for(document) {
        Some(pack) => Ok(pack.fragments(document)?),
        None => Ok(BTreeMap::new()),
    }
}

fn errors(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.retain(|finding| finding.severity == Severity::Error);
    findings
}

fn refused(error: PlanError) -> PipelineError {
    match error {
        PlanError::Contradictory(findings) => PipelineError::Specification(findings),
        error => PipelineError::Plan(error.to_string()),
    }
}

fn counted_as(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

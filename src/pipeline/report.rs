//! The report of a run, read from what is stored: it works in the middle of a run as well as after it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::context::Receipt;
use crate::engine::{Engine, RunSnapshot};
use crate::generate::TargetPack;
use crate::learning::campaign;
use crate::model::outcome::UNDECLARED_FILES;
use crate::model::report::{BranchReport, ContextReport, FailureReport, PhaseReport, REPORT_SCHEMA_VERSION, RunReport, UnitReport};
use crate::model::{CheckResult, OrganizationId, Phase, Plan, Question, RunId, SpecDocument, UnitId, Verdict};
use crate::store::postgres::assignments::{self, AssignmentRow};
use crate::store::postgres::attempts::{self, AttemptRow};
use crate::store::postgres::commands;
use crate::store::postgres::degradations::{self, DegradationRow};
use crate::store::postgres::phases::{self, PhaseRow};
use crate::store::postgres::{Postgres, StoreError, TenantTx, findings, plans, questions, receipts};

use super::branch::BranchRecord;
use super::compliance::Compliance;
use super::sent::Known;
use super::validate::Validation;
use super::{PipelineError, sent};

/// Failed tries named for each unit.
const FAILURES_MAX: usize = 20;
/// Checks named for each unit.
const EVIDENCE_MAX: usize = 4;

/// Reads the report.
pub async fn of_run(postgres: &Postgres, engine: &Engine, organization: OrganizationId, run: RunId) -> Result<RunReport, PipelineError> {
    let snapshot = engine.snapshot(organization, run).await?;
    let mut tx = postgres.tenant(organization).await?;
    let plan = match snapshot.run.plan {
        Some(plan) => plans::load(&mut tx, plan).await?,
        None => None,
    };
    let attempts = attempts::list(&mut tx, run, None).await?;
    let receipts: BTreeMap<UnitId, Value> = receipts::of_run(&mut tx, run).await?.into_iter().collect();
    let asked = questions::of_run(&mut tx, run, None).await?;
    let sent = assignments::list(&mut tx, run, None).await?;
    let known = if sent.is_empty() { None } else { Some(known(&mut tx).await?) };
    let journal = phases::list(&mut tx, run).await?;
    let validation = output::<Validation>(&journal, Phase::Validate);
    let mut degraded: Vec<String> = degradations::of_run(&mut tx, run).await?.iter().map(outage).collect();
    degraded.extend(output::<super::learn::Learned>(&journal, Phase::Learn).map(|learned| learned.degraded).unwrap_or_default());
    degraded.extend(validation.as_ref().and_then(|validation| validation.weaker_sandbox.clone()));
    let findings = findings::of_run(&mut tx, run).await?.into_iter().map(|(_, finding)| finding).collect();
    let title = title(&mut tx, &snapshot, plan.as_ref()).await?;
    let commands = commands::counts(&mut tx, run).await?;
    tx.commit().await?;
    let units = plan.as_ref().map(|plan| units(plan, &snapshot, &attempts, &receipts, &sent, &asked)).unwrap_or_default();
    Ok(RunReport {
        schema_version: REPORT_SCHEMA_VERSION,
        run,
        title,
        slug: snapshot.run.slug.clone(),
        spec_version: snapshot.run.spec_version,
        target: snapshot.run.target.clone(),
        state: snapshot.run.state,
        summary: snapshot.run.reason.clone(),
        created_at: snapshot.run.created_at,
        finished_at: snapshot.run.finished_at,
        out: snapshot.run.output_dir.clone(),
        branch: output::<BranchRecord>(&journal, Phase::Branch).map(branch),
        tree_hash: output::<super::deploy::Delivery>(&journal, Phase::Deploy)
            .and_then(|delivery| delivery.deployed)
            .map(|deployed| deployed.tree_hash),
        start: start(&snapshot.run.target, &journal),
        phases: journal.iter().filter_map(phase).collect(),
        agents: sent::of_run(&sent, &units, known.as_ref()),
        units,
        checks: validation.as_ref().map(|validation| validation.checks.clone()).unwrap_or_default(),
        compliance: validation.and_then(|validation| serde_json::to_value(validation.compliance).ok()),
        findings,
        degraded,
        commands,
    })
}

fn branch(record: BranchRecord) -> BranchReport {
    let BranchRecord { repository, branch, start, users } = record;
    BranchReport { repository: repository.display().to_string(), branch, start, users }
}

async fn known(tx: &mut TenantTx) -> Result<Known, StoreError> {
    let campaign = campaign::current(tx).await?;
    let verdict = campaign::verdict(tx, &campaign).await?;
    Ok(Known { campaign, verdict })
}

/// An outage in a line: which store, from when to when, and why.
fn outage(row: &DegradationRow) -> String {
    let clock = |at: time::OffsetDateTime| at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
    let until = row.ended_at.map_or_else(|| "the end of the run".to_owned(), clock);
    format!("the {} store was away from {} to {until}: {}", row.store, clock(row.began_at), row.reason)
}

/// The compliance that a report carries.
pub fn compliance(report: &RunReport) -> Option<Compliance> {
    report.compliance.clone().and_then(|value| serde_json::from_value(value).ok())
}

async fn title(tx: &mut TenantTx, snapshot: &RunSnapshot, plan: Option<&Plan>) -> Result<String, StoreError> {
    if let Some(plan) = plan {
        return Ok(plan.spec.title.clone());
    }
    let spec = crate::store::postgres::specs::find(tx, &snapshot.run.slug).await?;
    Ok(spec.map_or_else(|| snapshot.run.slug.clone(), |spec| spec.title))
}

/// How what was delivered is started by hand.
fn start(target: &str, journal: &[PhaseRow]) -> Vec<String> {
    let delivered = output::<super::deploy::Delivery>(journal, Phase::Deploy).is_some_and(|delivery| delivery.deployed.is_some());
    let document = output::<SpecDocument>(journal, Phase::Ingest).filter(|document| delivered && document.generates());
    match (document, TargetPack::load(target)) {
        (Some(document), Ok(pack)) => pack.start_by_hand(&document),
        _ => Vec::new(),
    }
}

/// The output of the last round of a phase that succeeded.
fn output<T: serde::de::DeserializeOwned>(journal: &[PhaseRow], phase: Phase) -> Option<T> {
    let rows = journal.iter().filter(|row| row.phase == phase.as_str());
    let output = rows.max_by_key(|row| row.round)?.output.clone()?;
    serde_json::from_value::<super::journal::Done<T>>(output).ok().map(|done| done.value)
}

fn phase(row: &PhaseRow) -> Option<PhaseReport> {
    let said = |output: &serde_json::Value| output.get("summary").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let duration = row.finished_at.map(|finished| (finished - row.started_at).whole_milliseconds());
    Some(PhaseReport {
        phase: Phase::parse(&row.phase)?,
        round: row.round,
        state: row.state.clone(),
        duration_ms: duration.map(|millis| u64::try_from(millis).unwrap_or(0)),
        summary: row.error.clone().unwrap_or_else(|| row.output.as_ref().map(said).unwrap_or_default()),
    })
}

fn units(
    plan: &Plan,
    snapshot: &RunSnapshot,
    attempts: &[AttemptRow],
    receipts: &BTreeMap<UnitId, Value>,
    sent: &[AssignmentRow],
    asked: &[Question],
) -> Vec<UnitReport> {
    let mut tried: BTreeMap<UnitId, Vec<&AttemptRow>> = BTreeMap::new();
    for attempt in attempts {
        tried.entry(attempt.unit).or_default().push(attempt);
    }
    let mut units: Vec<UnitReport> = snapshot
        .units
        .iter()
        .filter_map(|row| {
            let task = plan.tasks.get(row.ordinal)?;
            let tries = tried.get(&row.id).map(Vec::as_slice).unwrap_or_default();
            let attempt = tries.last();
            Some(UnitReport {
                key: row.key.clone(),
                title: task.title.clone(),
                wave: task.wave.unwrap_or(0),
                state: row.state,
                agent: attempt.map(|attempt| attempt.agent.clone()).filter(|agent| !agent.is_empty()),
                attempts: row.attempt,
                duration_ms: attempt
                    .map(|attempt| u64::try_from((attempt.finished_at - attempt.started_at).whole_milliseconds()).unwrap_or(0)),
                evidence: attempt.map(|attempt| evidence(attempt)).unwrap_or_default(),
                failures: failures(tries),
                undeclared: attempt.map(|attempt| undeclared(&attempt.checks)).unwrap_or_default(),
                context: receipts.get(&row.id).and_then(context),
                sent: sent::of_unit(sent, row.id),
                questions: asked.iter().filter(|question| question.unit == row.key).cloned().collect(),
            })
        })
        .collect();
    units.sort_by_key(|unit| unit.wave);
    units
}

/// The files beyond the declared ones, as they were written down with the checks of an attempt.
pub fn undeclared(checks: &[CheckResult]) -> Vec<String> {
    let listed = checks.iter().filter(|check| check.name == UNDECLARED_FILES);
    listed.flat_map(|check| check.detail.lines()).map(str::to_owned).collect()
}

/// A receipt in numbers.
fn context(document: &Value) -> Option<ContextReport> {
    let receipt: Receipt = serde_json::from_value(document.clone()).ok()?;
    let held = receipt.parts.iter().filter(|part| part.left_out.is_none());
    Some(ContextReport {
        level: receipt.level.as_str().to_owned(),
        bytes: receipt.bytes,
        bytes_max: receipt.bytes_max,
        bytes_whole: receipt.bytes_whole,
        patterns: held.filter_map(|part| part.source.strip_prefix("pattern ")).map(str::to_owned).collect(),
    })
}

/// The tries that failed, each in a line.
fn failures(tries: &[&AttemptRow]) -> Vec<FailureReport> {
    let failed = tries.iter().filter(|attempt| attempt.outcome == "failed").map(|attempt| FailureReport {
        agent: attempt.agent.clone(),
        class: attempt.error_class.clone().unwrap_or_default(),
        reason: attempt.error.lines().next().unwrap_or_default().to_owned(),
    });
    let mut failed: Vec<FailureReport> = failed.collect();
    failed.drain(..failed.len().saturating_sub(FAILURES_MAX));
    failed
}

fn evidence(attempt: &AttemptRow) -> Vec<String> {
    if !attempt.error.is_empty() {
        return vec![attempt.error.lines().next().unwrap_or_default().to_owned()];
    }
    if attempt.outcome == "cached" {
        return vec!["same input as an earlier success".to_owned()];
    }
    let passed = attempt.checks.iter().filter(|check| check.verdict == Verdict::Passed && check.name != UNDECLARED_FILES);
    passed.take(EVIDENCE_MAX).map(|check| check.name.clone()).collect()
}

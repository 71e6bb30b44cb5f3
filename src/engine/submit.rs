//! Submitting: what "the same command again" means.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Engine, EngineError};
use crate::model::{Actor, RunEvent, RunId, SpecId, WorkerId};
use crate::store::postgres::runs::NewRun;
use crate::store::postgres::specs::NewSpec;
use crate::store::postgres::{TenantTx, audit, leases, reopen, runs, settle, specs};

/// A command to build a specification.
#[derive(Debug, Clone, Copy)]
pub struct Submission<'a> {
    /// The document.
    pub spec: NewSpec<'a>,
    /// The target pack's name.
    pub target: &'a str,
    /// The canonical path of the output directory.
    pub output_dir: &'a str,
    /// Options that affect the output; part of what makes two commands the same.
    pub options: &'a Value,
    /// True: a new run even when this one is unfinished (which is superseded) or was finished.
    pub fresh: bool,
}

/// What the command turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmittedAs {
    /// Nothing like it was submitted before.
    New,
    /// It was finished before: a new run, in which unchanged units are reused.
    Again,
    /// It is unfinished and nobody drives it: the same run goes on.
    Resumed,
    /// It is unfinished and lives elsewhere: to be followed.
    Live {
        /// Who drives it.
        driver: WorkerId,
    },
    /// The content changed: a new version of the specification.
    NewVersion,
}

/// The run that a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submitted {
    /// The run.
    pub run: RunId,
    /// Its specification.
    pub spec: SpecId,
    /// The version of the specification.
    pub spec_version: u32,
    /// What the command turned out to be.
    pub how: SubmittedAs,
    /// Unfinished runs that this one took the place of.
    pub superseded: Vec<RunId>,
}

impl Engine {
    /// Stores the document and finds or makes the run of this command. Two equal commands at the same moment lead to one run.
    ///
    /// The run is not driven yet: [`Engine::drive`] does that.
    pub async fn submit(&self, actor: &Actor, submission: &Submission<'_>) -> Result<Submitted, EngineError> {
        let mut tx = self.store.tenant(actor.organization).await?;
        let submitted = self.submit_in(&mut tx, actor, submission).await?;
        tx.commit().await?;
        Ok(submitted)
    }

    /// The same within a transaction of the actor's organization, which the caller commits: the run exists exactly when what else
    /// the caller wrote does.
    pub async fn submit_in(&self, tx: &mut TenantTx, actor: &Actor, submission: &Submission<'_>) -> Result<Submitted, EngineError> {
        // The specification's row stays locked until the end: equal commands queue here.
        let (spec, spec_version) = specs::submit(tx, &submission.spec).await?;
        let run_key = run_key(spec, submission);
        let unfinished = runs::unfinished_of_key(tx, &run_key).await?;
        if let Some(run) = unfinished.filter(|_| !submission.fresh) {
            let lease = leases::find(tx, run).await?;
            let driver = lease.filter(|lease| !lease.expired).and_then(|lease| lease.owner).filter(|driver| *driver != self.worker);
            let how = driver.map_or(SubmittedAs::Resumed, |driver| SubmittedAs::Live { driver });
            return Ok(Submitted { run, spec, spec_version, how, superseded: Vec::new() });
        }
        let mut superseded = runs::unfinished_of_spec(tx, spec, spec_version, submission.output_dir).await?;
        superseded.extend(unfinished);
        for run in &superseded {
            supersede(tx, actor, *run, &format!("version {spec_version} was submitted by {}", actor.name)).await?;
        }
        let how = match runs::newest_of_key(tx, &run_key).await? {
            Some(_) => SubmittedAs::Again,
            None if spec_version > 1 => SubmittedAs::NewVersion,
            None => SubmittedAs::New,
        };
        let Submission { target, output_dir, options, .. } = *submission;
        let run = NewRun { spec, spec_version, run_key: &run_key, target, output_dir, options, actor: &actor.name };
        let run = runs::insert(tx, &run).await?;
        let after = json!({ "spec": submission.spec.slug, "version": spec_version, "output_dir": output_dir });
        audit::record(tx, &actor.name, "run.submit", &run.to_string(), None, Some(&after)).await?;
        Ok(Submitted { run, spec, spec_version, how, superseded })
    }
}

/// Ends a run because another one takes its place: its driver and its workers lose their tokens.
async fn supersede(tx: &mut TenantTx, actor: &Actor, run: RunId, reason: &str) -> Result<(), EngineError> {
    settle::lock_runs(tx, &[run]).await?;
    let moved = runs::transition(tx, run, RunEvent::Supersede, reason).await?;
    if let Some((before, Some(after))) = moved {
        leases::revoke(tx, run).await?;
        reopen::cancel_units(tx, run, reason).await?;
        let (before, after) = (json!({ "state": before.as_str() }), json!({ "state": after.as_str() }));
        audit::record(tx, &actor.name, "run.supersede", &run.to_string(), Some(&before), Some(&after)).await?;
    }
    Ok(())
}

/// Equal for equal commands: specification, content, target, output directory and options, each with its length before it, so that no
/// two different lists run together.
fn run_key(spec: SpecId, submission: &Submission<'_>) -> String {
    let options = submission.options.to_string();
    let parts = [&spec.to_string(), submission.spec.content_hash, submission.target, submission.output_dir, &options];
    let digest = parts
        .iter()
        .fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_be_bytes()).chain_update(part.as_bytes()));
    hex::encode(digest.finalize())
}

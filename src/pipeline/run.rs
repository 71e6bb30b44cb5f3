//! A run in the hands of this process: what every phase needs, and the few things that several of them do.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::toolchain::Toolchain;
use super::{Commands, Events, PipelineError, branch};
use crate::agents::{Agent, Roster};
use crate::config::Config;
use crate::embed;
use crate::engine::{Engine, RunGuard};
use crate::exec::environment::EnvironmentError;
use crate::exec::repository::Repository;
use crate::exec::tree::{PathError, Tree};
use crate::exec::workspace::Workspace;
use crate::generate::TargetPack;
use crate::learning::Memory;
use crate::model::{Actor, Artifact, CheckResult, Finding, OrganizationId, Phase, RunId, SpecDocument, SpecFormat, SpecId};
use crate::store::cache::Cache;
use crate::store::graph::Graph;
use crate::store::postgres::units::UnitRow;
use crate::store::postgres::{Postgres, StoreError, TenantTx, artifacts, assignments, findings, health, phases, units};

/// Options of a run that affect its output; part of its key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOptions {
    /// The format, when the caller insists.
    pub format: Option<SpecFormat>,
    /// True when edited and foreign files in the output directory may be replaced.
    pub force: bool,
    /// True when a wave starts only after the one before it.
    pub strict_waves: bool,
    /// Who builds what no generator builds; none: whoever the settings of the worker name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The user's repository in which the run grows; none: at most one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<UserRepository>,
    /// True when whoever works in a tree may change files that no unit declares.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_undeclared: bool,
}

/// A repository of the user's, on the machine where the run was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRepository {
    /// A directory of it, canonical.
    pub path: PathBuf,
    /// The commit, branch or tag at which the run's branch starts; none: what is checked out when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// True when what was built is put into the output directory as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deliver: bool,
}

impl RunOptions {
    /// True when what was built is put into an output directory.
    pub fn delivers(&self) -> bool {
        self.repository.as_ref().is_none_or(|repository| repository.deliver)
    }
}

/// What was submitted.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The specification.
    pub spec: SpecId,
    /// Its slug.
    pub slug: String,
    /// Its version.
    pub version: u32,
    /// Its bytes.
    pub content: Vec<u8>,
    /// The name of the file it came from.
    pub source_name: String,
    /// The target pack asked for.
    pub target: String,
    /// The output directory; none when nothing is put into one.
    pub out: Option<PathBuf>,
    /// Options that affect the output.
    pub options: RunOptions,
}

/// A run and its handles.
#[derive(Clone)]
pub struct Run {
    /// The run.
    pub id: RunId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// On whose behalf it runs.
    pub actor: Actor,
    /// The right to drive it.
    pub guard: RunGuard,
    /// What was submitted.
    pub submission: Arc<Submission>,
    /// The settings.
    pub config: Arc<Config>,
    /// The facts.
    pub postgres: Postgres,
    /// Durable execution.
    pub engine: Engine,
    /// The plan's graph.
    pub graph: Graph,
    /// Assembled contexts.
    pub cache: Cache,
    /// What was learned.
    pub memory: Memory,
    /// Which embedder serves, for the report.
    pub embedder: embed::Status,
    /// The target pack; none when nothing is generated.
    pub pack: Option<Arc<TargetPack>>,
    /// The agent of the pack.
    pub generator: Option<Arc<dyn Agent>>,
    /// Everybody else who can be sent.
    pub roster: Arc<Roster>,
    /// Where it tells what happens.
    pub events: Events,
    /// Where its commands are written down.
    pub commands: Commands,
    /// Asks it to stop.
    pub stop: CancellationToken,
    /// Phases whose end was told already: the pipeline passes them again and again.
    pub told: Arc<Mutex<BTreeSet<(Phase, u32)>>>,
    /// When this process began each phase.
    pub begun: Arc<Mutex<BTreeMap<(Phase, u32), Instant>>>,
    /// The target's tools, prepared at the first use.
    pub tools: Arc<OnceCell<Toolchain>>,
    /// The repository in which its units are merged, opened at the first use.
    pub repository: Arc<OnceCell<Repository>>,
}

impl Run {
    /// Begins a transaction of the run's organization.
    pub async fn tx(&self) -> Result<TenantTx, StoreError> {
        self.postgres.tenant(self.organization).await
    }

    /// True the first time that it is asked about the end of a phase.
    pub fn not_told_yet(&self, phase: Phase, round: u32) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((phase, round))
    }

    /// True the first time that it is asked about the beginning of a phase, whose time counts from then on.
    pub fn begins_now(&self, phase: Phase, round: u32) -> bool {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let first = !begun.contains_key(&(phase, round));
        begun.entry((phase, round)).or_insert_with(Instant::now);
        first
    }

    /// How long ago this process began the phase, in milliseconds.
    pub fn took_ms(&self, phase: Phase, round: u32) -> u64 {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = begun.get(&(phase, round)).map(Instant::elapsed).unwrap_or_default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }

    /// An error when the run was asked to stop.
    pub fn check_stop(&self) -> Result<(), PipelineError> {
        if self.stop.is_cancelled() { Err(PipelineError::Stopped) } else { Ok(()) }
    }

    /// What a phase produced when it succeeded in that round.
    pub async fn recorded_phase(&self, phase: Phase, round: u32) -> Result<Option<Value>, StoreError> {
        let mut tx = self.tx().await?;
        phases::recorded(&mut tx, self.id, phase.as_str(), round).await
    }

    /// Journals that a phase begins.
    pub async fn begin_phase(&self, phase: Phase, round: u32) -> Result<(), StoreError> {
        let mut tx = self.tx().await?;
        phases::begin(&mut tx, self.id, phase.as_str(), round).await?;
        tx.commit().await
    }

    /// Journals that a phase succeeded.
    pub async fn succeed_phase(&self, phase: Phase, round: u32, output: &Value) -> Result<(), StoreError> {
        let mut tx = self.tx().await?;
        phases::succeed(&mut tx, self.id, phase.as_str(), round, output).await?;
        tx.commit().await
    }

    /// Journals that a phase failed.
    pub async fn fail_phase(&self, phase: Phase, round: u32, error: &str) -> Result<(), StoreError> {
        let mut tx = self.tx().await?;
        phases::fail(&mut tx, self.id, phase.as_str(), round, &crate::redact::redact(error)).await?;
        tx.commit().await
    }

    /// True when its units are merged on a branch: somebody may be sent who works in a tree, or the user named a repository.
    pub fn works_on_a_branch(&self) -> bool {
        self.submission.options.repository.is_some() || self.roster.needs_trees()
    }

    /// The repository of that branch.
    pub async fn repository(&self) -> Result<Option<&Repository>, PipelineError> {
        if !self.works_on_a_branch() {
            return Ok(None);
        }
        self.repository.get_or_try_init(|| branch::open(self)).await.map(Some)
    }

    /// Puts in order what this process has of it, when its work on the run ends here.
    pub async fn leave(&self) {
        self.commands.stored().await;
        branch::leave(self).await;
    }

    /// Every unit, without the gates.
    pub async fn units(&self) -> Result<Vec<UnitRow>, StoreError> {
        let mut tx = self.tx().await?;
        let mut rows = units::list(&mut tx, self.id).await?;
        rows.retain(|row| !row.gate);
        Ok(rows)
    }

    /// The files of every finished unit. What several of them have changed is what the branch has of it.
    pub async fn tree(&self) -> Result<Tree, PipelineError> {
        let mut tx = self.tx().await?;
        let files = artifacts::of_run(&mut tx, self.id).await?;
        let shared = changed_by_several(&files);
        let mut tree = Tree::new();
        let unsound = |error: PathError| PipelineError::Plan(error.to_string());
        for (unit, artifact) in files.iter().filter(|(_, artifact)| !shared.contains(artifact.path.as_str())) {
            let content = artifacts::blob(&mut tx, &artifact.sha256).await?;
            let content = content.ok_or_else(|| PipelineError::Plan(format!("the content of {} ({unit}) is missing", artifact.path)))?;
            tree.insert(&artifact.path, content, artifact.executable).map_err(unsound)?;
        }
        tx.commit().await?;
        if !shared.is_empty() {
            let Some(repository) = self.repository().await? else {
                return Err(PipelineError::Plan(
                    "several units changed the same file, and there is no branch to tell what it is now".to_owned(),
                ));
            };
            let merged = repository.files_of(&repository.head().await?, |path| shared.contains(path)).await?;
            for (path, file) in merged.tree.iter() {
                tree.insert(path, file.content.clone(), file.executable).map_err(unsound)?;
            }
        }
        Ok(tree)
    }

    /// Makes the work tree exactly those files and returns where it is.
    pub async fn assemble_tree(&self) -> Result<PathBuf, PipelineError> {
        let tree = self.tree().await?;
        let workspace = Workspace::open(&self.config.data_dir, &self.id.to_string())?;
        workspace.replace(&tree)?;
        Ok(workspace.path().to_owned())
    }

    /// The pack that generates this document; none when it has nothing structured to generate from.
    pub fn pack_for(&self, document: &SpecDocument) -> Option<&Arc<TargetPack>> {
        self.pack.as_ref().filter(|_| document.generates())
    }

    /// The target's tools; none when nothing is generated.
    pub async fn toolchain(&self, document: &SpecDocument) -> Result<Option<Toolchain>, PipelineError> {
        let Some(pack) = self.pack_for(document) else { return Ok(None) };
        let recorder = self.commands.of_run();
        let prepare = || Toolchain::prepare(&self.config, Arc::clone(pack), document, &recorder, &self.stop);
        match self.tools.get_or_try_init(prepare).await {
            Err(PipelineError::Environment(EnvironmentError::Cancelled { .. })) => Err(PipelineError::Stopped),
            prepared => prepared.cloned().map(Some),
        }
    }

    /// Stores the checks and calls of a phase, replacing those of an interrupted try.
    pub async fn record_checks(&self, phase: Phase, round: u32, checks: &[CheckResult]) -> Result<(), StoreError> {
        let mut tx = self.tx().await?;
        health::save(&mut tx, self.id, phase.as_str(), round, checks).await?;
        tx.commit().await
    }

    /// The units that somebody has worked on who may do better when told why: all others would come to the same files again.
    pub async fn told_units(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut tx = self.tx().await?;
        assignments::keys(&mut tx, self.id).await
    }

    /// Has those units done again, and everything that depends on them.
    pub async fn reopen(&self, keys: &[String], reason: &str) -> Result<(), PipelineError> {
        if !keys.is_empty() {
            self.engine.reopen(&self.actor, self.id, keys, reason).await?;
        }
        Ok(())
    }

    /// Stores what a phase noticed about the input, replacing what an interrupted try stored.
    pub async fn record_findings(&self, phase: Phase, noticed: &[Finding]) -> Result<(), StoreError> {
        let mut tx = self.tx().await?;
        findings::save(&mut tx, self.id, phase.as_str(), noticed).await?;
        tx.commit().await
    }
}

/// The paths of which units left different contents.
fn changed_by_several(files: &[(String, Artifact)]) -> BTreeSet<&str> {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut several = BTreeSet::new();
    for (_, artifact) in files {
        if seen.insert(&artifact.path, &artifact.sha256).is_some_and(|other| other != artifact.sha256) {
            several.insert(artifact.path.as_str());
        }
    }
    several
}

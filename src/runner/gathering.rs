//! What a context is made of, gathered: similar work that was learned, the files of finished dependencies, the unit's own part of the
//! specification; assembled within its budget, or taken from the cache when the same was assembled before.
//!
//! Called where a unit is performed (`contexts`) and where somebody asks what would be told (`preview`). It records nothing.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::contexts::Patterns;
use super::inputs::Inputs;
use super::standards;
use crate::context::{self, Context, Finished, Guideline, Level};
use crate::generate::TargetPack;
use crate::learning::trial::Standing;
use crate::learning::{Memory, MemoryError, words};
use crate::model::{Artifact, OrganizationId, PatternHit, Plan, Question, RunId, SpecDocument, Task};
use crate::pipeline::PipelineError;
use crate::store::cache::{Cache, Key};
use crate::store::postgres::{Postgres, StoreError, artifacts};

/// Files of one dependency that are read for its interface; of more, the first ones in their order.
const FILES_READ_MAX: usize = 20;

/// Where the parts come from.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) organization: OrganizationId,
    pub(super) run: RunId,
    pub(super) postgres: &'a Postgres,
    pub(super) cache: &'a Cache,
    pub(super) memory: &'a Memory,
    pub(super) pack: Option<&'a TargetPack>,
    pub(super) document: &'a SpecDocument,
    pub(super) plan: &'a Plan,
    pub(super) inputs: &'a Inputs,
}

/// A context and what it was made with.
pub(super) struct Gathered {
    pub(super) context: Context,
    /// The patterns that were offered to it.
    pub(super) similar: Vec<PatternHit>,
    /// Why no similar work was looked up; none when it was.
    pub(super) without_similar: Option<String>,
}

impl Sources<'_> {
    /// The context of a unit whose input has that hash, whose dependencies left those files, and about which that was answered.
    pub(super) async fn context(
        &self,
        unit: &Task,
        level: Level,
        input_hash: &str,
        built: &BTreeMap<String, Vec<Artifact>>,
        answered: &[Question],
        patterns: Patterns,
    ) -> Result<Gathered, PipelineError> {
        let similar = if let Patterns::Shown(standing) = patterns { self.similar(unit, standing).await } else { Ok(Vec::new()) };
        let (similar, without_similar) = match similar {
            Ok(hits) => (hits, None),
            Err(MemoryError::Store(error)) => return Err(error.into()),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let guidelines = standards::guidelines(unit, self.pack);
        let content_version = content_version(input_hash, &similar, &guidelines);
        let key = Key { tenant: self.organization, task: unit.key.clone(), level: level.as_str(), content_version };
        let make = || self.assemble(unit, level, &similar, &guidelines, built, answered);
        let unmade = |error: &StoreError| PipelineError::Plan(format!("the context of {} could not be assembled: {error}", unit.key));
        let bytes = self.cache.get_or_make(key, make()).await.map_err(|error| unmade(&error))?;
        // What another version of specwave left in a shared cache may read differently: it is made anew.
        let context: Context = match serde_json::from_slice(&bytes) {
            Ok(context) => context,
            Err(_) => serde_json::from_slice(&make().await.map_err(|error| unmade(&error))?)
                .map_err(|error| PipelineError::Plan(format!("the context of {} cannot be read: {error}", unit.key)))?,
        };
        Ok(Gathered { context, similar, without_similar })
    }

    /// Similar work of the same language and framework.
    async fn similar(&self, unit: &Task, standing: Standing) -> Result<Vec<PatternHit>, MemoryError> {
        let (language, framework) = self.pack.map_or(("", ""), |pack| (pack.language(), pack.framework()));
        self.memory.for_unit(&words::unit(self.document, unit), language, framework, standing).await
    }

    async fn assemble(
        &self,
        unit: &Task,
        level: Level,
        similar: &[PatternHit],
        guidelines: &[Guideline],
        built: &BTreeMap<String, Vec<Artifact>>,
        answered: &[Question],
    ) -> Result<Vec<u8>, StoreError> {
        let finished = self.finished(built).await?;
        let context = context::assemble(&context::Input {
            unit,
            plan: self.plan,
            doc: self.document,
            fragment: self.inputs.fragment(&unit.key),
            answered,
            finished: &finished,
            guidelines,
            patterns: similar,
            level: Some(level),
        });
        serde_json::to_vec(&context).map_err(|error| StoreError::corrupt("context", error.to_string()))
    }

    /// The files of the unit's dependencies.
    pub(super) async fn built(&self, unit: &Task) -> Result<BTreeMap<String, Vec<Artifact>>, StoreError> {
        let wanted = self.inputs.dependencies(&unit.key);
        let mut built: BTreeMap<String, Vec<Artifact>> = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(built);
        }
        let mut tx = self.postgres.tenant(self.organization).await?;
        for (key, artifact) in artifacts::of_run(&mut tx, self.run).await? {
            if wanted.binary_search(&key).is_ok() {
                built.entry(key).or_default().push(artifact);
            }
        }
        Ok(built)
    }

    /// The text files that the unit's dependencies left behind.
    async fn finished(&self, built: &BTreeMap<String, Vec<Artifact>>) -> Result<Vec<Finished>, StoreError> {
        let mut tx = self.postgres.tenant(self.organization).await?;
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
}

/// The unit's input, the patterns shown and the standards told: whatever changes the bytes of the context changes this.
fn content_version(input_hash: &str, similar: &[PatternHit], guidelines: &[Guideline]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(input_hash);
    for hit in similar {
        let pattern = &hit.pattern;
        hasher.update(format!("\0{} {} {} {} {}", pattern.id, hit.score, hit.embedder, pattern.run, pattern.unit_key));
        pattern.evidence.iter().for_each(|check| hasher.update(format!("\0{check}")));
    }
    for guideline in guidelines {
        hasher.update(format!("\0{}\0{}", guideline.skill, guideline.text));
    }
    hex::encode(hasher.finalize())
}

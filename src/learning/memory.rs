//! What is remembered: patterns in PostgreSQL, their vectors beside them, and a vector store that follows (`follow`).
//!
//! The rows are the facts. A pattern is written there first; a vector store that fails only means that the rows themselves are
//! compared. A point whose row is gone is found out when it is hit: it is removed, and the store is asked again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::advice::Advised;
use super::follow::{Follower, Place};
use super::query::Query;
use super::trial::Standing;
use crate::embed::{EmbedError, Embedder, TEXTS_MAX};
use crate::model::{Actor, OrganizationId, Pattern, PatternHit, PatternId, PatternKind};
use crate::store::postgres::{Postgres, StoreError, audit, pattern_vectors, patterns};
use crate::store::vectors::{Collection, Point, Search, Vectors, VectorsError};

/// Rows that are fetched from PostgreSQL together.
pub(super) const FETCH_ROWS: usize = 500;
/// Successes that are told about a unit.
const UNIT_PATTERNS_MAX: usize = 5;
/// Failures that are told about a unit.
const UNIT_WARNINGS_MAX: usize = 3;
/// For each that is told so many are looked at: a nearer one may be old, or contradicted.
const LOOKED_AT: usize = 4;
/// How often one search asks a store that names points whose rows are gone.
const ASKED_MAX: usize = 3;

/// The memory of one organization; clones share it.
#[derive(Clone)]
pub struct Memory {
    /// Whose it is.
    pub tenant: OrganizationId,
    /// The facts.
    pub postgres: Postgres,
    /// Text to vector.
    pub embedder: Arc<dyn Embedder>,
    /// The nearest patterns.
    pub vectors: Vectors,
    /// How far the stores of this process have followed the rows.
    pub follower: Follower,
    /// After so long without being confirmed a pattern weighs half as much.
    pub half_life: Duration,
}

/// What learning did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learned {
    /// Patterns that were new.
    pub new: usize,
    /// Patterns that were known already.
    pub known: usize,
    /// How many of all are warnings.
    pub warnings: usize,
}

/// What can go wrong. What was stored before stays stored.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The facts cannot be read or written.
    #[error("patterns cannot be read or written")]
    Store(#[from] StoreError),
    /// The texts could not be turned into vectors.
    #[error("texts could not be turned into vectors")]
    Embed(#[from] EmbedError),
    /// The rows themselves could not be compared.
    #[error("patterns could not be compared")]
    Vectors(#[from] VectorsError),
}

impl MemoryError {
    /// True when the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store(error) => error.is_transient(),
            Self::Vectors(error) => error.is_transient(),
            Self::Embed(_) => false,
        }
    }
}

impl Memory {
    /// Stores patterns with their vectors, in PostgreSQL first, and then where they are searched, so that they are found at once.
    /// Learning the same twice stores it once. A vector store that fails is only warned about: it follows later.
    pub async fn learn(&self, learned: &[Pattern]) -> Result<Learned, MemoryError> {
        let mut by_id: BTreeMap<PatternId, &Pattern> = BTreeMap::new();
        for pattern in learned {
            by_id.entry(pattern.id).or_insert(pattern);
        }
        let unique: Vec<&Pattern> = by_id.into_values().collect();
        let mut done = Learned { warnings: unique.iter().filter(|pattern| !pattern.success).count(), ..Learned::default() };
        for batch in unique.chunks(TEXTS_MAX) {
            for version in self.store(batch).await? {
                if version == 1 {
                    done.new += 1;
                } else {
                    done.known += 1;
                }
            }
        }
        let shown = async {
            let ids: Vec<(PatternId, PatternKind)> = unique.iter().map(|pattern| (pattern.id, pattern.kind)).collect();
            self.show(&self.vectors, &ids).await?;
            Ok(self.vectors.flush().await?)
        };
        match shown.await {
            Err(MemoryError::Vectors(error)) => tracing::warn!(%error, "patterns are stored; the vector store follows later"),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        Ok(done)
    }

    /// Takes over patterns that were not learned here, on behalf of somebody. Those that are known stay as they are: that they were verified
    /// elsewhere as well says nothing of what happens here.
    pub async fn import(&self, actor: &Actor, foreign: &[Pattern]) -> Result<Learned, MemoryError> {
        let mut new = Vec::new();
        for page in foreign.chunks(FETCH_ROWS) {
            let ids: Vec<PatternId> = page.iter().map(|pattern| pattern.id).collect();
            let mut tx = self.postgres.tenant(self.tenant).await?;
            let known: BTreeSet<PatternId> = patterns::find(&mut tx, &ids).await?.into_iter().map(|row| row.pattern.id).collect();
            tx.commit().await?;
            new.extend(page.iter().filter(|pattern| !known.contains(&pattern.id)).cloned());
        }
        let learned = self.learn(&new).await?;
        let imported = Learned { known: foreign.len() - learned.new, ..learned };
        let counts = serde_json::json!({ "new": imported.new, "known": imported.known });
        let mut tx = self.postgres.tenant(self.tenant).await?;
        audit::record(&mut tx, &actor.name, "pattern.import", "patterns", None, Some(&counts)).await?;
        tx.commit().await?;
        Ok(imported)
    }

    /// Embeds and stores; returns the versions of the rows. No transaction is open while the model works.
    pub(super) async fn store(&self, batch: &[&Pattern]) -> Result<Vec<i64>, MemoryError> {
        let vectors = self.embedder.embed(batch.iter().map(|pattern| pattern.text.clone()).collect()).await?;
        let model = self.embedder.model_id();
        let mut versions = Vec::with_capacity(batch.len());
        let mut tx = self.postgres.tenant(self.tenant).await?;
        for (pattern, vector) in batch.iter().zip(vectors) {
            versions.push(patterns::store(&mut tx, pattern, &model, &vector).await?);
        }
        tx.commit().await?;
        Ok(versions)
    }

    /// Brings rows as they are now into a vector store.
    pub(super) async fn show(&self, vectors: &Vectors, rows: &[(PatternId, PatternKind)]) -> Result<(), MemoryError> {
        let model = self.embedder.model_id();
        for kind in PatternKind::ALL {
            let of_kind: Vec<PatternId> = rows.iter().filter(|(_, of)| *of == kind).map(|(id, _)| *id).collect();
            for ids in of_kind.chunks(FETCH_ROWS) {
                let mut tx = self.postgres.tenant(self.tenant).await?;
                let rows = pattern_vectors::find(&mut tx, &model, ids).await?;
                tx.commit().await?;
                vectors.upsert(Collection::of(kind), rows.into_iter().map(|row| Point::of(row, self.tenant)).collect()).await?;
            }
        }
        Ok(())
    }

    /// Forgets a pattern for good, on behalf of somebody; none when there is none of that id. A vector store that fails keeps its
    /// point until it is hit or the projection removes it: no search shows it.
    pub async fn forget(&self, actor: &Actor, id: PatternId) -> Result<Option<Pattern>, MemoryError> {
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let Some(row) = patterns::find(&mut tx, &[id]).await?.into_iter().next() else { return Ok(None) };
        if !patterns::delete(&mut tx, id).await? {
            return Ok(None);
        }
        let pattern = row.pattern;
        let before = serde_json::json!({
            "title": pattern.title, "unit": pattern.unit_key, "run": pattern.run, "success": pattern.success, "version": row.version,
        });
        audit::record(&mut tx, &actor.name, "pattern.delete", &format!("pattern:{id}"), Some(&before), None).await?;
        tx.commit().await?;
        if let Err(error) = self.vectors.delete(Collection::of(pattern.kind), self.tenant, vec![id.0]).await {
            tracing::warn!(%error, "the pattern is deleted; the vector store follows later");
        }
        Ok(Some(pattern))
    }

    /// The patterns nearest to a question, best first, each with its score and the embedder that made it.
    pub async fn search(&self, query: &Query) -> Result<Vec<PatternHit>, MemoryError> {
        let vector = self.embedder.embed(vec![query.text.clone()]).await?.into_iter().next().unwrap_or_default();
        match self.ask(Place::Served, query, &vector).await {
            Err(MemoryError::Vectors(error)) => {
                // A server's breaker has told the outage; a store in process fails once at a time.
                tracing::debug!(%error, "the vector store does not answer; the rows are compared instead");
                self.ask(Place::StandBy, query, &vector).await
            }
            answer => answer,
        }
    }

    /// What is worth telling about a unit: the successes of its language and framework that are most similar and were confirmed lately,
    /// then failures to avoid; only what the embedder's own measured threshold calls similar, and nothing that is contradicted by what
    /// has more evidence.
    pub async fn for_unit(&self, work: &str, language: &str, framework: &str, standing: Standing) -> Result<Vec<PatternHit>, MemoryError> {
        let query = |success: bool, limit: usize| Query {
            kinds: vec![PatternKind::Code],
            language: Some(language.to_owned()),
            framework: Some(framework.to_owned()),
            success: Some(success),
            threshold: Some(self.embedder.similar_from()),
            limit: limit * LOOKED_AT,
            ..Query::of(work)
        };
        let mut told = Vec::new();
        for (success, limit) in [(true, UNIT_PATTERNS_MAX), (false, UNIT_WARNINGS_MAX)] {
            let hits = self.search(&query(success, limit)).await?;
            let ids: Vec<PatternId> = hits.iter().map(|hit| hit.pattern.id).collect();
            let mut tx = self.postgres.tenant(self.tenant).await?;
            let advised = Advised::of(&mut tx, &ids, self.half_life).await?;
            tx.commit().await?;
            told.extend(advised.rank(hits, standing).into_iter().take(limit));
        }
        Ok(told)
    }

    /// Lets a store follow, asks it, and removes from it what the rows do not know any more.
    async fn ask(&self, place: Place, query: &Query, vector: &[f32]) -> Result<Vec<PatternHit>, MemoryError> {
        let vectors = self.at(place);
        self.follow(place).await?;
        for asked in 1.. {
            let scores = nearest(&vectors, self.tenant, query, vector).await?;
            let (hits, gone) = self.hits(scores).await?;
            if gone.is_empty() || asked == ASKED_MAX {
                return Ok(hits);
            }
            if asked == 1 {
                for collection in Collection::ALL {
                    vectors.delete(collection, self.tenant, gone.iter().map(|id| id.0).collect()).await?;
                }
            } else {
                // More than a few are gone: one comparison with all rows is shorter than finding them one after the other.
                self.compare(place).await?;
            }
        }
        Ok(Vec::new())
    }

    /// The rows behind the scores, and the ids that have none any more.
    async fn hits(&self, scores: Vec<(PatternId, f32)>) -> Result<(Vec<PatternHit>, Vec<PatternId>), MemoryError> {
        let ids: Vec<PatternId> = scores.iter().map(|(id, _)| *id).collect();
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let rows = patterns::find(&mut tx, &ids).await?;
        tx.commit().await?;
        let mut rows: BTreeMap<PatternId, Pattern> = rows.into_iter().map(|row| (row.pattern.id, row.pattern)).collect();
        let (embedder, mut hits, mut gone) = (self.embedder.name(), Vec::with_capacity(scores.len()), Vec::new());
        for (id, score) in scores {
            match rows.remove(&id) {
                Some(pattern) => hits.push(PatternHit { pattern, score, embedder: embedder.to_owned() }),
                None => gone.push(id),
            }
        }
        Ok((hits, gone))
    }
}

/// Ids with scores, best first, of all the kinds that are asked for.
async fn nearest(vectors: &Vectors, tenant: OrganizationId, query: &Query, vector: &[f32]) -> Result<Vec<(PatternId, f32)>, VectorsError> {
    let kinds = if query.kinds.is_empty() { &PatternKind::ALL[..] } else { &query.kinds };
    let searches = kinds.iter().map(|kind| {
        let filter = query.filter(tenant);
        let search = Search { vector: vector.to_vec(), filter, threshold: query.threshold, limit: query.limit };
        vectors.search(Collection::of(*kind), search)
    });
    let found = futures_util::future::try_join_all(searches).await?;
    let mut found: Vec<(PatternId, f32)> = found.into_iter().flatten().map(|hit| (PatternId(hit.id), hit.score)).collect();
    found.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    found.truncate(query.limit);
    Ok(found)
}

//! What is remembered: patterns in PostgreSQL, their vectors beside them, and a vector store that follows.
//!
//! The rows are the facts. The vector store is caught up before it is asked, so a pattern that another process learned, or one
//! that a crash kept from the shard, is found too; when the store fails, the rows themselves are compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::embed::{EmbedError, Embedder, TEXTS_MAX};
use crate::model::{OrganizationId, Pattern, PatternHit, PatternId, PatternKind};
use crate::store::postgres::{Postgres, StoreError, pattern_vectors, patterns};
use crate::store::vectors::{Collection, Filter, Point, Search, Vectors, VectorsError};

/// Rows that are fetched from PostgreSQL together.
const FETCH_ROWS: usize = 500;
/// Patterns without a vector of the present embedder that one call embeds; more wait for the next.
const EMBED_ROWS_MAX: u32 = 1_000;
/// Successes that are told about a unit.
const UNIT_PATTERNS_MAX: usize = 5;
/// Failures that are told about a unit.
const UNIT_WARNINGS_MAX: usize = 3;
const KINDS: [PatternKind; 3] = [PatternKind::Code, PatternKind::Task, PatternKind::Sequence];

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
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The question, in words.
    pub text: String,
    /// Only these kinds; empty means all.
    pub kinds: Vec<PatternKind>,
    /// Only this sort of work (`api`, `model`, …).
    pub unit_type: Option<String>,
    /// Only this language.
    pub language: Option<String>,
    /// Only this framework.
    pub framework: Option<String>,
    /// Only specifications of this format.
    pub spec_type: Option<String>,
    /// Only what worked, or only what failed.
    pub success: Option<bool>,
    /// The least score; none shows everything.
    pub threshold: Option<f32>,
    /// Most hits.
    pub limit: usize,
}

impl Query {
    /// A question without any restriction, ten hits.
    pub fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            kinds: Vec::new(),
            unit_type: None,
            language: None,
            framework: None,
            spec_type: None,
            success: None,
            threshold: None,
            limit: 10,
        }
    }

    fn filter(&self, tenant: OrganizationId) -> Filter {
        let mut filter = Filter::of(tenant);
        if let Some(unit_type) = &self.unit_type {
            filter = filter.unit_type(unit_type);
        }
        if let Some(language) = &self.language {
            filter = filter.language(language);
        }
        if let Some(framework) = &self.framework {
            filter = filter.framework(framework);
        }
        if let Some(spec_type) = &self.spec_type {
            filter = filter.spec_type(spec_type);
        }
        match self.success {
            Some(success) => filter.success(success),
            None => filter,
        }
    }
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

impl Memory {
    /// Stores patterns with their vectors, in PostgreSQL first. Learning the same twice stores it once. A vector store that
    /// fails is only warned about: the next catch-up brings it what it lacks.
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
        let caught_up = match self.catch_up(&self.vectors, &KINDS).await {
            Ok(_) => self.vectors.flush().await.map_err(MemoryError::from),
            Err(error) => Err(error),
        };
        match caught_up {
            Err(MemoryError::Vectors(error)) => tracing::warn!(%error, "patterns are stored; the vector store follows later"),
            Err(error) => return Err(error),
            Ok(()) => {}
        }
        Ok(done)
    }

    /// Embeds and stores; returns the versions of the rows. No transaction is open while the model works.
    async fn store(&self, batch: &[&Pattern]) -> Result<Vec<i64>, MemoryError> {
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

    /// The patterns nearest to a question, best first, each with its score and the embedder that made it.
    pub async fn search(&self, query: &Query) -> Result<Vec<PatternHit>, MemoryError> {
        self.embed_missing().await?;
        let vector = self.embedder.embed(vec![query.text.clone()]).await?.into_iter().next().unwrap_or_default();
        let kinds = if query.kinds.is_empty() { KINDS.to_vec() } else { query.kinds.clone() };
        let scores = match self.nearest(&self.vectors, &kinds, query, &vector).await {
            Err(MemoryError::Vectors(error)) => {
                tracing::warn!(%error, "the vector store does not answer; the rows are compared instead");
                self.nearest(&Vectors::exact(self.embedder.dimension()), &kinds, query, &vector).await?
            }
            answer => answer?,
        };
        self.hits(scores).await
    }

    /// What is worth telling about a unit: the most similar successes of its language and framework, then failures to avoid;
    /// only what the embedder's own measured threshold calls similar.
    pub async fn for_unit(&self, work: &str, language: &str, framework: &str) -> Result<Vec<PatternHit>, MemoryError> {
        let query = |success: bool, limit: usize| Query {
            kinds: vec![PatternKind::Code],
            language: Some(language.to_owned()),
            framework: Some(framework.to_owned()),
            success: Some(success),
            threshold: Some(self.embedder.similar_from()),
            limit,
            ..Query::of(work)
        };
        let mut hits = self.search(&query(true, UNIT_PATTERNS_MAX)).await?;
        hits.extend(self.search(&query(false, UNIT_WARNINGS_MAX)).await?);
        Ok(hits)
    }

    /// Catches a store up and asks it; ids with scores, best first.
    async fn nearest(
        &self,
        vectors: &Vectors,
        kinds: &[PatternKind],
        query: &Query,
        vector: &[f32],
    ) -> Result<Vec<(PatternId, f32)>, MemoryError> {
        self.catch_up(vectors, kinds).await?;
        let mut found = Vec::new();
        for kind in kinds {
            let filter = query.filter(self.tenant);
            let search = Search { vector: vector.to_vec(), filter, threshold: query.threshold, limit: query.limit };
            found.extend(vectors.search(Collection::of(*kind), search).await?.into_iter().map(|hit| (PatternId(hit.id), hit.score)));
        }
        found.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        found.truncate(query.limit);
        Ok(found)
    }

    /// The rows behind the scores. An id without a row (deleted since) is passed over.
    async fn hits(&self, scores: Vec<(PatternId, f32)>) -> Result<Vec<PatternHit>, MemoryError> {
        let ids: Vec<PatternId> = scores.iter().map(|(id, _)| *id).collect();
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let rows = patterns::find(&mut tx, &ids).await?;
        tx.commit().await?;
        let mut rows: BTreeMap<PatternId, Pattern> = rows.into_iter().map(|row| (row.pattern.id, row.pattern)).collect();
        let embedder = self.embedder.name();
        let hit = |(id, score)| Some(PatternHit { pattern: rows.remove(&id)?, score, embedder: embedder.to_owned() });
        Ok(scores.into_iter().filter_map(hit).collect())
    }

    /// Embeds what the present embedder has not seen yet: all of them after a change of embedder.
    async fn embed_missing(&self) -> Result<(), MemoryError> {
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let unseen = patterns::without_vector(&mut tx, &self.embedder.model_id(), EMBED_ROWS_MAX).await?;
        tx.commit().await?;
        let unseen: Vec<&Pattern> = unseen.iter().map(|row| &row.pattern).collect();
        for batch in unseen.chunks(TEXTS_MAX) {
            self.store(batch).await?;
        }
        Ok(())
    }

    /// Brings a vector store to what PostgreSQL holds: adds what it lacks, removes what is gone. Returns how many were added.
    async fn catch_up(&self, vectors: &Vectors, kinds: &[PatternKind]) -> Result<usize, MemoryError> {
        let model = self.embedder.model_id();
        let mut added = 0;
        for kind in kinds {
            let collection = Collection::of(*kind);
            let mut there = vectors.versions(collection, self.tenant).await?;
            let mut tx = self.postgres.tenant(self.tenant).await?;
            let wanted = pattern_vectors::versions(&mut tx, &model, kind_name(*kind)).await?;
            tx.commit().await?;
            let lacks = |(id, version): &(PatternId, i64)| there.get(&id.0).is_none_or(|held| held < version);
            let lacking: Vec<PatternId> = wanted.iter().filter(|row| lacks(row)).map(|(id, _)| *id).collect();
            for (id, _) in &wanted {
                there.remove(&id.0);
            }
            if !there.is_empty() {
                vectors.delete(collection, self.tenant, there.into_keys().collect()).await?;
            }
            for ids in lacking.chunks(FETCH_ROWS) {
                let mut tx = self.postgres.tenant(self.tenant).await?;
                let rows = pattern_vectors::find(&mut tx, &model, ids).await?;
                tx.commit().await?;
                added += rows.len();
                vectors.upsert(collection, rows.into_iter().map(|row| Point::of(row, self.tenant)).collect()).await?;
            }
        }
        Ok(added)
    }
}

fn kind_name(kind: PatternKind) -> &'static str {
    match kind {
        PatternKind::Task => "task",
        PatternKind::Code => "code",
        PatternKind::Sequence => "sequence",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::Lexical;
    use crate::model::RunId;
    use crate::model::id::LOCAL_ORGANIZATION;
    use crate::store::postgres::testing;
    use crate::store::vectors::Generation;

    fn pattern(kind: PatternKind, text: &str, success: bool) -> Pattern {
        Pattern {
            id: PatternId(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, text.as_bytes())),
            kind,
            title: text.to_owned(),
            text: text.to_owned(),
            code: "def f(): ...".to_owned(),
            language: "python".to_owned(),
            framework: "FastAPI".to_owned(),
            unit_type: "api".to_owned(),
            spec_type: "markdown".to_owned(),
            success,
            run: RunId(uuid::Uuid::from_u128(1)),
            unit_key: "router/books".to_owned(),
            evidence: vec!["probe".to_owned()],
        }
    }

    fn three() -> [Pattern; 3] {
        [
            pattern(PatternKind::Code, "Paginated list endpoint with filter: GET /books", true),
            pattern(PatternKind::Code, "Delete endpoint: DELETE /books/{id}", false),
            pattern(PatternKind::Task, "Model of a book", true),
        ]
    }

    async fn memory(postgres: &Postgres, directory: &std::path::Path) -> Memory {
        let embedder = Arc::new(Lexical);
        let generation = Generation { model_id: embedder.model_id(), dimension: embedder.dimension() };
        let (vectors, _) = Vectors::open(directory, &generation).await;
        Memory { tenant: LOCAL_ORGANIZATION, postgres: postgres.clone(), embedder, vectors }
    }

    async fn titles(memory: &Memory, query: Query) -> Vec<String> {
        memory.search(&query).await.unwrap().into_iter().map(|hit| hit.pattern.title).collect()
    }

    #[tokio::test]
    async fn what_was_learned_is_found_once_with_score_and_embedder() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        let memory = memory(&postgres, directory.path()).await;
        assert_eq!(memory.learn(&three()).await.unwrap(), Learned { new: 3, known: 0, warnings: 1 });
        assert_eq!(memory.learn(&three()).await.unwrap(), Learned { new: 0, known: 3, warnings: 1 });
        let hits = memory.search(&Query::of("paginated list endpoint with filter")).await.unwrap();
        assert_eq!(hits.len(), 3);
        assert_eq!(hits[0].pattern, three()[0]);
        assert_eq!(hits[0].embedder, "lexical-ngram-v1");
        assert!(hits[0].score > 0.5 && hits.is_sorted_by(|left, right| left.score >= right.score), "{hits:?}");
    }

    #[tokio::test]
    async fn a_unit_is_told_what_is_similar_and_what_failed() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        let memory = memory(&postgres, directory.path()).await;
        memory.learn(&three()).await.unwrap();
        let told = async |work: &str| {
            let hits = memory.for_unit(work, "python", "FastAPI").await.unwrap();
            hits.into_iter().map(|hit| (hit.pattern.title, hit.pattern.success)).collect::<Vec<_>>()
        };
        let [list, delete, _] = three();
        assert_eq!(told("Paginated list endpoint with filter").await, [(list.title, true)]);
        assert_eq!(told("Delete endpoint: DELETE /authors/{id}").await, [(delete.title, false)]);
        assert_eq!(told("Dockerfile").await, []);
    }

    #[tokio::test]
    async fn restrictions_hold() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        let memory = memory(&postgres, directory.path()).await;
        memory.learn(&three()).await.unwrap();
        let query = || Query::of("endpoint of books");
        assert_eq!(titles(&memory, Query { kinds: vec![PatternKind::Task], ..query() }).await, ["Model of a book"]);
        assert_eq!(titles(&memory, Query { success: Some(false), ..query() }).await, ["Delete endpoint: DELETE /books/{id}"]);
        assert_eq!(titles(&memory, Query { limit: 1, ..query() }).await.len(), 1);
        assert_eq!(titles(&memory, Query { language: Some("rust".to_owned()), ..query() }).await.len(), 0);
        assert_eq!(titles(&memory, Query { threshold: Some(1.0), ..query() }).await.len(), 0);
    }

    /// Two handles on one directory, as two processes have them: whoever learns, the other one finds it.
    #[tokio::test]
    async fn processes_on_one_directory_learn_from_each_other() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        let (first, second) = (memory(&postgres, directory.path()).await, memory(&postgres, directory.path()).await);
        let [one, two, three] = three();
        first.learn(&[one]).await.unwrap();
        assert_eq!(titles(&second, Query::of("endpoint")).await.len(), 1);
        second.learn(&[two, three]).await.unwrap();
        assert_eq!(titles(&first, Query::of("endpoint")).await.len(), 3);
        drop(first);
        let third = memory(&postgres, directory.path()).await;
        assert_eq!(titles(&third, Query::of("endpoint")).await.len(), 3);
    }

    #[tokio::test]
    async fn a_lost_vector_store_is_filled_again() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        memory(&postgres, directory.path()).await.learn(&three()).await.unwrap();
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(titles(&memory(&postgres, empty.path()).await, Query::of("endpoint")).await.len(), 3);
    }

    #[tokio::test]
    async fn another_organization_finds_nothing_of_it() {
        let (postgres, directory) = (testing::store().await, tempfile::tempdir().unwrap());
        let own = memory(&postgres, directory.path()).await;
        own.learn(&three()).await.unwrap();
        let other = Memory { tenant: testing::other_organization(&postgres).await, ..own };
        assert_eq!(titles(&other, Query::of("endpoint")).await.len(), 0);
    }
}

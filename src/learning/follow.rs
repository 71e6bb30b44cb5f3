//! How the vector store of a process follows the rows of PostgreSQL, without reading them all at each search.
//!
//! Called by `memory` before a store is asked. Once for each process and store everything is compared; after that only rows are read
//! whose last change is not older than the oldest transaction that was open at the reading before. That one may have been about to
//! change a row then, and every older one is over: nothing falls between two readings, whatever the order of commits. Deleted rows
//! leave no trace here; `memory` finds out when it hits one.
//!
//! A server is kept in step by whoever learns and by the projection, so here only the number of points is compared with it: when the
//! process begins to use it, after calls that failed, and each hour.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::memory::{Memory, MemoryError};
use crate::embed::TEXTS_MAX;
use crate::model::{OrganizationId, Pattern, PatternId, PatternKind};
use crate::store::postgres::pattern_vectors::Changed;
use crate::store::postgres::{pattern_vectors, patterns};
use crate::store::vectors::{Collection, Vectors};

/// Patterns without a vector of the present embedder that one call embeds; more wait for the next.
const EMBED_ROWS_MAX: u32 = 1_000;
/// How long a comparison with all rows is relied on: whatever an hour brought that is not foreseen here does not stay.
const COMPARED_FOR: Duration = Duration::from_hours(1);
/// Rows of a kind that stand by for a server that fails: 150 MB at 384 numbers. Of more the others are not found meanwhile.
const STANDBY_ROWS_MAX: usize = 100_000;

/// Which store is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// The one that the settings name.
    Served,
    /// The rows themselves, in memory, while that one fails.
    StandBy,
}

/// How far the stores of this process have followed; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Follower {
    marks: Arc<Mutex<BTreeMap<(OrganizationId, Place), Mark>>>,
    standby: Arc<OnceLock<Vectors>>,
}

/// What one store has of one organization.
#[derive(Debug, Clone)]
struct Mark {
    /// The oldest transaction that was open when rows were read last.
    horizon: u64,
    /// Rows changed since then that the store has already.
    taken: BTreeMap<PatternId, i64>,
    /// When all rows were compared.
    compared_at: Instant,
    /// How many calls the store had failed by then.
    failures: u64,
}

impl Follower {
    fn marks(&self) -> MutexGuard<'_, BTreeMap<(OrganizationId, Place), Mark>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    pub(super) fn at(&self, place: Place) -> Vectors {
        match place {
            Place::Served => self.vectors.clone(),
            Place::StandBy => self.follower.standby.get_or_init(|| Vectors::exact(self.embedder.dimension())).clone(),
        }
    }

    /// Brings a store to what PostgreSQL holds.
    pub(super) async fn follow(&self, place: Place) -> Result<(), MemoryError> {
        let key = (self.tenant, place);
        let mark = self.follower.marks().get(&key).cloned();
        let failures = self.at(place).failures();
        match mark.filter(|mark| mark.failures == failures && mark.compared_at.elapsed() < COMPARED_FOR) {
            None => self.compare(place).await,
            Some(mark) => {
                let mark = self.take_changes(place, mark).await?;
                self.follower.marks().insert(key, mark);
                Ok(())
            }
        }
    }

    /// Brings the store that serves to what PostgreSQL holds, patterns that the present embedder has not seen included.
    pub async fn catch_up(&self) -> Result<(), MemoryError> {
        loop {
            self.follow(Place::Served).await?;
            if self.follower.marks().contains_key(&(self.tenant, Place::Served)) {
                return Ok(());
            }
        }
    }

    /// Compares everything, and begins to follow from there.
    pub(super) async fn compare(&self, place: Place) -> Result<(), MemoryError> {
        let (vectors, model) = (self.at(place), self.embedder.model_id());
        // Before anything is read: a change that commits during the comparison is read again.
        let horizon = {
            let mut tx = self.postgres.tenant(self.tenant).await?;
            pattern_vectors::horizon(&mut tx).await?
        };
        let failures = vectors.failures();
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let unseen = patterns::without_vector(&mut tx, &model, EMBED_ROWS_MAX).await?;
        tx.commit().await?;
        self.embed(&vectors, &unseen.iter().map(|row| &row.pattern).collect::<Vec<_>>()).await?;
        for kind in PatternKind::ALL {
            self.compare_kind(place, &vectors, kind).await?;
        }
        let mark = Mark { horizon, taken: BTreeMap::new(), compared_at: Instant::now(), failures };
        let mut marks = self.follower.marks();
        if unseen.len() < EMBED_ROWS_MAX as usize {
            marks.insert((self.tenant, place), mark);
        } else {
            marks.remove(&(self.tenant, place));
        }
        Ok(())
    }

    /// Adds what the store lacks of a kind and removes what is gone.
    async fn compare_kind(&self, place: Place, vectors: &Vectors, kind: PatternKind) -> Result<(), MemoryError> {
        let (collection, model) = (Collection::of(kind), self.embedder.model_id());
        if vectors.shared() {
            let mut tx = self.postgres.tenant(self.tenant).await?;
            let wanted = pattern_vectors::count(&mut tx, &model, kind).await?;
            tx.commit().await?;
            if vectors.count(collection, self.tenant).await? == wanted {
                return Ok(());
            }
        }
        let mut there = vectors.versions(collection, self.tenant).await?;
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let mut wanted = pattern_vectors::versions(&mut tx, &model, kind).await?;
        tx.commit().await?;
        if place == Place::StandBy && wanted.len() > STANDBY_ROWS_MAX {
            tracing::warn!(rows = wanted.len(), "only {STANDBY_ROWS_MAX} patterns are compared while the vector store fails");
            wanted.truncate(STANDBY_ROWS_MAX);
        }
        let lacks = |(id, version): &&(PatternId, i64)| there.get(&id.0).is_none_or(|held| held < version);
        let lacking: Vec<(PatternId, PatternKind)> = wanted.iter().filter(lacks).map(|(id, _)| (*id, kind)).collect();
        // A row that was deleted and learned again begins anew: its point is newer than it and would stay.
        let kept = |(id, version): &(PatternId, i64)| there.get(&id.0).is_some_and(|held| held <= version).then_some(id.0);
        let kept: Vec<uuid::Uuid> = wanted.iter().filter_map(kept).collect();
        for id in &kept {
            there.remove(id);
        }
        let gone: Vec<uuid::Uuid> = there.into_keys().collect();
        if !gone.is_empty() {
            vectors.delete(collection, self.tenant, gone.clone()).await?;
        }
        self.show(vectors, &lacking).await?;
        let again = wanted.iter().filter(|(id, _)| gone.binary_search(&id.0).is_ok()).map(|(id, _)| (*id, kind));
        self.show(vectors, &again.collect::<Vec<_>>()).await
    }

    /// Takes in what has changed since the mark.
    async fn take_changes(&self, place: Place, mark: Mark) -> Result<Mark, MemoryError> {
        let vectors = self.at(place);
        let mut tx = self.postgres.tenant(self.tenant).await?;
        let (horizon, changed) = pattern_vectors::changed(&mut tx, &self.embedder.model_id(), mark.horizon).await?;
        let unseen: Vec<PatternId> = changed.iter().filter(|row| !row.embedded).map(|row| row.id).collect();
        let unseen = if unseen.is_empty() { Vec::new() } else { patterns::find(&mut tx, &unseen).await? };
        tx.commit().await?;
        self.embed(&vectors, &unseen.iter().map(|row| &row.pattern).collect::<Vec<_>>()).await?;
        if !vectors.shared() {
            let fresh = |row: &&Changed| row.embedded && mark.taken.get(&row.id) != Some(&row.version);
            let fresh: Vec<(PatternId, PatternKind)> = changed.iter().filter(fresh).map(|row| (row.id, row.kind)).collect();
            self.show(&vectors, &fresh).await?;
        }
        let taken = changed.iter().filter(|row| row.embedded).map(|row| (row.id, row.version)).collect();
        Ok(Mark { horizon, taken, ..mark })
    }

    /// Makes the vectors that the present embedder has not made yet, all of them after a change of embedder, and brings them where
    /// they are searched.
    async fn embed(&self, vectors: &Vectors, unseen: &[&Pattern]) -> Result<(), MemoryError> {
        for batch in unseen.chunks(TEXTS_MAX) {
            self.store(batch).await?;
            self.show(vectors, &batch.iter().map(|pattern| (pattern.id, pattern.kind)).collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}

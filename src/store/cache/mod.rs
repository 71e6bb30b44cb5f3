//! Short-lived results that can be made again: assembled contexts for now.
//!
//! Called by `pipeline` where a unit's context is made. A closed enum inside, with one conformance suite: in this process for
//! now, a server fits in beside it. Correctness never depends on it: the key carries the version of the content, so nothing is ever
//! invalidated, and a key that is not there is made again.

mod embedded;

#[cfg(test)]
mod conformance;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::OrganizationId;

/// How long an entry lives.
pub const TIME_TO_LIVE: Duration = Duration::from_mins(10);

/// Where entries are, and how often they were there.
#[derive(Debug, Clone)]
pub struct Cache {
    store: Store,
    counts: Arc<Counts>,
}

#[derive(Debug, Clone)]
enum Store {
    /// In this process.
    Embedded(embedded::Embedded),
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How often an entry was there since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// It was there, or somebody else was making it just then.
    pub hits: u64,
    /// It had to be made.
    pub misses: u64,
}

/// What an entry is called. Two keys that differ in any part never share an entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Whose entry it is.
    pub tenant: OrganizationId,
    /// The unit.
    pub task: String,
    /// The context level, or another name for the sort of entry.
    pub level: &'static str,
    /// A hash over everything that the entry was made from.
    pub content_version: String,
}

impl Cache {
    /// An empty cache in this process.
    pub fn embedded() -> Self {
        Self::with_time_to_live(TIME_TO_LIVE)
    }

    fn with_time_to_live(time_to_live: Duration) -> Self {
        Self { store: Store::Embedded(embedded::Embedded::new(time_to_live)), counts: Arc::default() }
    }

    /// What serves: a line of `doctor`.
    pub fn mode(&self) -> &'static str {
        match self.store {
            Store::Embedded(_) => "in process",
        }
    }

    /// The entry of that key, made by `make` when it is not there. Of several callers at once one makes it and the others
    /// wait for it. A failure goes to all who wait and is not kept.
    pub async fn get_or_make<E: Send + Sync + 'static>(
        &self,
        key: Key,
        make: impl Future<Output = Result<Vec<u8>, E>> + Send,
    ) -> Result<Arc<[u8]>, Arc<E>> {
        let (bytes, fresh) = match &self.store {
            Store::Embedded(cache) => cache.get_or_make(key, make).await,
        }
        .inspect_err(|_| count(&self.counts.misses))?;
        count(if fresh { &self.counts.misses } else { &self.counts.hits });
        Ok(bytes)
    }

    /// How often entries were there.
    pub fn stats(&self) -> Stats {
        Stats { hits: self.counts.hits.load(Ordering::Relaxed), misses: self.counts.misses.load(Ordering::Relaxed) }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

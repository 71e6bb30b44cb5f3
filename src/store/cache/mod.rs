//! Short-lived results that can be made again: assembled contexts for now.
//!
//! Called by `runner` where a unit's context is made. A closed enum inside, with one conformance suite: in this process, or in a
//! Redis server that several processes share. Correctness never depends on it: the key carries the version of the content, so
//! nothing is ever invalidated, and what is not there, or does not come in time, is made again.

mod embedded;
mod redis;

#[cfg(test)]
mod conformance;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::OrganizationId;
use crate::store::breaker::{Breaker, Thresholds};

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
    /// In a server.
    Redis(Arc<redis::Redis>),
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    reads_failed: AtomicU64,
    writes_failed: AtomicU64,
    too_late: AtomicU64,
    too_large: AtomicU64,
}

/// How often an entry was there since the process started, and how often a server did not do what it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// It was there, or somebody else was making it just then.
    pub hits: u64,
    /// It had to be made.
    pub misses: u64,
    /// Misses because the server gave no answer: failed, too late, or not asked because it had failed before.
    pub reads_failed: u64,
    /// Entries that the server did not take.
    pub writes_failed: u64,
    /// How many of both were too late.
    pub too_late: u64,
    /// Entries that were too large to be sent.
    pub too_large: u64,
}

/// What `doctor` shows of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Host and port.
    pub address: String,
    /// The server's version.
    pub version: String,
    /// How long one empty command took.
    pub latency: Duration,
}

/// What can go wrong when somebody asks about the server itself. Reading and writing entries never fails.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The setting is no address of a Redis server.
    #[error("the cache's address cannot be used: {reason}")]
    Address {
        /// Why, without the address, which carries a password.
        reason: String,
    },
    /// The server did not do it.
    #[error("{action} in the cache at {address} failed: {reason}")]
    Server {
        /// What was done.
        action: &'static str,
        /// Host and port.
        address: String,
        /// What came back.
        reason: String,
    },
}

impl CacheError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Address { .. } => "the form of REDIS_URL is redis://:password@host:port",
            Self::Server { .. } => "start the server or unset REDIS_URL; until then contexts are assembled each time",
        }
    }
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

    /// The cache in the Redis server at that address, whose entries are of that installation. The server is not asked yet: one that
    /// is down delays nobody, and serves as soon as it is there.
    pub fn redis(url: &str, installation: &str, thresholds: Thresholds) -> Result<Self, CacheError> {
        Self::redis_with_time_to_live(url, installation, thresholds, TIME_TO_LIVE)
    }

    fn redis_with_time_to_live(url: &str, installation: &str, thresholds: Thresholds, time_to_live: Duration) -> Result<Self, CacheError> {
        let counts = Arc::default();
        let redis = redis::Redis::new(url, installation, time_to_live, thresholds, Arc::clone(&counts))?;
        Ok(Self { store: Store::Redis(Arc::new(redis)), counts })
    }

    /// What serves: a line of `doctor`.
    pub fn mode(&self) -> &'static str {
        match self.store {
            Store::Embedded(_) => "in process",
            Store::Redis(_) => "redis",
        }
    }

    /// The breaker in front of the server; none in process.
    pub fn breaker(&self) -> Option<&Breaker> {
        match &self.store {
            Store::Embedded(_) => None,
            Store::Redis(redis) => Some(redis.breaker()),
        }
    }

    /// The server's address, version and round-trip time, asked for now; none in process.
    pub async fn info(&self) -> Result<Option<Info>, CacheError> {
        match &self.store {
            Store::Embedded(_) => Ok(None),
            Store::Redis(redis) => redis.info().await.map(Some),
        }
    }

    /// How many entries there are; those that have just expired may be counted.
    pub async fn entries(&self) -> Result<u64, CacheError> {
        match &self.store {
            Store::Embedded(cache) => Ok(cache.entries().await),
            Store::Redis(redis) => redis.entries().await,
        }
    }

    /// Removes every entry of this installation, of all its organizations; returns how many there were.
    pub async fn clear(&self) -> Result<u64, CacheError> {
        match &self.store {
            Store::Embedded(cache) => Ok(cache.clear().await),
            Store::Redis(redis) => redis.clear().await,
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
            Store::Redis(redis) => redis.get_or_make(key, make).await,
        }
        .inspect_err(|_| count(&self.counts.misses))?;
        count(if fresh { &self.counts.misses } else { &self.counts.hits });
        Ok(bytes)
    }

    /// How often entries were there.
    pub fn stats(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        Stats {
            hits: of(&counts.hits),
            misses: of(&counts.misses),
            reads_failed: of(&counts.reads_failed),
            writes_failed: of(&counts.writes_failed),
            too_late: of(&counts.too_late),
            too_large: of(&counts.too_large),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

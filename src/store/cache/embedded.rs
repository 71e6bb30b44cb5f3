//! Entries in this process, bounded in bytes and age.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache as Moka;

use super::Key;

/// Most bytes that are kept; what was used least goes first.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The entries; clones share them.
#[derive(Debug, Clone)]
pub(super) struct Embedded {
    entries: Moka<Key, Arc<[u8]>>,
}

impl Embedded {
    pub(super) fn new(time_to_live: Duration) -> Self {
        let size = |key: &Key, bytes: &Arc<[u8]>| u32::try_from(key.task.len() + bytes.len()).unwrap_or(u32::MAX);
        Self { entries: Moka::builder().max_capacity(BYTES_MAX).weigher(size).time_to_live(time_to_live).build() }
    }

    /// The entry, and whether this call made it.
    pub(super) async fn get_or_make<E: Send + Sync + 'static>(
        &self,
        key: Key,
        make: impl Future<Output = Result<Vec<u8>, E>> + Send,
    ) -> Result<(Arc<[u8]>, bool), Arc<E>> {
        let entry = self.entries.entry(key).or_try_insert_with(async { make.await.map(Arc::from) }).await?;
        let fresh = entry.is_fresh();
        Ok((entry.into_value(), fresh))
    }

    pub(super) async fn entries(&self) -> u64 {
        self.entries.run_pending_tasks().await;
        self.entries.entry_count()
    }

    pub(super) async fn clear(&self) -> u64 {
        let removed = self.entries().await;
        self.entries.invalidate_all();
        self.entries.run_pending_tasks().await;
        removed
    }
}

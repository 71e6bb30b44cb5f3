//! Which stores a run had to do without, and when: told once while it happens, and written down for its report.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use time::OffsetDateTime;

use crate::model::EventKind;
use crate::pipeline::Run;
use crate::store::breaker::{Breaker, Outage};
use crate::store::postgres::{StoreError, degradations};

/// What was told of the outages of one driving.
pub(super) struct Outages {
    since: OffsetDateTime,
    told: Mutex<BTreeSet<(&'static str, OffsetDateTime)>>,
}

impl Outages {
    /// From now on.
    pub(super) fn watch() -> Self {
        Self { since: OffsetDateTime::now_utc(), told: Mutex::default() }
    }

    /// Tells new outages and writes all of them down. Safe to repeat.
    pub(super) async fn note(&self, run: &Run) -> Result<(), StoreError> {
        let breakers = [run.graph.breaker(), run.memory.vectors.breaker(), run.cache.breaker()];
        let lasted = |outage: &Outage| outage.ended_at.is_none_or(|ended_at| ended_at >= self.since);
        let outages: Vec<Outage> = breakers.into_iter().flatten().flat_map(Breaker::outages).filter(lasted).collect();
        if outages.is_empty() {
            return Ok(());
        }
        for outage in &outages {
            if self.not_told_yet(outage) {
                let message = format!("the {} store does not answer, the run goes on without it: {}", outage.store, outage.reason);
                run.events.send(EventKind::Warning { message }).await;
            }
        }
        let mut tx = run.tx().await?;
        for outage in &outages {
            degradations::record(&mut tx, run.id, outage).await?;
        }
        tx.commit().await
    }

    fn not_told_yet(&self, outage: &Outage) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).insert((outage.store, outage.began_at))
    }
}

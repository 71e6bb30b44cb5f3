//! One transaction of the writer: settlements, then claims.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Wish;
use crate::engine::units::Claimed;
use crate::failpoint;
use crate::model::{Limits, OrganizationId, RunId, WorkerId};
use crate::store::postgres::settle::{self, Outcome};
use crate::store::postgres::units::{self, Dispatch, Take};
use crate::store::postgres::{Postgres, StoreError, TenantTx};

/// For how long a flush that meets transient failures is tried again: work that is done and paid for waits for a server that restarts.
const FLUSH_WITHIN: Duration = Duration::from_secs(30);
/// The wait before the second try; it doubles with each up to the second one.
const FLUSH_BACKOFF: Duration = Duration::from_millis(100);
const FLUSH_BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Who claims here, and under which limits.
#[derive(Debug, Clone)]
pub(in crate::engine) struct Claimer {
    pub worker: WorkerId,
    pub lease: Duration,
    pub limits: Limits,
}

/// Writes them, for one process.
#[derive(Debug)]
pub(super) struct Flush {
    pub(super) store: Postgres,
    pub(super) claimer: Claimer,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Flushed {
    /// Which outcomes were written, as ascending indexes.
    pub(super) held: Vec<usize>,
    /// For each claim.
    pub(super) claimed: Vec<Claimed>,
}

impl Flush {
    /// A commit whose answer was lost is repeated too: the second try finds the token settled, and reads that as its own work. Units that
    /// the first one claimed are left to their lease.
    pub(super) async fn flush_with_retries(
        &self,
        organization: OrganizationId,
        outcomes: &[Outcome],
        wishes: &[Wish],
    ) -> Result<Flushed, StoreError> {
        let (begun, mut backoff) = (Instant::now(), FLUSH_BACKOFF);
        loop {
            match self.flush(organization, outcomes, wishes).await {
                Err(error) if error.is_transient() && begun.elapsed() < FLUSH_WITHIN => {
                    tracing::warn!(%error, "settling and claiming failed, trying again");
                }
                other => return other,
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(FLUSH_BACKOFF_MAX);
        }
    }

    async fn flush(&self, organization: OrganizationId, outcomes: &[Outcome], wishes: &[Wish]) -> Result<Flushed, StoreError> {
        let begun = Instant::now();
        let mut tx = self.store.tenant_by_key(organization).await?;
        let mut held = Vec::new();
        if !outcomes.is_empty() {
            let runs: Vec<RunId> = outcomes.iter().map(|outcome| outcome.claim.run).collect();
            settle::lock_runs(&mut tx, &runs).await?;
            held = settle::settle(&mut tx, outcomes).await?;
        }
        let claimed = self.claim(&mut tx, wishes).await?;
        let handed_out = claimed.iter().any(|claimed| !claimed.units.is_empty());
        if handed_out {
            failpoint::hit("claim.before_commit");
        }
        tx.commit().await?;
        if handed_out {
            failpoint::hit("claim.after_commit");
        }
        if !held.is_empty() {
            failpoint::hit("settle.after_commit");
        }
        let flushed = Flushed { held, claimed };
        flushed.count(outcomes, begun);
        Ok(flushed)
    }

    /// One claim for all wishes of a run, shared out in the order in which they came. Runs in the order of their ids, for each may be locked.
    async fn claim(&self, tx: &mut TenantTx, wishes: &[Wish]) -> Result<Vec<Claimed>, StoreError> {
        let mut claimed: Vec<Claimed> = vec![Claimed::default(); wishes.len()];
        let mut groups: BTreeMap<(RunId, bool), Vec<usize>> = BTreeMap::new();
        for (index, wish) in wishes.iter().enumerate() {
            groups.entry((wish.run, wish.dispatch == Dispatch::Waves)).or_default().push(index);
        }
        for ((run, _), indexes) in groups {
            let max: u32 = indexes.iter().map(|index| wishes[*index].max).fold(0, u32::saturating_add);
            let Claimer { worker, lease, limits } = &self.claimer;
            let take = Take { worker: *worker, max, lease: *lease, dispatch: wishes[indexes[0]].dispatch, limits };
            let mut units = units::claim(tx, run, take).await?.into_iter();
            // One who got something needs no outlook before it comes back; others do, and whoever asked for more than there was.
            let mut outlook = None;
            for index in indexes {
                let share = &mut claimed[index];
                share.units.extend(units.by_ref().take(wishes[index].max as usize));
                let content = wishes[index].patient && !share.units.is_empty();
                let short = share.units.len() < wishes[index].max as usize && !content;
                if short && outlook.is_none() {
                    outlook = Some(units::outlook(tx, run).await?);
                }
                share.outlook = outlook.filter(|_| short);
            }
        }
        Ok(claimed)
    }
}

impl Flushed {
    /// Counts it for whoever watches the process.
    fn count(&self, outcomes: &[Outcome], begun: Instant) {
        metrics::counter!("specwave_commits_total").increment(1);
        let claimed: usize = self.claimed.iter().map(|claimed| claimed.units.len()).sum();
        metrics::counter!("specwave_units_claimed_total").increment(claimed as u64);
        if outcomes.is_empty() {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most as many as fit into a batch")]
        metrics::histogram!("specwave_settle_batch_units").record(outcomes.len() as f64);
        metrics::histogram!("specwave_settle_seconds").record(begun.elapsed().as_secs_f64());
        metrics::counter!("specwave_settlements_late_total").increment((outcomes.len() - self.held.len()) as u64);
        for index in &self.held {
            metrics::counter!("specwave_settlements_total", "state" => outcomes[*index].state.as_str()).increment(1);
        }
    }
}

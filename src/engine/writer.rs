//! The one writer of this process: settlements arrive one by one and are committed together.
//!
//! Group commit without a timer: an idle writer writes at once, and what arrives during a flush is the next batch. So a lone
//! settlement waits for nobody, and a thousand at once cost a few transactions. A batch that the store refuses is written one by
//! one, so that a settlement which cannot be written fails alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use crate::model::{OrganizationId, RunId};
use crate::store::postgres::settle::{self, Outcome};
use crate::store::postgres::{Postgres, StoreError};

/// Settlements in one transaction. A bound on how long claimers of the same run see old states.
const BATCH_MAX: usize = 1_000;
/// Settlements that may wait; beyond it workers wait to hand theirs in.
const QUEUE_MAX: usize = 4_000;
/// Tries at a flush that met a transient failure, such as a server that restarts.
const FLUSH_TRIES: u32 = 5;
/// The wait before the second try; it doubles with each.
const FLUSH_BACKOFF: std::time::Duration = std::time::Duration::from_millis(100);

/// The door to the writer.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    organization: OrganizationId,
    outcome: Outcome,
    answer: oneshot::Sender<Result<bool, Arc<StoreError>>>,
}

impl Writer {
    /// Starts the writer's task; it ends when the last door is dropped and the queue is empty.
    pub(super) fn start(store: Postgres, changes: Arc<watch::Sender<u64>>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(write_all(store, requests, changes));
        Self { queue }
    }

    /// Hands an outcome in and waits until it is committed. False when it came late.
    pub(super) async fn write(&self, organization: OrganizationId, outcome: Outcome) -> Result<bool, StoreError> {
        let stopped = || StoreError::Unavailable { detail: "the writer has stopped".to_owned(), hint: "start again: nothing is lost" };
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request { organization, outcome, answer }).await.map_err(|_| stopped())?;
        match answered.await.map_err(|_| stopped())? {
            Ok(held) => Ok(held),
            Err(shared) => Err(StoreError::Shared(shared)),
        }
    }
}

async fn write_all(store: Postgres, mut requests: mpsc::Receiver<Request>, changes: Arc<watch::Sender<u64>>) {
    let mut batch = Vec::new();
    while requests.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let mut by_organization: BTreeMap<OrganizationId, Vec<Request>> = BTreeMap::new();
        for request in batch.drain(..) {
            by_organization.entry(request.organization).or_default().push(request);
        }
        for (organization, requests) in by_organization {
            let (outcomes, answers): (Vec<_>, Vec<_>) = requests.into_iter().map(|request| (request.outcome, request.answer)).unzip();
            match flush_with_retries(&store, organization, &outcomes).await {
                Err(error) if outcomes.len() > 1 && !error.is_transient() => {
                    for (outcome, answer) in outcomes.into_iter().zip(answers) {
                        let flushed = flush_with_retries(&store, organization, &[outcome]).await;
                        self::answer(vec![answer], flushed);
                    }
                }
                flushed => answer(answers, flushed),
            }
            changes.send_modify(|count| *count += 1);
        }
    }
}

/// An answer that nobody waits for any more is dropped: the outcome is committed all the same.
fn answer(answers: Vec<oneshot::Sender<Result<bool, Arc<StoreError>>>>, flushed: Result<Vec<usize>, StoreError>) {
    match flushed {
        Ok(held) => {
            for (index, answer) in answers.into_iter().enumerate() {
                drop(answer.send(Ok(held.binary_search(&index).is_ok())));
            }
        }
        Err(error) => {
            let error = Arc::new(error);
            for answer in answers {
                drop(answer.send(Err(Arc::clone(&error))));
            }
        }
    }
}

/// A commit whose answer was lost is repeated too: the second try finds the token settled, and reads that as its own work.
async fn flush_with_retries(store: &Postgres, organization: OrganizationId, outcomes: &[Outcome]) -> Result<Vec<usize>, StoreError> {
    let mut backoff = FLUSH_BACKOFF;
    for _ in 1..FLUSH_TRIES {
        match flush(store, organization, outcomes).await {
            Err(error) if error.is_transient() => tracing::warn!(%error, "settling failed, trying again"),
            other => return other,
        }
        tokio::time::sleep(backoff).await;
        backoff *= 2;
    }
    flush(store, organization, outcomes).await
}

async fn flush(store: &Postgres, organization: OrganizationId, outcomes: &[Outcome]) -> Result<Vec<usize>, StoreError> {
    let mut tx = store.tenant(organization).await?;
    let runs: Vec<RunId> = outcomes.iter().map(|outcome| outcome.claim.run).collect();
    settle::lock_runs(&mut tx, &runs).await?;
    let held = settle::settle(&mut tx, outcomes).await?;
    tx.commit().await?;
    Ok(held)
}

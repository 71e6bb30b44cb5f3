//! The one writer of this process: settlements and claims arrive one by one and are committed together.
//!
//! Group commit without a timer: an idle writer writes at once, and what arrives during a flush is the next batch. So a lone
//! settlement waits for nobody, and a thousand at once cost a few transactions. A claim that comes to nothing may stay here: it is tried
//! again in the very transaction that settles a unit of its run, so that what becomes ready is handed out with the commit that made it so.
//! A batch that the store refuses is written one by one, so that what cannot be written fails alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::settle::released;
use super::units::Claimed;
use crate::failpoint;
use crate::model::{Limits, OrganizationId, RunId, WorkerId};
use crate::store::postgres::settle::{self, Outcome};
use crate::store::postgres::units::{self, ClaimedUnit, Dispatch, Take};
use crate::store::postgres::{Postgres, StoreError, TenantTx};

/// Requests in one transaction. A bound on how long claimers of the same run see old states.
const BATCH_MAX: usize = 1_000;
/// Requests that may wait; beyond it workers wait to hand theirs in.
const QUEUE_MAX: usize = 4_000;
/// How often at most the writer lets others go first before it begins a flush: what is about to arrive comes along.
const COURTESIES_MAX: usize = 64;
/// After so many it goes on only while something keeps arriving.
const COURTESIES_MIN: usize = 3;
/// When a wish is first tried again of itself, for other processes settle units too; the wait doubles up to the second one.
const LOOK_AFTER: std::time::Duration = std::time::Duration::from_millis(5);
const LOOK_AFTER_MAX: std::time::Duration = std::time::Duration::from_millis(500);
/// For how long a flush that meets transient failures is tried again: work that is done and paid for waits for a server that restarts.
const FLUSH_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
/// The wait before the second try; it doubles with each up to the second one.
const FLUSH_BACKOFF: std::time::Duration = std::time::Duration::from_millis(100);
const FLUSH_BACKOFF_MAX: std::time::Duration = std::time::Duration::from_secs(2);

/// The door to the writer.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Request>,
}

/// Who claims here, and under which limits.
#[derive(Debug, Clone)]
pub(super) struct Claimer {
    pub worker: WorkerId,
    pub lease: std::time::Duration,
    pub limits: Limits,
}

/// Units that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub organization: OrganizationId,
    pub run: RunId,
    pub max: u32,
    pub dispatch: Dispatch,
    /// True when it stays until something is ready, or nothing is left to wait for.
    pub patient: bool,
}

#[derive(Debug)]
enum Request {
    Settle {
        organization: OrganizationId,
        outcome: Box<Outcome>,
        answer: oneshot::Sender<Answer<bool>>,
    },
    Claim(Waiting),
    /// Something changed by other means: wishes are tried again.
    Look,
}

/// A wish, and who waits for it.
#[derive(Debug)]
struct Waiting {
    wish: Wish,
    answer: oneshot::Sender<Answer<Claimed>>,
    /// When it is tried again, whatever happens: a retry is due, or other processes may have changed something.
    again_at: Instant,
    /// How often it was tried.
    tries: u32,
}

type Answer<T> = Result<T, Arc<StoreError>>;

impl Writer {
    /// Starts the writer's task; it ends when the last door is dropped and the queue is empty.
    pub(super) fn start(store: Postgres, claimer: Claimer, changes: Arc<watch::Sender<u64>>) -> Self {
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(Loop { store, queue: queue.downgrade(), claimer, changes, parked: Vec::new() }.run(requests));
        Self { queue }
    }

    /// Hands an outcome in and waits until it is committed. False when it came late.
    pub(super) async fn settle(&self, organization: OrganizationId, outcome: Outcome) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request::Settle { organization, outcome: Box::new(outcome), answer }).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?.map_err(StoreError::Shared)
    }

    /// Has wishes that came to nothing tried again. A full queue means that they are about to be.
    pub(super) fn look(&self) {
        drop(self.queue.try_send(Request::Look));
    }

    /// Asks for units. What was claimed for somebody who has stopped waiting is given back.
    pub(super) async fn claim(&self, wish: Wish) -> Result<Receipt, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.send(Request::Claim(Waiting { wish, answer, again_at: Instant::now(), tries: 0 })).await.map_err(|_| stopped())?;
        Ok(Receipt { organization: wish.organization, answered, queue: self.queue.clone() })
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { detail: "the writer has stopped".to_owned(), hint: "start again: nothing is lost" }
}

/// What a wish comes to. Dropped before it was answered, it takes the wish back, and gives back what had been claimed for it.
#[derive(Debug)]
pub(super) struct Receipt {
    organization: OrganizationId,
    answered: oneshot::Receiver<Answer<Claimed>>,
    queue: mpsc::Sender<Request>,
}

impl Receipt {
    pub(super) async fn answer(&mut self) -> Result<Claimed, StoreError> {
        (&mut self.answered).await.map_err(|_| stopped())?.map_err(StoreError::Shared)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.answered.close();
        if let Ok(Ok(claimed)) = self.answered.try_recv() {
            give_back(&self.queue, self.organization, &claimed.units);
        }
    }
}

/// Gives claims back untried. Where there is no room to say so, their leases run out.
fn give_back(queue: &mpsc::Sender<Request>, organization: OrganizationId, units: &[ClaimedUnit]) {
    for unit in units {
        let outcome = Box::new(released(unit.claim, "nobody waited for it any more".to_owned()));
        let request = Request::Settle { organization, outcome, answer: oneshot::channel().0 };
        if let Err(error) = queue.try_send(request) {
            tracing::warn!(unit = unit.key, %error, "a claim could not be given back; its lease runs out");
        }
    }
}

/// The writer's task.
struct Loop {
    store: Postgres,
    /// Its own door, which does not keep it open.
    queue: mpsc::WeakSender<Request>,
    claimer: Claimer,
    changes: Arc<watch::Sender<u64>>,
    /// Wishes that came to nothing so far.
    parked: Vec<Waiting>,
}

/// What goes into one transaction.
#[derive(Debug, Default)]
struct Batch {
    outcomes: Vec<Outcome>,
    settling: Vec<oneshot::Sender<Answer<bool>>>,
    claims: Vec<Waiting>,
}

/// What came of it.
#[derive(Debug)]
struct Flushed {
    /// Which outcomes were written, as ascending indexes.
    held: Vec<usize>,
    /// For each claim.
    claimed: Vec<Claimed>,
}

impl Loop {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut arrived = Vec::new();
        loop {
            let again_at = self.parked.iter().map(|waiting| waiting.again_at).min();
            let received = match again_at {
                Some(again_at) => tokio::time::timeout_at(again_at, requests.recv_many(&mut arrived, BATCH_MAX)).await.ok(),
                None => Some(requests.recv_many(&mut arrived, BATCH_MAX).await),
            };
            if received == Some(0) {
                return;
            }
            let (mut courtesies, mut known) = (0, 0);
            while courtesies < COURTESIES_MAX && (courtesies < COURTESIES_MIN || requests.len() > known) {
                (courtesies, known) = (courtesies + 1, requests.len());
                tokio::task::yield_now().await;
            }
            while arrived.len() < BATCH_MAX
                && let Ok(request) = requests.try_recv()
            {
                arrived.push(request);
            }
            for (organization, batch) in self.sort(std::mem::take(&mut arrived)) {
                self.write(organization, batch).await;
            }
        }
    }

    /// What arrived, by organization, with the wishes that may be fulfilled now.
    fn sort(&mut self, arrived: Vec<Request>) -> BTreeMap<OrganizationId, Batch> {
        let mut batches: BTreeMap<OrganizationId, Batch> = BTreeMap::new();
        let mut look = false;
        for request in arrived {
            match request {
                Request::Settle { organization, outcome, answer } => {
                    let batch = batches.entry(organization).or_default();
                    batch.outcomes.push(*outcome);
                    batch.settling.push(answer);
                }
                Request::Claim(waiting) => batches.entry(waiting.wish.organization).or_default().claims.push(waiting),
                Request::Look => look = true,
            }
        }
        self.parked.retain(|waiting| !waiting.answer.is_closed());
        let now = Instant::now();
        for waiting in std::mem::take(&mut self.parked) {
            let settled = batches.get(&waiting.wish.organization).is_some_and(|batch| batch.settles(waiting.wish.run));
            if look || settled || waiting.again_at <= now {
                batches.entry(waiting.wish.organization).or_default().claims.push(waiting);
            } else {
                self.parked.push(waiting);
            }
        }
        batches
    }

    async fn write(&mut self, organization: OrganizationId, batch: Batch) {
        let Batch { outcomes, settling, claims } = batch;
        let wishes: Vec<Wish> = claims.iter().map(|waiting| waiting.wish).collect();
        let settled = !outcomes.is_empty();
        match self.flush_with_retries(organization, &outcomes, &wishes).await {
            Err(error) if outcomes.len() + wishes.len() > 1 && !error.is_transient() => {
                for (outcome, answer) in outcomes.into_iter().zip(settling) {
                    let flushed = self.flush_with_retries(organization, &[outcome], &[]).await;
                    self.answer(vec![answer], Vec::new(), flushed);
                }
                for waiting in claims {
                    let flushed = self.flush_with_retries(organization, &[], &[waiting.wish]).await;
                    self.answer(Vec::new(), vec![waiting], flushed);
                }
            }
            flushed => self.answer(settling, claims, flushed),
        }
        if settled {
            self.changes.send_modify(|count| *count += 1);
        }
    }

    /// An answer to a settlement that nobody waits for any more is dropped: the outcome is committed all the same.
    fn answer(&mut self, settling: Vec<oneshot::Sender<Answer<bool>>>, claims: Vec<Waiting>, flushed: Result<Flushed, StoreError>) {
        match flushed {
            Ok(Flushed { held, claimed }) => {
                for (index, answer) in settling.into_iter().enumerate() {
                    drop(answer.send(Ok(held.binary_search(&index).is_ok())));
                }
                for (waiting, claimed) in claims.into_iter().zip(claimed) {
                    self.hand_out(waiting, claimed);
                }
            }
            Err(error) => {
                let error = Arc::new(error);
                for answer in settling {
                    drop(answer.send(Err(Arc::clone(&error))));
                }
                for waiting in claims {
                    drop(waiting.answer.send(Err(Arc::clone(&error))));
                }
            }
        }
    }

    fn hand_out(&mut self, waiting: Waiting, claimed: Claimed) {
        let wait = claimed.outlook.and_then(|outlook| outlook.wait());
        match wait {
            Some(wait) if waiting.wish.patient && claimed.units.is_empty() => {
                let look = LOOK_AFTER.saturating_mul(2_u32.saturating_pow(waiting.tries)).min(LOOK_AFTER_MAX);
                self.parked.push(Waiting { again_at: Instant::now() + wait.min(look), tries: waiting.tries + 1, ..waiting });
            }
            _ => {
                let organization = waiting.wish.organization;
                if let Err(Ok(unwanted)) = waiting.answer.send(Ok(claimed))
                    && let Some(queue) = self.queue.upgrade()
                {
                    give_back(&queue, organization, &unwanted.units);
                }
            }
        }
    }

    /// A commit whose answer was lost is repeated too: the second try finds the token settled, and reads that as its own work. Units that
    /// the first one claimed are left to their lease.
    async fn flush_with_retries(&self, organization: OrganizationId, outcomes: &[Outcome], wishes: &[Wish]) -> Result<Flushed, StoreError> {
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
        let mut tx = self.store.tenant(organization).await?;
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

impl Batch {
    fn settles(&self, run: RunId) -> bool {
        self.outcomes.iter().any(|outcome| outcome.claim.run == run)
    }
}

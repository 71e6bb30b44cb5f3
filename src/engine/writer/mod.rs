//! The one writer of this process: settlements and claims arrive one by one and are committed together.
//!
//! Group commit without a timer: an idle writer writes at once, and what arrives during a flush is the next batch. So a lone
//! settlement waits for nobody, and a thousand at once cost a few transactions. A claim that comes to nothing may stay here: it is tried
//! again in the very transaction that settles a unit of its run, so that what becomes ready is handed out with the commit that made it so.
//! A batch that the store refuses is written one by one, so that what cannot be written fails alone. What other processes make ready is
//! heard of (`hints.rs`).

mod flush;
mod hints;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub(super) use flush::Claimer;
use flush::{Flush, Flushed};
use hints::Hints;

use super::settle::released;
use super::units::Claimed;
use crate::model::{OrganizationId, RunId};
use crate::store::postgres::settle::Outcome;
use crate::store::postgres::units::{ClaimedUnit, Dispatch};
use crate::store::postgres::{Postgres, StoreError};

/// Requests in one transaction. A bound on how long claimers of the same run see old states.
const BATCH_MAX: usize = 1_000;
/// Requests that may wait; beyond it workers wait to hand theirs in.
const QUEUE_MAX: usize = 4_000;
/// How often at most the writer lets others go first before it begins a flush, while some are expected: what is about to arrive comes
/// along. A few microseconds each.
const COURTESIES_MAX: usize = 64;
/// After so many in a row that brought nothing it begins: who has not come is at work.
const COURTESIES_IN_VAIN: usize = 16;
/// When a wish is first tried again of itself, for a hint from another process may be lost; the wait doubles up to the second one.
const LOOK_AFTER: std::time::Duration = std::time::Duration::from_millis(5);
const LOOK_AFTER_MAX: std::time::Duration = std::time::Duration::from_millis(500);

/// The door to the writer.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Request>,
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
    /// Something changed by other means: wishes are tried again, here and elsewhere.
    Look,
    /// Something changed elsewhere, in these runs; in any, when there are none.
    Heard(Vec<RunId>),
}

impl Request {
    fn settles(&self) -> bool {
        matches!(self, Self::Settle { .. })
    }
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
        let hints = Hints::new(store.clone(), claimer.worker);
        let flush = Flush { store, claimer };
        tokio::spawn(Loop { flush, queue: queue.downgrade(), changes, hints, parked: Vec::new(), out: 0, answered: 0 }.run(requests));
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
    flush: Flush,
    /// Its own door, which does not keep it open.
    queue: mpsc::WeakSender<Request>,
    changes: Arc<watch::Sender<u64>>,
    hints: Hints,
    /// Wishes that came to nothing so far.
    parked: Vec<Waiting>,
    /// Units handed out and not yet settled, as a guess: some never come back, their leases run out.
    out: usize,
    /// Settlements that were just written, of all organizations: those whose they were are about to ask for more.
    answered: usize,
}

/// What goes into one transaction.
#[derive(Debug, Default)]
struct Batch {
    outcomes: Vec<Outcome>,
    settling: Vec<oneshot::Sender<Answer<bool>>>,
    claims: Vec<Waiting>,
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
            self.let_others_go_first(&mut arrived, &mut requests).await;
            self.answered = 0;
            for (organization, batch) in self.sort(std::mem::take(&mut arrived)) {
                self.write(organization, batch).await;
            }
        }
    }

    /// Until all who are expected have come, or it is clear that they are not about to: the units that are out with what became of them, and
    /// those who were answered with a wish for more.
    async fn let_others_go_first(&self, arrived: &mut Vec<Request>, requests: &mut mpsc::Receiver<Request>) {
        let (mut settling, mut in_vain) = (arrived.iter().filter(|request| request.settles()).count(), 0);
        for _ in 0..COURTESIES_MAX {
            let known = arrived.len();
            while arrived.len() < BATCH_MAX
                && let Ok(request) = requests.try_recv()
            {
                settling += usize::from(request.settles());
                arrived.push(request);
            }
            in_vain = if arrived.len() > known { 0 } else { in_vain + 1 };
            let complete = settling >= self.out && arrived.len() >= self.answered;
            if complete || in_vain == COURTESIES_IN_VAIN || arrived.len() == BATCH_MAX {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What arrived, by organization, with the wishes that may be fulfilled now.
    fn sort(&mut self, arrived: Vec<Request>) -> BTreeMap<OrganizationId, Batch> {
        let mut batches: BTreeMap<OrganizationId, Batch> = BTreeMap::new();
        let (mut look, mut heard) = (false, BTreeSet::new());
        for request in arrived {
            match request {
                Request::Settle { organization, outcome, answer } => {
                    let batch = batches.entry(organization).or_default();
                    batch.outcomes.push(*outcome);
                    batch.settling.push(answer);
                }
                Request::Claim(waiting) => batches.entry(waiting.wish.organization).or_default().claims.push(waiting),
                Request::Look => {
                    look = true;
                    self.hints.tell(None);
                }
                Request::Heard(runs) if runs.is_empty() => look = true,
                Request::Heard(runs) => heard.extend(runs),
            }
        }
        self.parked.retain(|waiting| !waiting.answer.is_closed());
        let now = Instant::now();
        for waiting in std::mem::take(&mut self.parked) {
            let settled = batches.get(&waiting.wish.organization).is_some_and(|batch| batch.settles(waiting.wish.run));
            if look || settled || heard.contains(&waiting.wish.run) || waiting.again_at <= now {
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
        let settled: BTreeSet<RunId> = outcomes.iter().map(|outcome| outcome.claim.run).collect();
        self.out = self.out.saturating_sub(outcomes.len());
        self.answered += outcomes.len();
        match self.flush.flush_with_retries(organization, &outcomes, &wishes).await {
            Err(error) if outcomes.len() + wishes.len() > 1 && !error.is_transient() => {
                for (outcome, answer) in outcomes.into_iter().zip(settling) {
                    let flushed = self.flush.flush_with_retries(organization, &[outcome], &[]).await;
                    self.answer(vec![answer], Vec::new(), flushed);
                }
                for waiting in claims {
                    let flushed = self.flush.flush_with_retries(organization, &[], &[waiting.wish]).await;
                    self.answer(Vec::new(), vec![waiting], flushed);
                }
            }
            flushed => self.answer(settling, claims, flushed),
        }
        if !settled.is_empty() {
            self.changes.send_modify(|count| *count += 1);
            for run in settled {
                self.hints.tell(Some(run));
            }
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

    /// Whoever waits here may wait for what others settle.
    fn listen(&mut self) {
        let queue = self.queue.clone();
        self.hints.listen(move |runs| {
            if let Some(queue) = queue.upgrade() {
                drop(queue.try_send(Request::Heard(runs)));
            }
        });
    }

    fn hand_out(&mut self, waiting: Waiting, claimed: Claimed) {
        let wait = claimed.outlook.and_then(|outlook| outlook.wait());
        match wait {
            Some(wait) if waiting.wish.patient && claimed.units.is_empty() => {
                let look = LOOK_AFTER.saturating_mul(2_u32.saturating_pow(waiting.tries)).min(LOOK_AFTER_MAX);
                self.parked.push(Waiting { again_at: Instant::now() + wait.min(look), tries: waiting.tries + 1, ..waiting });
                self.listen();
            }
            _ => {
                let organization = waiting.wish.organization;
                self.out += claimed.units.len();
                if let Err(Ok(unwanted)) = waiting.answer.send(Ok(claimed))
                    && let Some(queue) = self.queue.upgrade()
                {
                    give_back(&queue, organization, &unwanted.units);
                }
            }
        }
    }
}

impl Batch {
    fn settles(&self, run: RunId) -> bool {
        self.outcomes.iter().any(|outcome| outcome.claim.run == run)
    }
}

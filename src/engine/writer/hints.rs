//! Hints to and from other processes that work on the same runs: what one of them made ready another one may be waiting for.
//!
//! A hint makes a waiting claim look at once. None is needed: who waits looks by itself too, only later.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::model::{RunId, WorkerId};
use crate::store::postgres::hints::{self, Hint, Listener};
use crate::store::postgres::{Postgres, StoreError};

/// What happens within this time of a hint goes into the next one together.
const TELL_EVERY: Duration = Duration::from_millis(5);
/// Hints that may wait to be told; what goes beyond it is lost.
const QUEUE_MAX: usize = 1_000;
/// The wait before a session is tried again that could not be had.
const PAUSE: Duration = Duration::from_secs(5);

/// What this process tells the others, and hears from them.
#[derive(Debug)]
pub(super) struct Hints {
    store: Postgres,
    worker: WorkerId,
    telling: mpsc::Sender<Option<RunId>>,
    listening: Option<JoinHandle<()>>,
}

impl Hints {
    /// Tells from now on; it hears nothing before it listens.
    pub(super) fn new(store: Postgres, worker: WorkerId) -> Self {
        let (telling, told) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(tell(store.clone(), worker, told));
        Self { store, worker, telling, listening: None }
    }

    /// Tells the others that units of this run may be ready; none: of any run.
    pub(super) fn tell(&self, run: Option<RunId>) {
        if self.telling.try_send(run).is_err() {
            tracing::debug!("too many hints wait; other processes look by themselves");
        }
    }

    /// Calls `heard` with what others tell (no runs: any), from the first call on and as long as this lives.
    pub(super) fn listen(&mut self, heard: impl Fn(Vec<RunId>) + Send + Sync + 'static) {
        if self.listening.is_none() {
            self.listening = Some(tokio::spawn(listen(self.store.clone(), self.worker, heard)));
        }
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn tell(store: Postgres, worker: WorkerId, mut told: mpsc::Receiver<Option<RunId>>) {
    let mut arrived = Vec::new();
    while told.recv_many(&mut arrived, QUEUE_MAX).await > 0 {
        let mut runs: Vec<RunId> = arrived.iter().flatten().copied().collect();
        if arrived.contains(&None) {
            runs.clear();
        }
        runs.sort_unstable();
        runs.dedup();
        arrived.clear();
        if let Err(error) = hints::tell(&store, worker, &runs).await {
            tracing::debug!(%error, "other processes were not told; they look by themselves");
        }
        tokio::time::sleep(TELL_EVERY).await;
    }
}

async fn listen(store: Postgres, worker: WorkerId, heard: impl Fn(Vec<RunId>) + Sync) {
    loop {
        if let Err(error) = hear(&store, worker, &heard).await {
            tracing::debug!(%error, "other processes are not heard; trying again");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn hear(store: &Postgres, worker: WorkerId, heard: &(impl Fn(Vec<RunId>) + Sync)) -> Result<(), StoreError> {
    let mut listener = Listener::open(store).await?;
    loop {
        match listener.next().await? {
            Some(Hint { from, .. }) if from == Some(worker) => {}
            Some(Hint { runs, .. }) => heard(runs),
            None => heard(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::testing;

    fn listening(store: &Postgres) -> (Hints, mpsc::UnboundedReceiver<Vec<RunId>>) {
        let (heard, hears) = mpsc::unbounded_channel();
        let mut hints = Hints::new(store.clone(), WorkerId::new());
        hints.listen(move |runs| drop(heard.send(runs)));
        (hints, hears)
    }

    /// Tells it until it is heard, for a session that is not there yet hears nothing.
    async fn told(by: &Hints, to: &mut mpsc::UnboundedReceiver<Vec<RunId>>, run: Option<RunId>) -> Vec<RunId> {
        loop {
            by.tell(run);
            if let Ok(heard) = tokio::time::timeout(TELL_EVERY * 4, to.recv()).await {
                return heard.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn the_others_hear_it_and_whoever_told_it_does_not() {
        let store = testing::store().await;
        let ((first, mut first_hears), (second, mut second_hears)) = (listening(&store), listening(&store));
        let (one, other) = (RunId::new(), RunId::new());
        assert_eq!(told(&first, &mut second_hears, Some(one)).await, [one]);
        assert_eq!(told(&second, &mut first_hears, Some(other)).await, [other], "not what it told itself");
    }
}

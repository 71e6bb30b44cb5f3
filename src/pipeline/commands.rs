//! The commands of a run, written down while they run: handed over without waiting, stored in batches by a task beside the run.
//!
//! While the database is away they wait in memory, each a few kilobytes, as long as the process lives: a run comes to rest then anyway.
//! Whoever drives or helps a run waits at its end until they are stored, up to a time. It never holds a command up.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::engine::RunGuard;
use crate::exec::{Record, Recorder};
use crate::model::{OrganizationId, Phase, RunId, WorkerId};
use crate::store::postgres::commands::{self, Place};
use crate::store::postgres::{Postgres, StoreError};

/// Records that are stored in one transaction.
const BATCH_MAX: usize = 500;
/// How long after the database was away it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long the end of a run waits for its last records.
const STORED_WITHIN: Duration = Duration::from_secs(10);

/// The hand that a run's commands are given to.
#[derive(Debug, Clone)]
pub struct Commands {
    sender: mpsc::UnboundedSender<Given>,
}

#[derive(Debug)]
enum Given {
    Record(Place, Box<Record>),
    /// Answered when everything before it is stored.
    Stored(oneshot::Sender<()>),
}

/// Where they are stored.
struct Desk {
    postgres: Postgres,
    organization: OrganizationId,
    run: RunId,
    worker: WorkerId,
}

impl Commands {
    /// Those of a run that this process drives or helps with.
    pub fn of(postgres: &Postgres, guard: &RunGuard, worker: WorkerId) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let desk = Desk { postgres: postgres.clone(), organization: guard.organization, run: guard.run, worker };
        tokio::spawn(desk.keep(receiver));
        Self { sender }
    }

    /// For commands of the run as a whole.
    pub fn of_run(&self) -> Recorder {
        self.recorder(Place::default())
    }

    /// For commands of a phase.
    pub fn of_phase(&self, phase: Phase) -> Recorder {
        self.recorder(Place { phase: Some(phase.as_str().to_owned()), unit: None })
    }

    /// For commands of a try at a unit.
    pub fn of_unit(&self, key: &str, token: i64) -> Recorder {
        self.recorder(Place { phase: None, unit: Some((key.to_owned(), token)) })
    }

    fn recorder(&self, place: Place) -> Recorder {
        let sender = self.sender.clone();
        // It fails only where the task has ended, with the process.
        Recorder::new(move |record| drop(sender.send(Given::Record(place.clone(), Box::new(record)))))
    }

    /// Waits until everything that was handed over is stored; what is not by then is told.
    pub async fn stored(&self) {
        let (stored, heard) = oneshot::channel();
        let asked = self.sender.send(Given::Stored(stored)).is_ok();
        if !asked || !matches!(timeout(STORED_WITHIN, heard).await, Ok(Ok(()))) {
            tracing::warn!("the last commands of the run could not be written down");
        }
    }
}

impl Desk {
    async fn keep(self, mut receiver: mpsc::UnboundedReceiver<Given>) {
        let mut given = Vec::new();
        while receiver.recv_many(&mut given, BATCH_MAX).await > 0 {
            let mut waiting = Vec::new();
            // A command that has ended by now is stored once.
            let mut records = BTreeMap::new();
            for one in given.drain(..) {
                match one {
                    Given::Record(place, record) => drop(records.insert(record.id, (place, *record))),
                    Given::Stored(stored) => waiting.push(stored),
                }
            }
            self.store(records.into_values().collect()).await;
            for stored in waiting {
                // Whoever asked may have given up.
                let _ = stored.send(());
            }
        }
    }

    /// Stores them, however long the database is away.
    async fn store(&self, records: Vec<(Place, Record)>) {
        loop {
            match self.try_to_store(&records).await {
                Ok(()) => return,
                Err(error) if error.is_transient() || error.is_unavailable() => {
                    tracing::debug!(run = %self.run, %error, "commands could not be written down; trying again");
                    sleep(AGAIN_AFTER).await;
                }
                Err(error) => {
                    return tracing::warn!(run = %self.run, %error, count = records.len(), "commands could not be written down");
                }
            }
        }
    }

    async fn try_to_store(&self, records: &[(Place, Record)]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut tx = self.postgres.tenant(self.organization).await?;
        commands::write(&mut tx, self.run, self.worker, records).await?;
        tx.commit().await
    }
}

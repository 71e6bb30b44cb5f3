//! From the outbox to a store: read, take in, move the cursor, and set aside what can never be taken in.

use std::fmt;
use std::time::Duration;

use crate::failpoint;
use crate::store::postgres::outbox::{self, OutboxRow, Position, Read};
use crate::store::postgres::turn::Turn;
use crate::store::postgres::{Postgres, StoreError};

/// Changes that are taken in together.
pub const BATCH_ROWS: u32 = 500;
/// How often a change that a store refuses is tried by itself before it is set aside.
const TRIES: u32 = 3;
/// The wait between two of them, doubled each time.
const TRY_PAUSE: Duration = Duration::from_millis(50);

/// A store that follows the facts. What it is told to take in may be old, doubled or out of order; it looks at the tables.
pub trait Target {
    /// Its name: that of its cursor.
    fn name(&self) -> &'static str;

    /// The sorts of things that it follows.
    fn aggregates(&self) -> &'static [&'static str];

    /// Brings what those changes name to what the tables say now.
    fn take_in(&self, changes: &[OutboxRow]) -> impl Future<Output = Result<(), TargetError>> + Send;

    /// Builds everything anew from the tables, beside what serves, and switches over.
    fn rebuild(&self) -> impl Future<Output = Result<Rebuilt, TargetError>> + Send;
}

/// What a rebuild wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Plans, or patterns.
    pub aggregates: usize,
    /// Nodes and relationships, or points.
    pub items: usize,
}

/// Why a store did not take something in.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The store is away or too slow: the same call may succeed later.
    #[error("the {store} store does not take changes in: {reason}")]
    Away {
        /// Which one.
        store: &'static str,
        /// What it said.
        reason: String,
    },
    /// This change will never be taken in.
    #[error("{0}")]
    Refused(String),
    /// The facts cannot be read.
    #[error("the facts cannot be read")]
    Facts(#[from] StoreError),
}

impl TargetError {
    /// A store that is away.
    pub fn away(store: &'static str, reason: impl fmt::Display) -> Self {
        Self::Away { store, reason: reason.to_string() }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Away { .. } => Some("`specwave doctor` shows which store does not answer and what to do"),
            Self::Refused(_) => None,
            Self::Facts(error) => error.hint(),
        }
    }

    /// True when the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Away { .. } => true,
            Self::Refused(_) => false,
            Self::Facts(error) => error.is_transient(),
        }
    }
}

/// What one look at the outbox came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many changes were taken in; there may be more.
    TookIn {
        /// How many.
        changes: usize,
        /// How many of them were set aside.
        aside: usize,
    },
    /// There was nothing to go on from: the store was built anew.
    Rebuilt(Rebuilt),
    /// There is nothing new.
    UpToDate,
    /// Another process does this at the moment.
    Elsewhere,
}

/// Takes the next changes in, when there are any and it is this process's turn.
pub async fn step(postgres: &Postgres, target: &impl Target) -> Result<Step, TargetError> {
    if matches!(read(postgres, target).await?, Read::Rows(changes) if changes.is_empty()) {
        return Ok(Step::UpToDate);
    }
    let Some(turn) = Turn::take(postgres, &turn_name(target)).await? else { return Ok(Step::Elsewhere) };
    let outcome = next(postgres, target).await;
    turn.end().await;
    outcome
}

/// Takes changes in until there is nothing new, at most as long as `within`. Returns how many, and whether it got to the end: what an open
/// transaction of the cluster holds back is waited for.
pub async fn catch_up(postgres: &Postgres, target: &impl Target, within: Duration) -> Result<(usize, bool), TargetError> {
    let mut total = 0;
    let all = async {
        loop {
            match step(postgres, target).await? {
                Step::TookIn { changes, .. } => total += changes,
                Step::Rebuilt(rebuilt) => total += rebuilt.aggregates,
                Step::UpToDate if waiting(postgres, target).await? == 0 => return Ok(()),
                Step::UpToDate | Step::Elsewhere => tokio::time::sleep(TRY_PAUSE).await,
            }
        }
    };
    match tokio::time::timeout(within, all).await {
        Ok(Ok(())) => Ok((total, true)),
        Ok(Err(error)) => Err(error),
        Err(_) => Ok((total, false)),
    }
}

/// Builds the store anew, even when it could go on; waits for its turn at most as long as `within`.
pub async fn rebuild(postgres: &Postgres, target: &impl Target, within: Duration) -> Result<Rebuilt, TargetError> {
    let turn = async {
        loop {
            match Turn::take(postgres, &turn_name(target)).await {
                Ok(Some(turn)) => return Ok(turn),
                Ok(None) => tokio::time::sleep(TRY_PAUSE).await,
                Err(error) => return Err(TargetError::from(error)),
            }
        }
    };
    let elsewhere = |_| TargetError::away(target.name(), "another process is writing to it");
    let turn = tokio::time::timeout(within, turn).await.map_err(elsewhere)??;
    let outcome = begin_anew(postgres, target).await;
    turn.end().await;
    outcome
}

async fn begin_anew(postgres: &Postgres, target: &impl Target) -> Result<Rebuilt, TargetError> {
    let mut tx = postgres.system().await?;
    let from = outbox::position(&mut tx).await?;
    let generation = outbox::lag(&mut tx, target.name(), target.aggregates()).await?.generation.unwrap_or(0) + 1;
    tx.commit().await?;
    build(postgres, target, &from, generation).await
}

/// The position was read before the tables are: what changes meanwhile is read again, and lost is nothing.
async fn build(postgres: &Postgres, target: &impl Target, from: &Position, generation: u32) -> Result<Rebuilt, TargetError> {
    let rebuilt = target.rebuild().await?;
    let mut tx = postgres.system().await?;
    outbox::restart(&mut tx, target.name(), from, generation).await?;
    tx.commit().await?;
    tracing::info!(projection = target.name(), generation, aggregates = rebuilt.aggregates, items = rebuilt.items, "built anew");
    Ok(rebuilt)
}

async fn read(postgres: &Postgres, target: &impl Target) -> Result<Read, StoreError> {
    let mut tx = postgres.system().await?;
    let read = outbox::read(&mut tx, target.name(), target.aggregates(), BATCH_ROWS).await?;
    tx.commit().await?;
    Ok(read)
}

/// Changes that are committed and were not taken in.
async fn waiting(postgres: &Postgres, target: &impl Target) -> Result<u64, StoreError> {
    let mut tx = postgres.system().await?;
    let lag = outbox::lag(&mut tx, target.name(), target.aggregates()).await?;
    tx.commit().await?;
    Ok(lag.rows)
}

async fn next(postgres: &Postgres, target: &impl Target) -> Result<Step, TargetError> {
    match read(postgres, target).await? {
        Read::Rebuild { from, generation } => Ok(Step::Rebuilt(build(postgres, target, &from, generation).await?)),
        Read::Rows(changes) if changes.is_empty() => Ok(Step::UpToDate),
        Read::Rows(changes) => {
            let aside = take_in(postgres, target, &changes).await?;
            Ok(Step::TookIn { changes: changes.len(), aside })
        }
    }
}

/// All at once; when the store refuses that, one by one, so that what can be taken in is.
async fn take_in(postgres: &Postgres, target: &impl Target, changes: &[OutboxRow]) -> Result<usize, TargetError> {
    match target.take_in(changes).await {
        Ok(()) => {
            failpoint::hit("projection.apply");
            acknowledge(postgres, target, changes.last()).await?;
            return Ok(0);
        }
        Err(error) if error.is_transient() => return Err(error),
        Err(error) => tracing::debug!(projection = target.name(), %error, "a batch was refused; its changes are tried one by one"),
    }
    let mut aside = 0;
    for change in changes {
        if let Err(error) = insist(target, change).await {
            if error.is_transient() {
                return Err(error);
            }
            tracing::error!(projection = target.name(), change = change.id, kind = change.kind, %error, "a change was set aside");
            let mut tx = postgres.system().await?;
            outbox::set_aside(&mut tx, target.name(), change, &error.to_string()).await?;
            tx.commit().await?;
            aside += 1;
        }
        acknowledge(postgres, target, Some(change)).await?;
    }
    Ok(aside)
}

async fn insist(target: &impl Target, change: &OutboxRow) -> Result<(), TargetError> {
    let mut pause = TRY_PAUSE;
    for _ in 1..TRIES {
        match target.take_in(std::slice::from_ref(change)).await {
            Err(error) if !error.is_transient() => tokio::time::sleep(pause).await,
            other => return other,
        }
        pause *= 2;
    }
    target.take_in(std::slice::from_ref(change)).await
}

async fn acknowledge(postgres: &Postgres, target: &impl Target, last: Option<&OutboxRow>) -> Result<(), TargetError> {
    let Some(last) = last else { return Ok(()) };
    let mut tx = postgres.system().await?;
    outbox::acknowledge(&mut tx, target.name(), last).await?;
    Ok(tx.commit().await?)
}

fn turn_name(target: &impl Target) -> String {
    format!("specwave projection {}", target.name())
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;

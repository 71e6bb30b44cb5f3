//! A sign of life that ends with the process: a session that holds an advisory lock, and does nothing else.
//!
//! A lease tells of a death only when it runs out. The server notices at once when a process is gone, because its connection closes.
//! Behind a pooler that keeps connections the sign may outlast the process; then the lease decides, as without it.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::Mutex;

use super::Postgres;
use crate::model::WorkerId;

/// How long making or checking the session may take; without it the lease alone counts.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The session of one worker.
#[derive(Debug)]
pub struct Presence {
    key: i64,
    session: Mutex<Option<PgConnection>>,
}

impl Presence {
    /// A worker that has not shown itself yet.
    pub fn new(worker: WorkerId) -> Self {
        let bytes = worker.0.as_u128().to_be_bytes();
        let low = i64::from_be_bytes(bytes[8..].try_into().expect("half of 16 bytes are 8"));
        Self { key: low, session: Mutex::new(None) }
    }

    /// Makes sure that the session lives, and returns the key of its lock; none when it cannot be had at the moment.
    pub async fn show(&self, store: &Postgres) -> Option<i64> {
        let mut session = self.session.lock().await;
        let alive = match session.as_mut() {
            Some(connection) => matches!(tokio::time::timeout(TIMEOUT, connection.ping()).await, Ok(Ok(()))),
            None => false,
        };
        if !alive {
            *session = tokio::time::timeout(TIMEOUT, self.open(store)).await.ok().flatten();
        }
        session.is_some().then_some(self.key)
    }

    async fn open(&self, store: &Postgres) -> Option<PgConnection> {
        let mut connection = PgConnection::connect_with(&store.pool.connect_options()).await.ok()?;
        let lock = "select pg_try_advisory_lock($1)";
        let held: bool = sqlx::query_scalar(lock).bind(self.key).fetch_one(&mut connection).await.ok()?;
        held.then_some(connection)
    }

    /// Ends the session.
    pub async fn end(&self) {
        if let Some(connection) = self.session.lock().await.take() {
            drop(connection.close().await);
        }
    }
}

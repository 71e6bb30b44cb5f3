//! Whose turn it is: a session that holds an advisory lock of that name, so that one process at a time does a thing.
//!
//! No transaction is open while it is held, and the server lets it go the moment the process is gone. It saves work; it is no fence:
//! what is done under it must bear to be done twice.

use sqlx::{Connection, PgConnection};

use super::{Postgres, StoreError};

/// The session that holds the lock.
#[derive(Debug)]
pub struct Turn {
    session: PgConnection,
}

impl Turn {
    /// Takes the turn of that name; none when another process has it.
    pub async fn take(store: &Postgres, name: &str) -> Result<Option<Self>, StoreError> {
        let mut session = PgConnection::connect_with(&store.pool.connect_options()).await?;
        let lock = "select pg_try_advisory_lock(hashtextextended($1, 0))";
        let taken: bool = sqlx::query_scalar(lock).bind(name).fetch_one(&mut session).await?;
        Ok(taken.then_some(Self { session }))
    }

    /// True while the session lives, and with it the lock.
    pub async fn holds(&mut self) -> bool {
        self.session.ping().await.is_ok()
    }

    /// Lets the next one have it.
    pub async fn end(self) {
        drop(self.session.close().await);
    }
}

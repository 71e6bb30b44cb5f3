//! Hints between the processes of an installation: units of some runs may be ready now.
//!
//! A hint is sent in a transaction of its own. That one writes no row, so its commit waits for no disk, and the lock that NOTIFY takes for
//! the whole server is held for a moment only; in the transaction that settles, it would put every commit of every run behind each other.
//! Hints get lost with connections, and a pooler that shares sessions delivers none: who waits looks by itself as well.

use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{Postgres, StoreError};
use crate::model::{RunId, WorkerId};

/// What everybody listens to.
const CHANNEL: &str = "specwave_units";
/// More runs than this are told as "any": a payload holds less than 8,000 bytes.
const RUNS_MAX: usize = 100;

/// What a process told the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hint {
    /// Who told it; none when that cannot be read.
    pub from: Option<WorkerId>,
    /// The runs; empty for any.
    pub runs: Vec<RunId>,
}

/// Tells every process that listens. No runs: any.
pub async fn tell(store: &Postgres, from: WorkerId, runs: &[RunId]) -> Result<(), StoreError> {
    let mut payload = from.to_string();
    for run in runs.iter().filter(|_| runs.len() <= RUNS_MAX) {
        payload.push(' ');
        payload.push_str(&run.to_string());
    }
    sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&store.pool).await?;
    Ok(())
}

/// A session that listens, beside the pool.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Listener {
    /// Begins to listen.
    pub async fn open(store: &Postgres) -> Result<Self, StoreError> {
        let session = PgPoolOptions::new().max_connections(1).connect_lazy_with(store.pool.connect_options().as_ref().clone());
        let mut listener = PgListener::connect_with(&session).await?;
        listener.listen(CHANNEL).await?;
        Ok(Self(listener))
    }

    /// The next hint; none when the session broke, and with it any number of them. The next call makes a new one.
    pub async fn next(&mut self) -> Result<Option<Hint>, StoreError> {
        Ok(self.0.try_recv().await?.map(|notification| read(notification.payload())))
    }
}

/// What is not understood is a hint all the same.
fn read(payload: &str) -> Hint {
    let mut words = payload.split(' ');
    let from = words.next().and_then(|word| word.parse().ok()).map(WorkerId);
    let runs: Option<Vec<RunId>> = words.map(|word| word.parse().ok().map(RunId)).collect();
    Hint { from, runs: runs.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::testing;

    #[tokio::test]
    async fn what_one_tells_the_others_hear() {
        let (store, worker) = (testing::store().await, WorkerId::new());
        let mut listener = Listener::open(&store).await.unwrap();
        let few: Vec<RunId> = (0..RUNS_MAX).map(|_| RunId::new()).collect();
        let many = [few.clone(), vec![RunId::new()]].concat();
        for (told, heard) in [(&few, few.clone()), (&Vec::new(), Vec::new()), (&many, Vec::new())] {
            tell(&store, worker, told).await.unwrap();
            assert_eq!(listener.next().await.unwrap(), Some(Hint { from: Some(worker), runs: heard }));
        }
    }

    #[test]
    fn what_is_not_understood_means_any_run() {
        assert_eq!(read("?"), Hint::default());
        assert_eq!(read(&format!("{} ? ?", WorkerId::new())).runs, []);
    }
}

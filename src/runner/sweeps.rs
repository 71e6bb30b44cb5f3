//! What is forgotten after its time, whoever left it: called by `serve`, harmless when several processes do it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::postgres::{Postgres, StoreError, idempotency};

/// How long the answer under a caller's own key is kept.
const ANSWERS_KEPT: Duration = Duration::from_hours(24);
/// How often old ones are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(10);

/// Sweeps until it is asked to stop. What fails is tried again at the next time.
pub async fn sweep(postgres: Postgres, stop: CancellationToken) {
    while !stop.is_cancelled() {
        match forget_answers(&postgres).await {
            Ok(0) => {}
            Ok(count) => tracing::debug!(count, "answers under old keys are forgotten"),
            Err(error) => tracing::warn!(%error, "old answers could not be forgotten; trying again later"),
        }
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn forget_answers(postgres: &Postgres) -> Result<u64, StoreError> {
    let mut system = postgres.system().await?;
    let count = idempotency::forget(&mut system, ANSWERS_KEPT).await?;
    system.commit().await?;
    Ok(count)
}

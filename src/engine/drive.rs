//! Driving: one worker at a time walks a run through its phases, and shows that it lives.

use super::{Engine, EngineError};
use crate::model::{OrganizationId, RunEvent, RunId, RunState, WorkerId};
use crate::store::postgres::{leases, reopen, runs, settle};

/// The right to drive a run, for as long as it is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunGuard {
    /// The tenant.
    pub organization: OrganizationId,
    /// The run.
    pub run: RunId,
    /// The fencing token; recheck it before an effect outside PostgreSQL ([`Engine::holds`]).
    pub token: i64,
}

/// What asking for a run led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drive {
    /// It is this worker's. `lost` units of a dead driver were given back.
    Taken {
        /// The right to drive it.
        guard: RunGuard,
        /// Units that were running when the former driver died.
        lost: usize,
    },
    /// Another worker drives it, and shows that it lives.
    Elsewhere {
        /// Who.
        driver: WorkerId,
    },
    /// It has ended; [`Engine::resume`] lets some of them go on.
    Finished {
        /// How.
        state: RunState,
    },
}

impl Engine {
    /// Takes the run unless somebody else drives it; a queued or paused run is running afterwards. What a dead driver held is given
    /// back at once.
    pub async fn drive(&self, organization: OrganizationId, run: RunId) -> Result<Drive, EngineError> {
        let presence = self.presence.show(&self.store).await;
        let mut tx = self.store.tenant(organization).await?;
        let lease = leases::lock(&mut tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
        let row = runs::find(&mut tx, run).await?.ok_or(EngineError::NoSuchRun { run })?;
        if row.state.finished() {
            return Ok(Drive::Finished { state: row.state });
        }
        if let Some(driver) = lease.owner.filter(|owner| *owner != self.worker && !lease.expired) {
            return Ok(Drive::Elsewhere { driver });
        }
        let lost = match lease.owner.filter(|owner| *owner != self.worker) {
            Some(dead) => reopen::release_lost(&mut tx, run, reopen::Lost::Worker(dead)).await?,
            None => 0,
        };
        let token = leases::take(&mut tx, run, self.worker, &self.host, presence, self.options.lease).await?;
        let event = if row.state == RunState::Queued { RunEvent::Start } else { RunEvent::Resume };
        if row.state != RunState::Running {
            runs::transition(&mut tx, run, event, "").await?;
        }
        tx.commit().await?;
        metrics::counter!("specwave_leases_lost_total").increment(lost as u64);
        self.changed();
        Ok(Drive::Taken { guard: RunGuard { organization, run, token }, lost })
    }

    /// Shows that the driver lives; call it every third of a lease. False when the run is another one's, or was called off, paused or
    /// superseded meanwhile: stop then.
    pub async fn renew(&self, guard: &RunGuard) -> Result<bool, EngineError> {
        let presence = self.presence.show(&self.store).await;
        let mut tx = self.store.tenant(guard.organization).await?;
        let renewed = leases::renew(&mut tx, guard.run, guard.token, presence, self.options.lease).await?;
        tx.commit().await?;
        Ok(renewed)
    }

    /// True while the guard's token is current. To be asked under a lock before an effect outside PostgreSQL.
    pub async fn holds(&self, guard: &RunGuard) -> Result<bool, EngineError> {
        let mut tx = self.store.tenant(guard.organization).await?;
        let lease = leases::find(&mut tx, guard.run).await?;
        tx.commit().await?;
        Ok(lease.is_some_and(|lease| lease.token == guard.token && lease.owner.is_some()))
    }

    /// Ends the driving with an event: `Pause`, `Succeed`, `FinishPartial` or `Fail`. Returns the state, or an error when the run is
    /// another one's by now.
    pub async fn finish(&self, guard: &RunGuard, event: RunEvent, reason: &str) -> Result<RunState, EngineError> {
        let mut tx = self.store.tenant(guard.organization).await?;
        settle::lock_runs(&mut tx, &[guard.run]).await?;
        let lease = leases::lock(&mut tx, guard.run).await?.ok_or(EngineError::NoSuchRun { run: guard.run })?;
        let moved = if lease.token == guard.token {
            runs::transition(&mut tx, guard.run, event, reason).await?
        } else {
            runs::find(&mut tx, guard.run).await?.map(|row| (row.state, None))
        };
        let (before, after) = moved.ok_or(EngineError::NoSuchRun { run: guard.run })?;
        let Some(after) = after else { return Err(EngineError::wrong_state(guard.run, before, "finished by this worker")) };
        leases::release(&mut tx, guard.run, guard.token).await?;
        tx.commit().await?;
        Ok(after)
    }
}

//! Claiming units, and keeping claims alive.

use super::writer::Wish;
use super::{Claim, ClaimedUnit, Dispatch, Engine, EngineError};
use crate::model::{Artifact, AttemptId, OrganizationId, RunId, SpecId};
use crate::store::postgres::units::{self, Outlook};

/// What a claim brought.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// The units; now this worker's.
    pub units: Vec<ClaimedUnit>,
    /// When fewer came than were asked for: what is left to wait for. With nothing running, held up or due, nothing more can be done
    /// in this run until somebody reopens or wakes a unit.
    pub outlook: Option<Outlook>,
}

impl Engine {
    /// Takes up to `max` ready units of a running run, as far as the limits allow, or says what there is to wait for. Concurrent claimers never
    /// get the same unit, and wait for each other only to count against a limit.
    pub async fn claim(&self, organization: OrganizationId, run: RunId, max: u32, dispatch: Dispatch) -> Result<Claimed, EngineError> {
        let wish = Wish { organization, run, max, dispatch, patient: false };
        Ok(self.writer.claim(wish).await?.answer().await?)
    }

    /// The same, waiting until there is at least one; none means that nothing more can be done in this run until somebody reopens or wakes
    /// a unit, or resumes it. What a settlement of this process makes ready is handed out in the same transaction.
    ///
    /// May be dropped at any time: what had been claimed is given back.
    pub async fn claim_next(
        &self,
        organization: OrganizationId,
        run: RunId,
        max: u32,
        dispatch: Dispatch,
    ) -> Result<Vec<ClaimedUnit>, EngineError> {
        let wish = Wish { organization, run, max, dispatch, patient: true };
        Ok(self.writer.claim(wish).await?.answer().await?.units)
    }

    /// Shows that these units are still being worked on; call it every third of a lease. Returns those that are lost: end their work,
    /// their outcome would come late.
    pub async fn heartbeat(&self, organization: OrganizationId, claims: &[Claim]) -> Result<Vec<Claim>, EngineError> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.store.tenant(organization).await?;
        let lost = units::heartbeat(&mut tx, claims, self.options.lease).await?;
        tx.commit().await?;
        Ok(lost)
    }

    /// An earlier success of that unit with that input, and its files; to be settled as `UnitResult::Cached`.
    pub async fn find_success(
        &self,
        organization: OrganizationId,
        spec: SpecId,
        key: &str,
        input_hash: &str,
    ) -> Result<Option<(AttemptId, Vec<Artifact>)>, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        let found = units::find_success(&mut tx, spec, key, input_hash).await?;
        tx.commit().await?;
        Ok(found)
    }
}

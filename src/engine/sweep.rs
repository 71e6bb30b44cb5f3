//! Sweeping: what workers left behind when they died. Reads the world anew each time, so it may run anywhere, twice, or late.

use super::{Engine, EngineError, acts};
use crate::failpoint;
use crate::model::{Actor, OrganizationId, RunId};
use crate::store::postgres::{leases, reopen, settle};

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Units whose lease had run out: given back, or failed as `crash_loop`.
    pub units: usize,
    /// Runs without progress for too long: taken from whoever drove them, with their units.
    pub stuck: usize,
}

/// In whose name a sweep acts.
const SWEEP: &str = "sweep";

impl Engine {
    /// Gives back the units of every organization whose lease ran out, and takes stuck runs from their workers. Does nothing in the first lease after a restart of the server,
    /// so that an outage does not pay for every unit twice.
    pub async fn sweep(&self) -> Result<Swept, EngineError> {
        let mut system = self.store.system().await?;
        let found = leases::runs_with_expired_units(&mut system, self.options.lease).await?;
        system.commit().await?;
        let mut swept = Swept::default();
        for (organization, run) in found {
            swept.units += self.give_back(organization, run).await?;
        }
        let mut system = self.store.system().await?;
        let stuck = leases::stuck_runs(&mut system, self.options.stuck_after).await?;
        system.commit().await?;
        for (organization, run) in stuck {
            let mut tx = self.store.tenant(organization).await?;
            let actor = Actor { organization, name: SWEEP.to_owned() };
            let secs = self.options.stuck_after.as_secs();
            match acts::reset(&mut tx, &actor, run, &format!("no progress for {secs} s")).await {
                Ok(units) => {
                    swept.stuck += 1;
                    metrics::counter!("specwave_leases_lost_total").increment(units as u64);
                }
                // It ended meanwhile.
                Err(EngineError::WrongState { .. }) => continue,
                Err(error) => return Err(error),
            }
            tx.commit().await?;
            tracing::warn!(%run, secs, "a run without progress is taken from its worker");
        }
        if swept != Swept::default() {
            self.changed();
        }
        Ok(swept)
    }

    /// Gives back the units of one run whose lease ran out. Returns how many there were.
    pub(super) async fn give_back(&self, organization: OrganizationId, run: RunId) -> Result<usize, EngineError> {
        let mut tx = self.store.tenant(organization).await?;
        settle::lock_runs(&mut tx, &[run]).await?;
        failpoint::hit("lease.expired");
        let units = reopen::release_lost(&mut tx, run, reopen::Lost::Expired).await?;
        tx.commit().await?;
        metrics::counter!("specwave_leases_lost_total").increment(units as u64);
        Ok(units)
    }
}

//! Sweeping: what workers left behind when they died. Reads the world anew each time, so it may run anywhere, twice, or late.

use super::{Engine, EngineError};
use crate::store::postgres::{leases, reopen, settle};

/// What a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Units whose lease had run out: given back, or failed as `crash_loop`.
    pub units: usize,
}

impl Engine {
    /// Gives back the units of every organization whose lease ran out. Does nothing in the first lease after a restart of the server,
    /// so that an outage does not pay for every unit twice.
    pub async fn sweep(&self) -> Result<Swept, EngineError> {
        let mut system = self.store.system().await?;
        let found = leases::runs_with_expired_units(&mut system, self.options.lease).await?;
        system.commit().await?;
        let mut swept = Swept::default();
        for (organization, run) in found {
            let mut tx = self.store.tenant(organization).await?;
            settle::lock_runs(&mut tx, &[run]).await?;
            swept.units += reopen::release_lost(&mut tx, run, reopen::Lost::Expired).await?;
            tx.commit().await?;
        }
        if swept.units > 0 {
            self.changed();
        }
        Ok(swept)
    }
}

//! What an agent uses, set aside and written down with the budgets of its run.

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::POLL_EVERY;
use crate::agents::{Bound, Meter, Metered, Refused, Reservation, Spent};
use crate::engine::{Claim, Engine, Reserved};
use crate::model::budget::{Amount, Resource};
use crate::model::{OrganizationId, SpendId};

/// What is written next to each amount.
const PURPOSE: &str = "agent";

/// The meter of one claim.
pub(super) struct RunMeter {
    engine: Engine,
    organization: OrganizationId,
    claim: Claim,
    stop: CancellationToken,
    /// What was under way when the work was dropped, to be written down before the unit is given back.
    abandoned: Mutex<Vec<(Reservation, Spent)>>,
}

impl RunMeter {
    pub(super) fn new(engine: Engine, organization: OrganizationId, claim: Claim, stop: CancellationToken) -> Self {
        Self { engine, organization, claim, stop, abandoned: Mutex::default() }
    }

    async fn set_aside(&self, bound: Bound) -> Result<Reservation, Refused> {
        let refused = |reason: String| Refused { reason };
        if bound.cost_micros.is_none() && self.money_is_limited().await? {
            return Err(refused(
                "money is limited, and nothing says what this may cost: set the model's price in `llm.prices`, or the profile's `cost_max`"
                    .to_owned(),
            ));
        }
        let amount = Amount { tokens: bound.tokens, cost_micros: bound.cost_micros.unwrap_or(0), time_ms: 0 };
        loop {
            let asked = self.engine.reserve(self.organization, &self.claim, PURPOSE, amount, amount).await;
            match asked.map_err(|error| refused(format!("it could not be asked: {error}")))? {
                Reserved::Granted { id, .. } => return Ok(Reservation(id.0.as_u128())),
                Reserved::Exhausted { short } => return Err(refused(short.to_string())),
                Reserved::Lost => return Err(refused("the claim was lost".to_owned())),
                Reserved::Later { .. } => {}
            }
            tokio::select! {
                () = tokio::time::sleep(POLL_EVERY) => {}
                () = self.stop.cancelled() => return Err(refused("the worker was asked to stop".to_owned())),
            }
        }
    }

    async fn money_is_limited(&self) -> Result<bool, Refused> {
        let claim = &self.claim;
        let ceilings = self.engine.ceilings(self.organization, claim.run).await;
        let ceilings = ceilings.map_err(|error| Refused { reason: format!("it could not be asked: {error}") })?;
        Ok(ceilings.values().any(|ceiling| Resource::Cost.at_most(ceiling).is_some()))
    }

    async fn write_down(&self, reservation: Reservation, spent: Spent) {
        let amount = Amount { tokens: spent.tokens, cost_micros: spent.cost_micros.unwrap_or(0), time_ms: 0 };
        let id = SpendId(Uuid::from_u128(reservation.0));
        // What cannot be written down stays set aside, in full, for as long as the claim holds.
        if let Err(error) = self.engine.spend(self.organization, id, amount).await {
            tracing::warn!(%error, "what a call to a model used could not be written down");
        }
    }

    /// Writes down what was under way when the work was dropped.
    pub(super) async fn close(&self) {
        let abandoned = std::mem::take(&mut *self.abandoned.lock().unwrap_or_else(PoisonError::into_inner));
        for (reservation, spent) in abandoned {
            self.write_down(reservation, spent).await;
        }
    }
}

impl Meter for RunMeter {
    fn reserve(&self, bound: Bound) -> Metered<'_, Result<Reservation, Refused>> {
        Box::pin(self.set_aside(bound))
    }

    fn spend(&self, reservation: Reservation, spent: Spent) -> Metered<'_, ()> {
        Box::pin(self.write_down(reservation, spent))
    }

    fn abandon(&self, reservation: Reservation, spent: Spent) {
        self.abandoned.lock().unwrap_or_else(PoisonError::into_inner).push((reservation, spent));
    }
}

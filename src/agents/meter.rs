//! The seam to the budgets: nothing is sent before it was set aside, and what was sent is written down whatever became of it.

use std::future::Future;
use std::pin::Pin;

use thiserror::Error;

/// The most that one request may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Tokens in and out.
    pub tokens: u64,
    /// Money in millionths; none when the model has no price. Whoever limits money must refuse it then.
    pub cost_micros: Option<u64>,
}

/// What one request used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Tokens in and out.
    pub tokens: u64,
    /// Money in millionths; none when the model has no price.
    pub cost_micros: Option<u64>,
    /// False: the provider did not say, and this is the bound.
    pub measured: bool,
}

/// What was set aside, for the one who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reservation(pub u128);

/// Why nothing was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the budget does not allow the call: {reason}")]
pub struct Refused {
    /// In words: which budget, of what.
    pub reason: String,
}

/// An answer of the meter, on its way.
pub type Metered<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whoever counts what is used.
pub trait Meter: Send + Sync {
    /// Sets an amount aside, or says why not. Its future may be dropped before it answers; then nothing may stay set aside.
    fn reserve(&self, bound: Bound) -> Metered<'_, Result<Reservation, Refused>>;

    /// Writes down what was used of it. If that cannot be written the whole of it counts as used.
    fn spend(&self, reservation: Reservation, spent: Spent) -> Metered<'_, ()>;

    /// The work was dropped while the request was under way: the whole of it counts as used. Must not block: it is called while futures
    /// are dropped, so it only takes note, and the note is written down before the unit is given back.
    fn abandon(&self, reservation: Reservation, spent: Spent);
}

/// A reservation that counts as used in full unless it is settled.
pub(in crate::agents) struct Held<'m> {
    meter: &'m dyn Meter,
    open: Option<Reservation>,
    bound: Bound,
}

impl<'m> Held<'m> {
    /// Asks for it.
    pub(in crate::agents) async fn reserve(meter: &'m dyn Meter, bound: Bound) -> Result<Self, Refused> {
        let open = Some(meter.reserve(bound).await?);
        Ok(Self { meter, open, bound })
    }

    /// Writes down what was used. Dropped before that is done, the whole of it counts.
    pub(in crate::agents) async fn settle(mut self, spent: Spent) {
        if let Some(reservation) = self.open {
            self.meter.spend(reservation, spent).await;
        }
        self.open = None;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if let Some(reservation) = self.open.take() {
            self.meter.abandon(reservation, self.bound.used_up());
        }
    }
}

impl Bound {
    /// All of it, because what was used is unknown.
    pub fn used_up(self) -> Spent {
        Spent { tokens: self.tokens, cost_micros: self.cost_micros, measured: false }
    }
}

//! How many runs a process works on at once. A run whose units are under way needs no slot: it gives its own back, and takes one again
//! for the phase behind them.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one process.
#[derive(Debug, Clone)]
pub struct Slots {
    free: Arc<Semaphore>,
}

impl Slots {
    /// So many.
    pub fn new(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)) }
    }

    /// A slot, when one is free.
    pub fn try_take(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Slot { slots: self.clone(), held: Arc::new(Mutex::new(Some(permit))) })
    }
}

/// The slot of one run; free again with its last clone.
#[derive(Debug, Clone)]
pub struct Slot {
    slots: Slots,
    held: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Slot {
    /// The slot of a process that works on one run.
    pub fn only() -> Self {
        Slots::new(1).try_take().expect("the only slot is free")
    }

    /// Gives it back for a while.
    pub fn leave(&self) {
        drop(self.held().take());
    }

    /// Takes one again, as soon as one is free.
    pub async fn enter(&self) {
        if self.held().is_some() {
            return;
        }
        // The semaphore is never closed.
        let permit = Arc::clone(&self.slots.free).acquire_owned().await.ok();
        *self.held() = permit;
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Option<OwnedSemaphorePermit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_that_left_its_slot_waits_for_a_free_one() {
        let slots = Slots::new(1);
        let first = slots.try_take().expect("one is free");
        assert!(slots.try_take().is_none());
        first.leave();
        let second = slots.try_take().expect("it was left");
        let entering = first.enter();
        tokio::pin!(entering);
        assert!(futures_util::poll!(entering.as_mut()).is_pending());
        drop(second);
        entering.await;
        assert!(slots.try_take().is_none());
    }
}

//! Where a run tells what happens in it: a bounded channel to whoever shows it. Nobody listening is fine.

use std::time::Duration;

use tokio::sync::mpsc;

use crate::model::event::EVENT_SCHEMA_VERSION;
use crate::model::{Event, EventKind, RunId};

/// Events that may wait for a slow reader before a sender waits too.
const QUEUE_MAX: usize = 4_096;
/// How long a sender waits for a reader that does not read; then the event is dropped, since the journal has the facts.
const PATIENCE: Duration = Duration::from_secs(2);

/// The sending side.
#[derive(Debug, Clone)]
pub struct Events {
    run: RunId,
    sender: Option<mpsc::Sender<Event>>,
}

impl Events {
    /// Both sides for one run.
    pub fn channel(run: RunId) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        (Self { run, sender: Some(sender) }, receiver)
    }

    /// A sending side that nobody listens to.
    pub fn silent(run: RunId) -> Self {
        Self { run, sender: None }
    }

    /// Tells that something happened.
    pub async fn send(&self, kind: EventKind) {
        let Some(sender) = &self.sender else { return };
        let event = Event { schema_version: EVENT_SCHEMA_VERSION, run: self.run, kind };
        if let Err(mpsc::error::SendTimeoutError::Timeout(event)) = sender.send_timeout(event, PATIENCE).await {
            tracing::warn!(run = %self.run, kind = ?event.kind, "nobody reads the events; one was dropped");
        }
    }
}
